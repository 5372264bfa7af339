"""Which failed attempts are repeated, and when."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import httpx
import pytest

from azure_function_app.aws_api.retry import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PROXY_POLICY,
    SYNC_POLICY,
    Failure,
    Retrier,
    RetryPolicy,
    failure_of,
    rules_for,
)
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.deadline import Deadline
from azure_function_app.http1.errors import CertificateError, TunnelForbidden, TunnelRefused
from tests.support.fake_clock import FakeClock

PATIENT = RetryPolicy(attempts=100, window_seconds=1_000.0, read_seconds=1.0)
CONNECT = httpx.ConnectError("refused")
DROPPED = httpx.RemoteProtocolError("dropped")


def request(method: str, **headers: str) -> httpx.Request:
    """A request of that method."""
    return httpx.Request(
        method,
        "https://api.example/prod/v1",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def status(code: int, **headers: str) -> httpx.Response:
    """An answer with that status."""
    return httpx.Response(
        code, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


class Run:
    """Runs one call on a clock that pauses move, and remembers what happened."""

    def __init__(
        self,
        *outcomes: httpx.Response | BaseException,
        policy: RetryPolicy = PATIENT,
        seconds: float = 1_000.0,
        random: float = 0.5,
        budget_left: bool = True,
    ) -> None:
        """Meet these outcomes one after the other, and the last one again and again."""
        self.outcomes = list(outcomes)
        self.policy = policy
        self.clock = FakeClock()
        self.deadline = Deadline.after(seconds, self.clock)
        self.attempts = 0
        self.pauses: list[float] = []
        self.discarded: list[httpx.Response] = []
        self.budget = RetryBudget(self.clock)
        while not budget_left and self.budget.withdraw():
            pass
        self.retrier = Retrier(
            budget=self.budget, clock=self.clock, random=lambda: random, sleep=self.sleep
        )

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    async def attempt(self) -> httpx.Response:
        self.attempts += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def discard(self, response: httpx.Response) -> None:
        self.discarded.append(response)

    async def of(self, of: httpx.Request) -> httpx.Response:
        return await self.retrier.run(
            self.attempt,
            self.discard,
            rules=rules_for(of),
            policy=self.policy,
            deadline=self.deadline,
        )


async def attempts_of(run: Run, of: httpx.Request) -> int:
    """How many attempts the call took, however it ended."""
    with suppress(httpx.TransportError):
        await run.of(of)
    return run.attempts


OFTEN = 5
AS_THE_POLICY_SAYS = RetryPolicy(attempts=OFTEN, window_seconds=1_000.0, read_seconds=1.0)


@pytest.mark.parametrize(
    ("outcome", "safe", "repeatable", "other"),
    [
        (CONNECT, OFTEN, OFTEN, OFTEN),
        (httpx.ConnectTimeout("slow"), OFTEN, OFTEN, OFTEN),
        (DROPPED, OFTEN, OFTEN, 1),
        (httpx.ReadError("reset"), OFTEN, OFTEN, 1),
        (httpx.WriteError("reset"), OFTEN, OFTEN, 1),
        (httpx.ReadTimeout("slow"), OFTEN, OFTEN, 1),
        (status(429), OFTEN, OFTEN, 1),
        (status(429, retry_after="1"), OFTEN, OFTEN, OFTEN),
        (status(429, retry_after="soon"), OFTEN, OFTEN, 1),
        (status(500), 2, 1, 1),
        (status(502), OFTEN, OFTEN, 1),
        (status(503), OFTEN, OFTEN, 1),
        (status(503, retry_after="1"), OFTEN, OFTEN, 1),
        (status(504), 2, 2, 1),
        (status(200), 1, 1, 1),
        (status(301), 1, 1, 1),
        (status(400), 1, 1, 1),
        (status(401), 1, 1, 1),
        (status(403), 1, 1, 1),
        (status(404), 1, 1, 1),
        (status(409), 1, 1, 1),
        (status(501), 1, 1, 1),
        (CertificateError("unknown authority"), 1, 1, 1),
        (TunnelForbidden("407"), 1, 1, 1),
        (TunnelRefused("502"), OFTEN, OFTEN, OFTEN),
        (httpx.LocalProtocolError("bad header"), 1, 1, 1),
        (httpx.UnsupportedProtocol("ftp"), 1, 1, 1),
    ],
)
@pytest.mark.parametrize(
    ("kind", "of"),
    [
        ("safe", request("GET")),
        ("safe", request("HEAD")),
        ("repeatable", request("OPTIONS")),
        ("repeatable", request("PUT")),
        ("repeatable", request("DELETE")),
        ("repeatable", request("POST", idempotency_key='"k"')),
        ("repeatable", request("PATCH", idempotency_key='"k"')),
        ("other", request("POST")),
        ("other", request("PATCH")),
    ],
)
async def test_when_an_outcome_does_not_change_then_the_table_says_how_often_it_is_tried(
    outcome: httpx.Response | BaseException,
    safe: int,
    repeatable: int,
    other: int,
    kind: str,
    of: httpx.Request,
) -> None:
    """Every row of the table with every kind of request, in number of attempts."""
    expected = {"safe": safe, "repeatable": repeatable, "other": other}[kind]

    assert expected == await attempts_of(Run(outcome, policy=AS_THE_POLICY_SAYS), of)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), ValueError()])
async def test_when_an_error_is_not_in_the_table_then_it_is_raised_at_once(
    error: BaseException,
) -> None:
    """Cancellation and bugs are nobody's trouble to repeat."""
    run = Run(error)

    with pytest.raises(type(error)):
        await run.of(request("GET"))
    assert 1 == run.attempts


