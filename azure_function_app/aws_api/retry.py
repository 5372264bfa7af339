"""Which failed attempts are repeated, and when.

The tables below are the whole policy: what is not in them is not retried, cancellation included. A
request that may be repeated is one whose method is idempotent (RFC 9110 section 9.2.2) or that
carries an Idempotency-Key. Any other is repeated only where it cannot have been carried out.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import httpx
import tenacity

from azure_function_app.aws_api.retry_after import parse_retry_after
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.deadline import Deadline
from azure_function_app.http1.errors import CertificateError, TunnelForbidden
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 0.2
"""Seconds; the longest that the first pause can be. Each further one can be twice as long."""
LONGEST_PAUSE_SECONDS: Final = 5.0


class Failure(StrEnum):
    """The ways in which an attempt fails that the tables know."""

    CONNECT = "connect"
    DROPPED = "dropped"
    READ_TIMEOUT = "read_timeout"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    GATEWAY_TIMEOUT = "gateway_timeout"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of failure is met."""

    times: int = 1_000
    """How often in one call; the policy's number of attempts bounds it too."""
    first_at_once: bool = False
    """The first time without a pause: a new connection is all that was missing."""
    only_if_told_when: bool = False
    """Only where the response says in Retry-After when to come back."""


IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

_REPEATABLE: Final[Mapping[Failure, Rule]] = {
    Failure.CONNECT: Rule(),
    # The first is most likely a kept connection that the server had just closed; the retry gets a
    # new one, because the transport closes what it keeps when one of those turns out dead.
    Failure.DROPPED: Rule(first_at_once=True),
    Failure.READ_TIMEOUT: Rule(),
    Failure.THROTTLED: Rule(),
    Failure.BAD_GATEWAY: Rule(),
    Failure.UNAVAILABLE: Rule(),
    Failure.GATEWAY_TIMEOUT: Rule(times=1),
}
_SAFE: Final[Mapping[Failure, Rule]] = {**_REPEATABLE, Failure.SERVER_ERROR: Rule(times=1)}
# Nothing was sent, or the gateway says that it passed nothing on.
_UNREPEATABLE: Final[Mapping[Failure, Rule]] = {
    Failure.CONNECT: Rule(),
    Failure.THROTTLED: Rule(only_if_told_when=True),
}

_BY_STATUS: Final[Mapping[int, Failure]] = {
    429: Failure.THROTTLED,
    500: Failure.SERVER_ERROR,
    502: Failure.BAD_GATEWAY,
    503: Failure.UNAVAILABLE,
    504: Failure.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How much trying a kind of call is worth."""

    attempts: int
    window_seconds: float
    """Seconds after the first attempt's start within which the last one must begin."""
    read_seconds: float
    """Seconds that an attempt may go without a sign of life."""


PROXY_POLICY: Final = RetryPolicy(attempts=3, window_seconds=3.0, read_seconds=30.0)
"""Somebody waits for the response. API Gateway itself waits up to 29 s for a slow integration."""
SYNC_POLICY: Final = RetryPolicy(attempts=6, window_seconds=30.0, read_seconds=10.0)
"""No one waits; what matters is that the page arrives."""


@dataclass(frozen=True, slots=True)
class RetryPolicies:
    """The policies of a client's two kinds of calls."""

    proxy: RetryPolicy = PROXY_POLICY
    """For `fetch` and `send`, whose caller waits."""
    sync: RetryPolicy = SYNC_POLICY
    """For `read`, which a job can wait for."""


_POLICIES: Final = RetryPolicies()


class ResponseHead(Protocol):
    """What the tables need of a response."""

    @property
    def status_code(self) -> int:
        """Return the HTTP status."""

    @property
    def headers(self) -> httpx.Headers:
        """Return the header fields."""


def rules_for(request: httpx.Request) -> Mapping[Failure, Rule]:
    """Return the table that applies to the request."""
    if request.method in SAFE_METHODS:
        return _SAFE
    if request.method in IDEMPOTENT_METHODS or "Idempotency-Key" in request.headers:
        return _REPEATABLE
    return _UNREPEATABLE


def failure_of(outcome: ResponseHead | BaseException) -> Failure | None:
    """Return the kind of failure; None where it is none, or none that the tables know."""
    match outcome:
        case CertificateError() | TunnelForbidden():
            return None
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return Failure.CONNECT
        case httpx.RemoteProtocolError() | httpx.ReadError() | httpx.WriteError():
            return Failure.DROPPED
        case httpx.ReadTimeout():
            return Failure.READ_TIMEOUT
        case BaseException():
            return None
        case response:
            return _BY_STATUS.get(response.status_code)


class Retrier:
    """Repeats attempts by the tables, within a policy, a budget and a deadline."""

    def __init__(
        self,
        *,
        budget: RetryBudget,
        clock: Clock,
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        policies: RetryPolicies = _POLICIES,
    ) -> None:
        """Share one budget between all calls to the same API.

        Args:
            budget: what retries may add to the load.
            clock: for the window, and for Retry-After dates.
            random: numbers from 0 to 1, for full jitter.
            sleep: pauses for so many seconds.
            policies: how much trying each kind of call is worth, for `run`'s callers to choose by.

        """
        self._budget = budget
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self.policies = policies

    async def run[T: ResponseHead](
        self,
        attempt: Callable[[], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]],
        *,
        rules: Mapping[Failure, Rule],
        policy: RetryPolicy,
        deadline: Deadline,
    ) -> T:
        """Return the first response that is good, or the last one where trying again ends.

        Args:
            attempt: makes one attempt.
            discard: disposes of a response that another attempt will replace.
            rules: the table that applies.
            policy: how much trying the call is worth.
            deadline: no pause goes past it.

        Raises:
            Exception: what the last attempt raised.

        """
        self._budget.deposit()
        started = self._clock.monotonic()
        # tenacity costs a tenth of a call, and nearly every first attempt is the last.
        first: T | Exception
        try:
            first = await attempt()
        except Exception as error:
            if failure_of(error) not in rules:
                raise
            first = error
        else:
            if failure_of(first) not in rules:
                return first
        call = _Call(self, discard, rules, policy, deadline, started)
        # A new object for each call: tenacity keeps its state in it.
        retrying = tenacity.AsyncRetrying(
            retry=call.is_retried,
            wait=call.pause,
            stop=call.is_over,
            before_sleep=call.discard,
            sleep=self._sleep,
            retry_error_callback=_last_outcome,
        )
        return await retrying(_replaying(first, attempt))

    def jittered(self, retry_number: int) -> float:
        """Return full jitter: anything from nothing to a bound that doubles with each retry."""
        return self._random() * min(
            LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * float(1 << (retry_number - 1))
        )

    def told_pause(self, outcome: ResponseHead | BaseException) -> float | None:
        """Return the seconds that the response asks to wait, where it does."""
        if isinstance(outcome, BaseException):
            return None
        value = outcome.headers.get("Retry-After")
        return None if value is None else parse_retry_after(value, self._clock.now())

    def is_affordable(self, pause: float, policy: RetryPolicy, started: float) -> bool:
        """Return whether window and budget still allow a retry after the pause."""
        ends = self._clock.monotonic() + pause
        return ends <= started + policy.window_seconds and self._budget.withdraw()


