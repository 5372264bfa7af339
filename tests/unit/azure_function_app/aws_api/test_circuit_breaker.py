"""The circuit breaker."""

import pytest

from azure_function_app.aws_api.circuit_breaker import (
    FAILURES_IN_A_ROW,
    OPEN_SECONDS,
    CircuitBreaker,
)
from azure_function_app.errors import CircuitOpen
from tests.support.calling import middle
from tests.support.fake_clock import FakeClock


def breaker_after(failures: int, clock: FakeClock) -> CircuitBreaker:
    """A breaker that has seen so many failures in a row."""
    breaker = CircuitBreaker(clock=clock, random=middle)
    for _ in range(failures):
        breaker.check()
        breaker.failed()
    return breaker


def test_when_fewer_fail_than_it_takes_then_calls_pass() -> None:
    """The last failure that it takes is the one that opens it."""
    breaker_after(FAILURES_IN_A_ROW - 1, FakeClock()).check()

    with pytest.raises(CircuitOpen) as caught:
        breaker_after(FAILURES_IN_A_ROW, FakeClock()).check()
    assert OPEN_SECONDS == caught.value.retry_after_seconds


def test_when_one_succeeds_in_between_then_the_count_begins_anew() -> None:
    """Only failures in a row count."""
    breaker = breaker_after(FAILURES_IN_A_ROW - 1, FakeClock())
    breaker.succeeded()
    for _ in range(FAILURES_IN_A_ROW - 1):
        breaker.failed()

    breaker.check()


def test_when_the_pause_is_over_then_one_call_probes() -> None:
    """The others are refused until it is known how that one went."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS - 0.1)
    with pytest.raises(CircuitOpen):
        breaker.check()
    clock.advance(0.1)

    breaker.check()

    with pytest.raises(CircuitOpen) as caught:
        breaker.check()
    assert (caught.value.retry_after_seconds or 0) > 0


def test_when_the_probe_succeeds_then_calls_pass_again() -> None:
    """All of them."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    breaker.check()
    breaker.succeeded()

    breaker.check()
    breaker.check()


def test_when_the_probe_fails_then_the_pause_begins_anew() -> None:
    """One failure is enough this time."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    breaker.check()
    breaker.failed()

    with pytest.raises(CircuitOpen):
        breaker.check()
    clock.advance(OPEN_SECONDS)
    breaker.check()


def test_when_the_probe_says_nothing_then_another_call_probes() -> None:
    """A cancelled probe must not close the API off for ever."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    breaker.check()
    breaker.gave_up()

    breaker.check()
