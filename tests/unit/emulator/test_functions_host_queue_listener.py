import pytest

from emulator.functions_host.queue_listener import PollingDelays


def middle(low: float, high: float) -> float:
    """No chance at all."""
    return (low + high) / 2


def test_when_a_queue_stays_empty_then_the_pauses_grow_to_the_longest() -> None:
    """From 100 ms, each some twice the last."""
    delays = PollingDelays(2.0, middle)

    pauses = [delays.next() for _ in range(8)]

    assert pytest.approx([0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 2.0, 2.0]) == pauses


def test_when_a_message_came_then_the_pauses_begin_anew() -> None:
    """Also after the longest."""
    delays = PollingDelays(0.2, middle)
    for _ in range(5):
        delays.next()

    delays.after_message()

    assert pytest.approx([0.1, 0.2]) == [delays.next(), delays.next()]


def test_when_a_queue_stays_empty_for_days_then_the_pause_is_still_the_longest() -> None:
    """No power of two grows without end."""
    delays = PollingDelays(60.0, middle)
    for _ in range(10_000):
        delays.next()

    assert 60.0 == delays.next()