async def test_when_a_later_failure_is_not_in_the_table_then_it_is_the_outcome() -> None:
    """Nothing was sent at first; then a POST was, and it may have been carried out."""
    run = Run(CONNECT, DROPPED, status(200))
    with pytest.raises(httpx.RemoteProtocolError):
        await run.of(request("POST"))

    assert 2 == run.attempts


async def test_when_connections_are_dropped_then_the_first_retry_is_without_a_pause() -> None:
    """A new connection is all that was missing; the second time it is not."""
    run = Run(DROPPED, DROPPED, status(200))

    assert 200 == (await run.of(request("GET"))).status_code
    assert [0.0, FIRST_PAUSE_SECONDS] == run.pauses


async def test_when_attempts_go_on_failing_then_the_jitter_doubles_up_to_its_bound() -> None:
    """Full jitter: all of the range, from nothing to the bound."""
    longest = Run(CONNECT, policy=RetryPolicy(9, 1_000.0, 1.0), random=1.0)
    shortest = Run(CONNECT, policy=RetryPolicy(9, 1_000.0, 1.0), random=0.0)
    await attempts_of(longest, request("GET"))
    await attempts_of(shortest, request("GET"))

    assert [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0] == pytest.approx(longest.pauses)
    assert LONGEST_PAUSE_SECONDS == max(longest.pauses)
    assert [0.0] * 8 == shortest.pauses


@pytest.mark.parametrize("code", [429, 503])
async def test_when_the_server_says_when_then_the_pause_is_no_shorter(code: int) -> None:
    """Jitter comes on top of it."""
    run = Run(status(code, retry_after="7"), status(200), random=0.5)
    await run.of(request("GET"))

    assert [7.0 + 0.5 * FIRST_PAUSE_SECONDS] == run.pauses


async def test_when_the_server_gives_a_date_then_the_pause_lasts_until_then() -> None:
    """Measured from our clock, which stands at 22:13:20."""
    run = Run(status(429, retry_after="Tue, 14 Nov 2023 22:13:30 GMT"), status(200), random=0.0)
    await run.of(request("POST"))

    assert [10.0] == run.pauses


@pytest.mark.parametrize(("seconds", "attempts"), [(5.0, 1), (10.0, 1), (10.1, 2)])
async def test_when_the_pause_would_outlast_the_deadline_then_nobody_pauses(
    seconds: float, attempts: int
) -> None:
    """The caller gets the answer that is there, at once."""
    run = Run(status(429, retry_after="10"), status(200), seconds=seconds, random=0.0)
    response = await run.of(request("GET"))

    assert attempts == run.attempts
    assert (429 if attempts == 1 else 200) == response.status_code


@pytest.mark.parametrize(("window", "attempts"), [(9.9, 1), (10.0, 2)])
async def test_when_the_window_is_over_then_no_attempt_begins(window: float, attempts: int) -> None:
    """The policy bounds in time how long trying again is worth it."""
    run = Run(
        status(503, retry_after="10"),
        status(200),
        policy=RetryPolicy(attempts=3, window_seconds=window, read_seconds=1.0),
        random=0.0,
    )
    await run.of(request("GET"))

    assert attempts == run.attempts


async def test_when_the_budget_is_spent_then_the_first_answer_is_the_last() -> None:
    """Retries may add a fifth to the load, not more."""
    run = Run(status(503), budget_left=False)

    assert 503 == (await run.of(request("GET"))).status_code
    assert 1 == run.attempts


async def test_when_the_attempts_are_used_up_then_the_last_outcome_is_the_outcome() -> None:
    """The API's own answer is handed on, and so is the error."""
    answered = Run(status(502), status(503), policy=PROXY_POLICY)
    failed = Run(CONNECT, policy=PROXY_POLICY)

    assert 503 == (await answered.of(request("GET"))).status_code
    with pytest.raises(httpx.ConnectError):
        await failed.of(request("GET"))
    assert (3, 3) == (answered.attempts, failed.attempts)


async def test_when_an_answer_is_replaced_then_it_is_disposed_of_first() -> None:
    """Each but the last: an answer left open would hold its connection."""
    answers = (status(503), status(502), status(200))
    run = Run(*answers)
    response = await run.of(request("GET"))

    assert answers[2] is response
    assert [*answers[:2]] == run.discarded


async def test_when_an_attempt_is_retried_then_the_log_says_why_and_after_what_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line a retry, with the pause to a millisecond."""
    failed = status(503)
    failed.headers["x-amzn-requestid"] = "theirs-1"
    run = Run(failed, CONNECT, status(200), random=0.123456)
    with caplog.at_level(logging.INFO):
        await run.of(request("GET"))

    assert ["attempt_retried"] * 2 == [line.getMessage() for line in caplog.records]
    assert [
        {
            "trouble": "unavailable",
            "attempt": 1,
            "aws_request_id": "theirs-1",
            "pause_seconds": 0.025,
        },
        {"trouble": "connect", "attempt": 2, "aws_request_id": None, "pause_seconds": 0.049},
    ] == [vars(line)["bridge_fields"] for line in caplog.records]


def test_when_policies_are_compared_then_they_are_the_documented_ones() -> None:
    """Three attempts in three seconds for whoever waits, six in thirty for the sync job."""
    assert (3, 3.0) == (PROXY_POLICY.attempts, PROXY_POLICY.window_seconds)
    assert (6, 30.0) == (SYNC_POLICY.attempts, SYNC_POLICY.window_seconds)


@pytest.mark.parametrize("build", [httpx.ConnectError, httpx.ConnectTimeout])
def test_when_nothing_was_sent_then_it_is_connect_trouble(
    build: Callable[[str], httpx.TransportError],
) -> None:
    """The one kind that any request may be repeated after."""
    assert Failure.CONNECT is failure_of(build("x"))
