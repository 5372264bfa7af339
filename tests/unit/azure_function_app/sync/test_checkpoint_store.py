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
