"""The circuit breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.aws_api.circuit_breaker import (
    FAILURES_IN_A_ROW,
    OPEN_SECONDS,
    CircuitBreaker,
    Permit,
)
from azure_function_app.errors import CircuitOpen
from tests.support.calling import middle
from tests.support.fake_clock import FakeClock


def sent(breaker: CircuitBreaker) -> Permit:
    """The permit of a call that has been sent."""
    permit = breaker.check()
    permit.sending()
    return permit


def breaker_after(failures: int, clock: FakeClock) -> CircuitBreaker:
    """A breaker that has seen so many failures in a row."""
    breaker = CircuitBreaker(clock=clock, random=middle)
    for _ in range(failures):
        sent(breaker).failed()
    return breaker


def is_open(breaker: CircuitBreaker) -> bool:
    """Whether a call is refused; one that is not gives up at once."""
    try:
        breaker.check().gave_up()
    except CircuitOpen:
        return True
    return False


def test_when_fewer_fail_than_it_takes_then_calls_pass() -> None:
    """The last failure that it takes is the one that opens it."""
    breaker_after(FAILURES_IN_A_ROW - 1, FakeClock()).check()

    with pytest.raises(CircuitOpen) as caught:
        breaker_after(FAILURES_IN_A_ROW, FakeClock()).check()
    assert OPEN_SECONDS == caught.value.retry_after_seconds


def test_when_one_succeeds_in_between_then_the_count_begins_again() -> None:
    """Only failures in a row count."""
    breaker = breaker_after(FAILURES_IN_A_ROW - 1, FakeClock())
    sent(breaker).succeeded()
    for _ in range(FAILURES_IN_A_ROW - 1):
        sent(breaker).failed()

    assert not is_open(breaker)


def test_when_a_call_reports_twice_then_it_counts_once() -> None:
    """One call that fails is one failure."""
    breaker = CircuitBreaker(clock=FakeClock(), random=middle)
    permit = sent(breaker)
    for _ in range(FAILURES_IN_A_ROW):
        permit.failed()

    assert not is_open(breaker)


def test_when_the_pause_is_over_then_one_call_probes() -> None:
    """The others are refused until it is known how that one went."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS - 0.1)
    assert is_open(breaker)
    clock.advance(0.1)

    probe = breaker.check()

    with pytest.raises(CircuitOpen) as caught:
        breaker.check()
    assert (caught.value.retry_after_seconds or 0) > 0
    probe.succeeded()


def test_when_the_probe_succeeds_then_calls_pass_again() -> None:
    """All of them, and the count begins again."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    sent(breaker).succeeded()
    for _ in range(FAILURES_IN_A_ROW - 1):
        sent(breaker).failed()

    assert not is_open(breaker)


def test_when_the_probe_fails_then_the_pause_begins_again() -> None:
    """One failure is enough this time."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    sent(breaker).failed()

    assert is_open(breaker)
    clock.advance(OPEN_SECONDS)
    assert not is_open(breaker)


def test_when_the_probe_gives_up_then_one_other_call_probes() -> None:
    """And only one, even if the first reports twice."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    first = sent(breaker)
    first.gave_up()
    second = sent(breaker)
    first.gave_up()

    assert is_open(breaker)
    second.succeeded()
    assert not is_open(breaker)


def test_when_the_probe_is_dropped_without_a_report_then_another_call_probes() -> None:
    """A task that is destroyed must not close the API off for ever."""
    clock = FakeClock()
    breaker = breaker_after(FAILURES_IN_A_ROW, clock)
    clock.advance(OPEN_SECONDS)
    probe = breaker.check()
    assert is_open(breaker)

    del probe

    breaker.check()


@pytest.mark.parametrize(
    ("is_sent", "report"),
    [
        (True, "failed"),
        (True, "unanswered"),
        (False, "unanswered"),
        (True, "gave_up"),
        (False, "gave_up"),
    ],
)
def test_when_the_probe_has_reported_then_another_may_probe_though_its_permit_is_still_held(
    *, is_sent: bool, report: str
) -> None:
    """Its caller may keep it for as long as it handles the error."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    known = sent(breaker)
    clock.advance(2.0)
    known.succeeded()
    for _ in range(FAILURES_IN_A_ROW):
        sent(breaker).failed()
    clock.advance(OPEN_SECONDS)
    held = sent(breaker) if is_sent else breaker.check()
    getattr(held, report)()

    clock.advance(OPEN_SECONDS)
    assert not is_open(breaker)
    held.gave_up()


@pytest.mark.parametrize("report", ["succeeded", "failed", "unanswered", "gave_up"])
def test_when_calls_from_before_it_opened_end_then_nothing_changes(report: str) -> None:
    """They neither close it, nor prolong the pause, nor let a second call probe."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    earlier = [sent(breaker) for _ in range(3)]
    for _ in range(FAILURES_IN_A_ROW):
        sent(breaker).failed()

    clock.advance(OPEN_SECONDS - 0.1)
    getattr(earlier[0], report)()
    assert is_open(breaker)
    clock.advance(0.1)
    getattr(earlier[1], report)()
    probe = sent(breaker)
    getattr(earlier[2], report)()

    assert is_open(breaker)
    probe.succeeded()
    assert not is_open(breaker)


def test_when_calls_from_before_it_closed_fail_then_they_do_not_open_it() -> None:
    """What the API was like before the probe is not news."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    earlier = [sent(breaker) for _ in range(2 * FAILURES_IN_A_ROW)]
    for permit in earlier[:FAILURES_IN_A_ROW]:
        permit.failed()
    clock.advance(OPEN_SECONDS)
    sent(breaker).succeeded()

    for permit in earlier[FAILURES_IN_A_ROW:]:
        permit.failed()

    assert not is_open(breaker)


