"""Reports as text."""

import pytest

from azure_function_app.sync.checkpoint_store import (
    Checkpoint,
    SyncReport,
    SyncStatus,
    decode_checkpoint,
    decode_report,
    encode_checkpoint,
    encode_report,
    rfc3339,
)


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
    ("moment", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_240_020.5, "2026-11-21T05:47:00.500Z"),
    ],
)
def test_when_a_moment_is_written_then_it_is_rfc_3339_in_utc(moment: float, text: str) -> None:
    """To the millisecond, with Z."""
    assert text == rfc3339(moment)