def _replaying[T](
    first: T | Exception, attempt: Callable[[], Awaitable[T]]
) -> Callable[[], Awaitable[T]]:
    """Return attempts of which the first has been made already."""
    made = [first]

    async def next_attempt() -> T:
        if not made:
            return await attempt()
        outcome = made.pop()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return next_attempt


def _last_outcome(state: tenacity.RetryCallState) -> object:
    return _outcome_future(state).result()


def _outcome_future(state: tenacity.RetryCallState) -> tenacity.Future:
    if state.outcome is None:
        raise RuntimeError("tenacity asked about an attempt that has no outcome")
    return state.outcome


class _Call[T: ResponseHead]:
    """One call's decisions, in the order in which tenacity asks for them."""

    def __init__(
        self,
        retrier: Retrier,
        discard: Callable[[T], Awaitable[None]],
        rules: Mapping[Failure, Rule],
        policy: RetryPolicy,
        deadline: Deadline,
        started: float,
    ) -> None:
        self._retrier = retrier
        self._discard = discard
        self._rules = rules
        self._policy = policy
        self._deadline = deadline
        self._started = started
        self._met: Counter[Failure] = Counter()
        self._rule = Rule()
        self._failure: Failure | None = None

    def is_retried(self, state: tenacity.RetryCallState) -> bool:
        """Return whether the tables allow another attempt after this outcome."""
        self._failure = failure_of(self._outcome(state))
        rule = None if self._failure is None else self._rules.get(self._failure)
        if self._failure is None or rule is None:
            return False
        self._rule = rule
        self._met[self._failure] += 1
        return self._met[self._failure] <= rule.times

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds to pause: jitter, and no less than the server asked for."""
        if self._rule.first_at_once and self._failure and self._met[self._failure] == 1:
            return 0.0
        told = self._retrier.told_pause(self._outcome(state)) or 0.0
        return told + self._retrier.jittered(state.attempt_number)

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Return whether attempts, window, deadline or budget forbid what the tables allow."""
        if state.attempt_number >= self._policy.attempts:
            return True
        if self._rule.only_if_told_when and self._retrier.told_pause(self._outcome(state)) is None:
            return True
        pause = float(state.upcoming_sleep)
        if pause >= self._deadline.remaining_seconds():
            return True
        return not self._retrier.is_affordable(pause, self._policy, self._started)

    async def discard(self, state: tenacity.RetryCallState) -> None:
        """Dispose of the response that the next attempt replaces, and note the retry."""
        met = self._outcome(state)
        log_event(
            _logger,
            logging.INFO,
            "attempt_retried",
            trouble=self._failure,  # the field is older than the class, and stays
            attempt=state.attempt_number,
            aws_request_id=(
                None if isinstance(met, BaseException) else met.headers.get("x-amzn-requestid")
            ),
            pause_seconds=round(float(state.upcoming_sleep), 3),
        )
        outcome = _outcome_future(state)
        if not outcome.failed:
            await self._discard(outcome.result())

    def _outcome(self, state: tenacity.RetryCallState) -> ResponseHead | BaseException:
        future = _outcome_future(state)
        return future.exception() if future.failed else future.result()  # type: ignore[return-value] # tenacity does not say that its futures are done
