"""Where a run begins, of a checkpoint in which a sweep is half done."""

from dataclasses import replace

import pytest

from azure_function_app.sync.checkpoint_store import Checkpoint
from azure_function_app.sync.sweep import Sweep, SweepPhase
from bridge_cli.syncing.starting_point import Start, StartingPoint, StartingPointError

HALF_DONE = Checkpoint(
    "AAAA",
    "fence",
    2,
    is_rereading=True,
    sweep=Sweep(SweepPhase.COUNTING, "p", live=9, missing=1),
    unknown={"later": 1},
)


def test_when_everything_is_read_again_then_a_half_done_sweep_begins_anew() -> None:
    """Of the same generation, with all else that stands in the checkpoint."""
    moved = StartingPoint(Start.BEGINNING).applied_to(HALF_DONE)

    assert replace(HALF_DONE, cursor="", feed_cursor="AAAA", sweep=None) == moved


def test_when_everything_is_read_again_twice_then_the_feed_is_still_known() -> None:
    """Or nobody could tell whether what is stored is of the feed that is read then."""
    again = StartingPoint(Start.BEGINNING)

    assert again.applied_to(HALF_DONE) == again.applied_to(again.applied_to(HALF_DONE))


def test_when_a_cursor_is_given_then_that_is_what_is_known_of_the_feed() -> None:
    """What was known at the beginning plays no part any more."""
    begun = Checkpoint("", "fence", 1, feed_cursor="AAAA")

    assert Checkpoint("BBBB", "fence", 1) == StartingPoint(Start.CURSOR, "BBBB").applied_to(begun)


def test_when_a_generation_begins_then_no_sweep_of_an_earlier_one_goes_on() -> None:
    """Its counts and its position are of another generation."""
    moved = StartingPoint(Start.GENERATION).applied_to(HALF_DONE)

    assert ("", 3, True, None) == (moved.cursor, moved.generation, moved.is_rereading, moved.sweep)


def test_when_records_are_of_a_later_generation_then_a_new_one_is_later_still() -> None:
    """A checkpoint that is behind its records would else read them as newer than the feed."""
    moved = StartingPoint(Start.GENERATION).applied_to(HALF_DONE, HALF_DONE.generation + 5)

    assert HALF_DONE.generation + 6 == moved.generation


def test_when_a_sweep_is_half_done_then_no_cursor_may_skip_a_part_of_the_generation() -> None:
    """What is skipped would be marked as deleted in the end."""
    with pytest.raises(StartingPointError, match="marked as deleted"):
        StartingPoint(Start.CURSOR, "BBBB").applied_to(HALF_DONE)


def test_when_nothing_is_said_then_a_half_done_sweep_goes_on() -> None:
    """As in the timer's runs."""
    assert HALF_DONE == StartingPoint().applied_to(HALF_DONE)
