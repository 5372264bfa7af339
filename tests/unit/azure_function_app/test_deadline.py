"""Deadlines."""

from azure_function_app.deadline import Deadline
from tests.support.fake_clock import FakeClock


def test_when_time_passes_then_less_remains_and_never_less_than_nothing() -> None:
    """Just before, at, and after the moment."""
    clock = FakeClock()
    deadline = Deadline.after(2.0, clock)

    clock.advance(1.5)
    assert (0.5, False) == (deadline.remaining_seconds(), deadline.has_passed)
    clock.advance(0.5)
    assert (0.0, True) == (deadline.remaining_seconds(), deadline.has_passed)
    clock.advance(5)
    assert 0.0 == deadline.remaining_seconds()
