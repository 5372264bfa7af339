"""Table Storage's keys and sizes."""

from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.stores.table_entities import (
    partition_key,
    record_entity,
    row_key,
    split_into_transactions,
)
from azure_function_app.sync.record_sink import MAX_DATA_BYTES
from tests.support.fake_feed import record

FORBIDDEN = set("/\\#?%'") | {chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=600))
def test_when_an_id_becomes_a_key_then_a_key_may_hold_it(record_id: str) -> None:
    """No forbidden character, no more than is allowed, and ASCII alone."""
    key = row_key(record_id)

    assert not FORBIDDEN & set(key)
    assert key.isascii()
    assert 1 <= len(key) <= 200


@given(
    st.sets(st.text("ab=_/%=é", min_size=1, max_size=80) | st.text("x", min_size=195), max_size=9)
)
def test_when_ids_differ_then_their_keys_do(ids: set[str]) -> None:
    """The escape is one-to-one, also with its own characters in the ID."""
    assert len(ids) == len({row_key(record_id) for record_id in ids})


def test_when_an_id_looks_like_a_digest_then_it_cannot_pass_for_one() -> None:
    """The ID that another one's digest is gets a key of its own."""
    long_id = "x" * 300
    key = row_key(long_id)

    assert key != row_key(key)


@given(st.lists(st.tuples(st.text("abcdef", min_size=1), st.integers(0, 60)), max_size=300))
def test_when_records_are_cut_into_transactions_then_each_is_one_that_is_allowed(
    shapes: list[tuple[str, int]],
) -> None:
    """One partition, at most a hundred, at most three megabytes, and every record once."""
    records = [
        record(f"{name}{number}", text="x" * size * 1_000)
        for number, (name, size) in enumerate(shapes)
    ]

    transactions = list(split_into_transactions(records))

    assert sorted(item.id for item in records) == sorted(
        item.id for transaction in transactions for item in transaction
    )
    for transaction in transactions:
        assert 1 == len({partition_key(item.id) for item in transaction})
        assert 1 <= len(transaction) <= 100
        assert sum(len(str(item.data)) for item in transaction) <= 3 * 1024 * 1024


def test_when_data_is_long_then_its_parts_fit_and_make_the_whole() -> None:
    """No property over 64 KiB of UTF-16, and the parts in order are the data."""
    entity = record_entity(record("a", text="😀" * (MAX_DATA_BYTES // 4 - 100)))

    parts = [value for name, value in entity.items() if name.startswith("data")]
    assert all(len(part.encode("utf-16-le")) <= 64 * 1024 for part in parts)
    assert "".join(parts).startswith('{"name":"a v1","text":"😀')
    assert ["data", "data_1", "data_2"] == [name for name in entity if name.startswith("data")][:3]
