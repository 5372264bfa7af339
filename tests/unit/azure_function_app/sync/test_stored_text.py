"""Checkpoints and reports as text, from this version of the app and from others."""

import json

import pytest

from azure_function_app.errors import CheckpointUnreadable
from azure_function_app.sync.checkpoint_store import Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.stored_text import (
    decode_checkpoint,
    decode_report,
    encode_checkpoint,
    encode_report,
)
from azure_function_app.sync.sweep import Sweep, SweepPhase


@pytest.mark.parametrize("status", SyncStatus)
def test_when_a_report_is_kept_as_text_then_it_comes_back_the_same(status: SyncStatus) -> None:
    """What is decoded equals what was encoded, the status's type included."""
    report = SyncReport("r", status, 1, 2, 3, 4, "then", "now", "code")

    decoded = decode_report(encode_report(report))

    assert report == decoded
    assert isinstance(decoded.status, SyncStatus)


def test_when_a_checkpoint_is_kept_as_text_then_it_comes_back_under_the_stores_fence() -> None:
    """The fence is the store's own; all else is in the text."""
    checkpoint = Checkpoint("cursor", "old", generation=3, is_rereading=True)

    text = encode_checkpoint(checkpoint)

    assert "old" not in text
    assert Checkpoint("cursor", "new", 3, is_rereading=True) == decode_checkpoint(text, "new")


@pytest.mark.parametrize(
    "sweep", [None, Sweep(), Sweep(SweepPhase.HELD, None, live=9, missing=5, read_since=2)]
)
def test_when_a_sweep_is_under_way_then_the_checkpoint_keeps_it(sweep: Sweep | None) -> None:
    """Where it stands and what it has counted come back as they were."""
    checkpoint = Checkpoint("cursor", "f", 1, is_rereading=True, sweep=sweep)

    assert checkpoint == decode_checkpoint(encode_checkpoint(checkpoint), "f")


def test_when_a_checkpoint_is_at_the_beginning_then_it_keeps_what_feed_was_read() -> None:
    """So that the next run can tell whether it is still the same."""
    checkpoint = Checkpoint("", "f", 1, feed_cursor="c")

    assert checkpoint == decode_checkpoint(encode_checkpoint(checkpoint), "f")


def test_when_nothing_new_stands_in_a_checkpoint_then_an_older_version_can_read_it() -> None:
    """A deployment that is rolled back goes on: it knows these three members and no others."""
    text = encode_checkpoint(Checkpoint("c", "f", 2))

    assert {"cursor": "c", "generation": 2, "is_rereading": False} == json.loads(text)


def test_when_a_later_version_has_added_members_then_they_are_handed_on() -> None:
    """What this version does not know, it does not lose."""
    text = '{"cursor": "c", "generation": 2, "is_rereading": false, "shard": {"of": 3}}'

    assert json.loads(text) == json.loads(encode_checkpoint(decode_checkpoint(text, "f")))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "checkpoint_damaged"),
        ('{"cursor": "c", "gener', "checkpoint_damaged"),
        ("[" * 100_000, "checkpoint_damaged"),
        ('{"cursor": 7}', "checkpoint_damaged"),
        ('{"cursor": "c", "generation": true}', "checkpoint_damaged"),
        ('{"cursor": "c", "generation": -1}', "checkpoint_damaged"),
        ('{"cursor": "c", "is_rereading": 1}', "checkpoint_damaged"),
        ('{"cursor": "c", "feed_cursor": 7}', "checkpoint_damaged"),
        ('{"cursor": "c", "sweep": []}', "checkpoint_damaged"),
        ('{"cursor": "c", "sweep": {"phase": "elsewhere"}}', "checkpoint_damaged"),
        ('{"cursor": "c", "sweep": {"phase": "held", "position": 1}}', "checkpoint_damaged"),
        ('{"bookmark": "c"}', "checkpoint_foreign"),
        ("[]", "checkpoint_foreign"),
        (None, "checkpoint_foreign"),
        ('{"cursor": "c", "format": 2}', "checkpoint_newer"),
    ],
)
def test_when_a_checkpoint_cannot_be_read_then_the_error_says_why_and_what_heals_it(
    text: str | None, code: str
) -> None:
    """A stable code, and the command that makes the next run begin again."""
    with pytest.raises(CheckpointUnreadable, match="bridge sync --reset") as raised:
        decode_checkpoint(text, "f")

    assert code == raised.value.code


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", '{"run_id": "r"}', "{", '{"status": "unheard of"}', '{"status": "failed"}'],
)
def test_when_a_report_cannot_be_read_then_it_is_left_out(text: str | None) -> None:
    """It only tells of what was; nothing depends on it."""
    assert decode_report(text) is None


def test_when_a_later_version_has_more_to_report_then_the_rest_is_read() -> None:
    """Unknown members are no reason to know nothing of a run."""
    report = SyncReport("r", SyncStatus.COMPLETE, 1, 2, 3, 4, "then", "now", None)
    members = json.loads(encode_report(report)) | {"weather": 16}

    assert report == decode_report(json.dumps(members))


@pytest.mark.parametrize("shard", [None, 0, 63])
def test_when_a_run_read_a_shard_then_its_report_keeps_which(shard: int | None) -> None:
    """It is written only where there is one, so that other reports read as before."""
    report = SyncReport("r", SyncStatus.COMPLETE, 1, 2, 3, 4, "then", "now", None, shard=shard)

    text = encode_report(report)

    assert (shard is None) == ("shard" not in json.loads(text))
    assert report == decode_report(text)


def test_when_a_report_is_of_a_version_before_shards_then_it_reads_as_of_a_whole_feed() -> None:
    """An update of the app forgets no run."""
    text = (
        '{"run_id": "r", "status": "failed", "pages": 1, "records_read": 2, "records_changed": 3,'
        ' "records_set_aside": 4, "started_at": "a", "finished_at": "b", "error_code": "c"}'
    )

    assert SyncReport("r", SyncStatus.FAILED, 1, 2, 3, 4, "a", "b", "c") == decode_report(text)