def test_when_the_circuit_opened_while_a_call_waited_then_it_is_not_sent() -> None:
    """And what becomes of it does not count."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    waited = breaker.check()
    for _ in range(FAILURES_IN_A_ROW):
        sent(breaker).failed()

    with pytest.raises(CircuitOpen):
        waited.sending()
    waited.gave_up()
    assert is_open(breaker)


def test_when_the_pause_ended_while_a_call_waited_then_it_is_the_probe() -> None:
    """Somebody must be, and it is as good as the next."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    waited = breaker.check()
    for _ in range(FAILURES_IN_A_ROW):
        sent(breaker).failed()
    clock.advance(OPEN_SECONDS)

    waited.sending()

    assert is_open(breaker)
    waited.succeeded()
    assert not is_open(breaker)


def test_when_the_circuit_closed_while_a_call_waited_then_it_counts_like_the_others() -> None:
    """It is sent in the time that its report is about."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    waited = [breaker.check() for _ in range(FAILURES_IN_A_ROW)]
    for _ in range(FAILURES_IN_A_ROW):
        sent(breaker).failed()
    clock.advance(OPEN_SECONDS)
    sent(breaker).succeeded()

    for permit in waited:
        permit.sending()
        permit.failed()

    assert is_open(breaker)


def unanswered_in_a_row(
    breaker: CircuitBreaker, clock: FakeClock, waited: float, had: float
) -> None:
    """As many calls as open the circuit, each without an answer after it waited and was sent."""
    for _ in range(FAILURES_IN_A_ROW):
        permit = breaker.check()
        clock.advance(waited)
        permit.sending()
        clock.advance(had)
        permit.unanswered()


@pytest.mark.parametrize(
    ("waited", "had", "expected"), [(0.0, 1.9, False), (0.0, 2.0, True), (28.0, 2.0, True)]
)
def test_when_the_api_had_less_time_than_it_takes_then_it_has_not_failed(
    *, waited: float, had: float, expected: bool
) -> None:
    """What counts is the time that it had, not the time that the call took."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    known = sent(breaker)
    clock.advance(2.0)
    known.succeeded()

    unanswered_in_a_row(breaker, clock, waited, had)

    assert expected is is_open(breaker)


@pytest.mark.parametrize(
    ("waited", "had", "expected"), [(0.6, 0.4, False), (0.5, 0.5, True), (0.0, 0.1, True)]
)
def test_when_no_answer_is_known_then_half_of_the_calls_time_must_have_been_the_apis(
    *, waited: float, had: float, expected: bool
) -> None:
    """A token that took most of the time says nothing about an API that was never asked before."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)

    unanswered_in_a_row(breaker, clock, waited, had)

    assert expected is is_open(breaker)


def test_when_a_call_was_never_sent_then_it_says_nothing_about_the_api() -> None:
    """Its time ran out before."""
    breaker = CircuitBreaker(clock=FakeClock(), random=middle)
    for _ in range(FAILURES_IN_A_ROW):
        breaker.check().unanswered()

    assert not is_open(breaker)


def test_when_the_api_falls_silent_then_what_it_took_before_does_not_keep_the_circuit_closed() -> (
    None
):
    """It once took twelve seconds; callers with five find out that it is dead all the same."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    known = sent(breaker)
    clock.advance(12.0)
    known.succeeded()
    unanswered_in_a_row(breaker, clock, 0.0, 5.0)
    assert not is_open(breaker)

    for _ in range(6 + FAILURES_IN_A_ROW):
        assert not is_open(breaker)
        permit = sent(breaker)
        clock.advance(5.0)
        permit.unanswered()

    assert is_open(breaker)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["check", "failed", "unanswered", "gave_up", "drop", "earlier"]),
            st.sampled_from(["succeeded", "failed", "unanswered", "gave_up"]),
            st.floats(0.0, 3.0),
        ),
        max_size=100,
    )
)
def test_when_probes_come_and_go_then_there_is_never_more_than_one_and_always_another(
    steps: list[tuple[str, str, float]],
) -> None:
    """Until one succeeds, and whatever becomes of the calls from before the circuit opened."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=middle)
    earlier = [sent(breaker) for _ in steps]
    for _ in range(FAILURES_IN_A_ROW):
        sent(breaker).failed()
    probes: list[Permit] = []
    for step, report, seconds in steps:
        clock.advance(seconds)
        if step == "check":
            try:
                probes.append(breaker.check())
            except CircuitOpen:
                continue
            assert 1 == len(probes)
        elif step == "earlier":
            getattr(earlier.pop(), report)()
        elif probes:
            probe = probes.pop()
            if step != "drop":
                probe.sending()
                getattr(probe, step)()
            del probe
    probes.clear()
    clock.advance(2 * OPEN_SECONDS)

    sent(breaker).succeeded()
    assert not is_open(breaker)
