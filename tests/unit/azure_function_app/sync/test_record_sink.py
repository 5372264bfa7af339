"""What every store can hold."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.sync.poison_store import MAX_ID_LENGTH
from azure_function_app.sync.record_sink import (
    MAX_DATA_BYTES,
    MAX_TIMESTAMP_LENGTH,
    MAX_VERSION,
    newest_by_id,
    reason_unfit,
)
from azure_function_app.sync.records import encode_data
from tests.support.fake_feed import record

LONGEST_TEXT = MAX_DATA_BYTES - len('{"name":""}')


def time_of_length(length: int) -> str:
    """A time with as many digits behind the point as it takes."""
    return f"{'2026-11-21T05:47:00.'.ljust(length - 1, '1')}Z"


def nested(depth: int) -> object:
    """A list in a list, and so on."""
    value: object = None
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "fit",
    [
        record("a"),
        record("a" * MAX_ID_LENGTH),
        record("Zürich / ICAO=LSZH? #1 \\ 😀"),
        record("a", MAX_VERSION),
        record("a", deleted=True),
        replace(record("a"), data={"name": "x" * LONGEST_TEXT}),
        replace(record("a"), updated_at=time_of_length(MAX_TIMESTAMP_LENGTH)),
    ],
)
def test_when_a_record_is_within_the_bounds_then_it_is_fit(fit: object) -> None:
    """On the near side of each bound a record can be stored."""
    assert reason_unfit(fit) is None  # type: ignore[arg-type] # parametrize hands on objects


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (record(""), "the id is not 1 to 512 characters long"),
        (record("a" * (MAX_ID_LENGTH + 1)), "the id is not 1 to 512 characters long"),
        (record("a\0"), "the id holds a control character or a lone surrogate"),
        (record("a\u0085"), "the id holds a control character or a lone surrogate"),
        (record("a\ud800"), "the id holds a control character or a lone surrogate"),
        (record("a", 0), f"the version is not from 1 to {MAX_VERSION}"),
        (record("a", MAX_VERSION + 1), f"the version is not from 1 to {MAX_VERSION}"),
        (
            replace(record("a"), updated_at=time_of_length(MAX_TIMESTAMP_LENGTH + 1)),
            "updated_at is no RFC 3339 time",
        ),
        (replace(record("a"), updated_at="heute, 5 \u00b0C"), "updated_at is no RFC 3339 time"),
        (replace(record("a"), updated_at="2026-W47-6"), "updated_at is no RFC 3339 time"),
        (record("a", x=float("nan")), "the data has no JSON form"),
        (record("a", x="\ud800"), "the data has no JSON form"),
        (record("a", x=b"bytes"), "the data has no JSON form"),
        (record("a", x=nested(100_000)), "the data has no JSON form"),
        (
            replace(record("a"), data={"name": "x" * (LONGEST_TEXT + 1)}),
            f"the data is over {MAX_DATA_BYTES} bytes long",
        ),
    ],
)
def test_when_a_record_is_out_of_bounds_then_the_reason_says_which(
    unfit: object, reason: str
) -> None:
    """On the far side of each bound a record is refused, in words that quote none of its data."""
    assert reason == reason_unfit(unfit)  # type: ignore[arg-type] # parametrize hands on objects


def test_when_data_is_the_same_then_its_text_is_the_same() -> None:
    """The order of members makes no difference, and characters stand for themselves."""
    one = replace(record("a"), data={"b": 1, "a": "ü"})
    other = replace(record("a"), data={"a": "ü", "b": 1})

    assert '{"a":"ü","b":1}' == encode_data(one) == encode_data(other)


@given(st.lists(st.builds(record, st.sampled_from("abc"), st.integers(1, 5)), max_size=12))
def test_when_a_batch_repeats_records_then_each_is_left_once_at_its_newest(
    batch: list[object],
) -> None:
    """No ID stands twice, none is lost, and the version is the greatest of the batch."""
    newest = newest_by_id(batch)  # type: ignore[arg-type] # hypothesis builds records

    versions: dict[str, list[int]] = {}
    for item in batch:
        versions.setdefault(item.id, []).append(item.version)  # type: ignore[attr-defined]
    assert {key: max(all_of) for key, all_of in versions.items()} == {
        item.id: item.version for item in newest
    }
    assert len(versions) == len(newest)
