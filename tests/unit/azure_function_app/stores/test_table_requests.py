"""How often a request to Table Storage is sent, and how long each attempt may take."""

import pytest
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreTimedOut
from azure_function_app.stores.table_requests import TableRequests
from tests.support.fake_clock import FakeClock


class Call:
    """An SDK's call that fails so many times, each after so many seconds."""

    def __init__(
        self, clock: FakeClock, error: Exception, times: int, seconds: float = 0.0
    ) -> None:
        """Take what it raises, and how often."""
        self.clock, self.error, self.times, self.seconds = clock, error, times, seconds
        self.read_timeouts: list[float] = []

    def __call__(self, *, connection_timeout: float, read_timeout: float) -> str:
        """Fail, or return a word."""
        assert connection_timeout <= 5.0
        self.read_timeouts.append(read_timeout)
        self.clock.advance(min(self.seconds, read_timeout))
        if len(self.read_timeouts) <= self.times:
            raise self.error
        return "done"


def http_error(status: int) -> HttpResponseError:
    """An answer with that status."""
    error = HttpResponseError("told")
    error.status_code = status
    return error


def requests(clock: FakeClock, seconds: float | None) -> TableRequests:
    """With a deadline so many seconds from now, and pauses that the clock sees."""
    deadline = None if seconds is None else Deadline.after(seconds, clock)
    return TableRequests(deadline, sleep=clock.advance, random=lambda: 0.5)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ServiceRequestError("no connection"), 4),
        (ServiceResponseError("reset"), 4),
        (IncompleteReadError("torn"), 4),
        (ConnectionResetError("torn"), 4),
        (AttributeError("the SDK's slip"), 4),
        *((http_error(status), 4) for status in (408, 429, 500, 502, 503, 504)),
        *((http_error(status), 1) for status in (400, 401, 403, 404, 409, 412, 413)),
        (AzureError("who knows"), 1),
    ],
)
def test_when_an_attempt_fails_then_it_is_repeated_where_that_may_help(
    error: Exception, attempts: int
) -> None:
    """Four times at most; and what comes of it is always one of the SDK's errors."""
    call = Call(FakeClock(), error, times=9)

    with pytest.raises(AzureError):
        requests(FakeClock(), None).send(call)

    assert attempts == len(call.read_timeouts)


def test_when_a_later_attempt_succeeds_then_that_is_the_outcome() -> None:
    """With a pause before each that doubles."""
    clock = FakeClock()
    began_at = clock.monotonic()

    assert "done" == requests(clock, 60.0).send(Call(clock, http_error(503), times=3))
    assert 0.1 + 0.2 + 0.4 == pytest.approx(clock.monotonic() - began_at)


def test_when_the_deadline_is_near_then_no_attempt_reaches_beyond_it() -> None:
    """Each gets what is left, and after the last there is no pause."""
    clock = FakeClock()
    began_at = clock.monotonic()
    call = Call(clock, ServiceResponseError("timed out"), times=9, seconds=10.0)

    with pytest.raises(StoreTimedOut):
        requests(clock, 15.0).send(call)

    assert [10.0, pytest.approx(4.9)] == call.read_timeouts
    assert 15.0 == pytest.approx(clock.monotonic() - began_at)


def test_when_the_deadline_has_passed_then_nothing_is_sent() -> None:
    """There is no time for an answer."""
    clock = FakeClock()
    call = Call(clock, http_error(503), times=0)

    with pytest.raises(StoreTimedOut):
        requests(clock, 0.0).send(call)

    assert [] == call.read_timeouts
