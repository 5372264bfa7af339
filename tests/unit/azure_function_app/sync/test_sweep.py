"""How much may be marked as deleted without a person's word."""

import pytest

from azure_function_app.sync.sweep import DeletionLimit, Stretch, Sweep, SweepPhase


@pytest.mark.parametrize(
    ("share", "live", "missing", "is_allowed"),
    [
        (0.2, 0, 0, True),
        (0.2, 1_000, 0, True),
        (0.2, 1_000, 200, True),
        (0.2, 1_000, 201, False),
        (0.2, 11, 10, True),
        (0.2, 12, 11, False),
        # Never all of them, however few that is.
        (0.2, 1, 1, False),
        (0.2, 10, 10, False),
        (0.0, 1_000, 10, True),
        (0.0, 1_000, 11, False),
        # No limit.
        (1.0, 10, 10, True),
    ],
)
def test_when_records_are_missing_then_a_share_of_them_or_a_few_may_be_marked(
    share: float, live: int, missing: int, *, is_allowed: bool
) -> None:
    """The limit on both sides of each bound."""
    assert is_allowed is DeletionLimit(share).allows(live=live, missing=missing)


@pytest.mark.parametrize(("read_since", "may"), [(0, False), (24, False), (25, True), (90, True)])
def test_when_records_come_back_then_it_is_counted_again_once_that_can_help(
    read_since: int, *, may: bool
) -> None:
    """50 of 100 are missing: with 25 read since, at best 25 of 125 are, which is a fifth."""
    held = Sweep(SweepPhase.HELD, "", live=100, missing=50, read_since=read_since)

    limit = DeletionLimit(0.2)

    assert may is limit.may_allow_now(held)


def test_when_a_stretch_is_counted_then_it_adds_to_the_sweep() -> None:
    """Where the next one begins, and what has been found so far."""
    counted = Sweep(live=3, missing=1).after(Stretch("x", 10, 4))

    assert Sweep(SweepPhase.COUNTING, "x", live=13, missing=5) == counted


def test_when_a_stretch_is_marked_then_what_was_counted_stays() -> None:
    """The count is what was decided on."""
    marked = Sweep(SweepPhase.MARKING, "", live=30, missing=5).after(Stretch(None, 4, 4))

    assert Sweep(SweepPhase.MARKING, None, live=30, missing=5) == marked


def test_when_a_sweep_begins_then_nothing_was_counted_and_nothing_read_since() -> None:
    """One record too many read would let a held sweep mark one more."""
    begun = Sweep()

    assert (SweepPhase.COUNTING, "") == (begun.phase, begun.position)
    assert (0, 0, 0) == (begun.live, begun.missing, begun.read_since)
