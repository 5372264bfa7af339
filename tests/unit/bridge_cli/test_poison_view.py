"""What a person sees of the items that were set aside."""

import pytest

from azure_function_app.sync.poison_replay import ReplayOutcome, ReplayReport
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonOrigin
from bridge_cli.syncing.poison_view import (
    entries_to_text,
    kept_to_text,
    replay_to_text,
    shown,
)


def entry(record_id: str = "a", *, is_whole: bool = True, set_aside_at: str = "") -> PoisonEntry:
    """An item that was set aside."""
    origin = PoisonOrigin("run", set_aside_at, 3, "cursor", 500)
    return PoisonEntry(
        "0" * 64,
        record_id,
        "no version",
        is_tombstone=False,
        size=12_345,
        is_whole=is_whole,
        origin=origin,
    )


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "a\nb", "\x9b2J", "\u202eabc", "\ud800", "\x7f"])
def test_when_a_text_would_steer_the_terminal_then_it_is_escaped(text: str) -> None:
    """Escape sequences, line breaks, and marks that turn the direction."""
    safe = shown(text)

    assert safe.isprintable()
    assert safe.encode()


def test_when_an_item_is_cut_or_of_unknown_origin_then_the_list_says_so() -> None:
    """As are those that an older version of the app kept; what has no ID is named so too."""
    text = entries_to_text([entry("", is_whole=False)], has_more=True)

    assert "without an ID: no version" in text
    assert "12,345 bytes, of which only the beginning is kept" in text
    assert "an unknown time, generation 3" in text
    assert f"--after {'0' * 64}" in text
    assert "Nothing is set aside." == entries_to_text([], has_more=False)


def test_when_the_content_is_no_text_then_its_bytes_are_shown() -> None:
    """What is no UTF-8 may be why the item was set aside."""
    text = kept_to_text(KeptPoison(entry(), b"\xff{}\0"))

    assert text.endswith("\n\\xff{}\\x00")


def test_when_items_were_replayed_then_the_counts_and_the_reasons_are_shown() -> None:
    """For those that are still unfit."""
    report = ReplayReport({ReplayOutcome.STORED: 1_000, ReplayOutcome.UNFIT: 2}, {"no version": 2})

    text = replay_to_text(report)

    assert "stored     1,000" in text
    assert "unfit      2, still set aside\n    2: no version" in text
    assert "Nothing is set aside." == replay_to_text(ReplayReport({}))
