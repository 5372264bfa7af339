"""The page about retries says what the code does, row by row and number by number.

The rows are driven through the retrier itself, so a changed rule fails here as a changed row does.
"""

import asyncio
import re
from pathlib import Path
from typing import Final

import httpx
import pytest

from azure_function_app.aws_api import circuit_breaker, retry, retry_budget
from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.retry import PROXY_POLICY, SYNC_POLICY, Retrier, RetryPolicy
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.deadline import Deadline
from azure_function_app.declared_settings import (
    CONCURRENT_CALLS,
    PROXY_CALL_SECONDS,
    PROXY_READ_SECONDS,
    SYNC_CALL_SECONDS,
    SYNC_READ_SECONDS,
    WAITING_CALLS,
)
from azure_function_app.errors import CircuitOpen, DeadlineExceeded, Overloaded
from azure_function_app.http1.errors import CertificateError, TunnelForbidden
from tests.support.fake_clock import FakeClock

PAGE: Final = (Path(__file__).parents[2] / "docs" / "retries.md").read_text(encoding="utf-8")

type Outcome = httpx.Response | BaseException

RETRY_AFTER: Final = {"Retry-After": "1"}
LISTED_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
OUTCOMES: Final[dict[str, tuple[Outcome, ...]]] = {
    "no connection, or none in time": (
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
    ),
    "untrusted certificate, or an HTTPS proxy that answers 4xx": (
        CertificateError("unknown authority"),
        TunnelForbidden("407"),
    ),
    "connection dropped, reset or broken off": (
        httpx.RemoteProtocolError("dropped"),
        httpx.ReadError("reset"),
        httpx.WriteError("reset"),
    ),
    "no response in time": (httpx.ReadTimeout("slow"),),
    "429 without Retry-After": (httpx.Response(429),),
    "429 with Retry-After": (httpx.Response(429, headers=RETRY_AFTER),),
    "500": (httpx.Response(500), httpx.Response(500, headers=RETRY_AFTER)),
    "502": (httpx.Response(502), httpx.Response(502, headers=RETRY_AFTER)),
    "503": (httpx.Response(503), httpx.Response(503, headers=RETRY_AFTER)),
    "504": (httpx.Response(504), httpx.Response(504, headers=RETRY_AFTER)),
    "any other status": tuple(
        httpx.Response(status) for status in range(200, 600) if status not in LISTED_STATUSES
    ),
    "any other error, cancellation included": (
        httpx.WriteTimeout("slow"),
        httpx.PoolTimeout("full"),
        httpx.CloseError("closed"),
        httpx.ProxyError("proxy"),
        httpx.LocalProtocolError("bad header"),
        httpx.UnsupportedProtocol("ftp"),
        httpx.DecodingError("not gzip"),
        httpx.TooManyRedirects("round and round"),
        CircuitOpen("open"),
        Overloaded("full"),
        DeadlineExceeded("late"),
        asyncio.CancelledError(),
        ValueError("a bug"),
    ),
}
URL: Final = "https://api.example/prod/v1"
KEYED: Final = {"Idempotency-Key": '"k"'}
REQUESTS: Final[dict[str, tuple[httpx.Request, ...]]] = {
    "GET, HEAD": (httpx.Request("GET", URL), httpx.Request("HEAD", URL)),
    "OPTIONS, PUT, DELETE, or with an Idempotency-Key": (
        *(httpx.Request(method, URL) for method in ("OPTIONS", "PUT", "DELETE")),
        *(httpx.Request(method, URL, headers=KEYED) for method in ("POST", "PATCH", "SPAM")),
    ),
    "other methods": tuple(
        httpx.Request(method, URL) for method in ("POST", "PATCH", "TRACE", "CONNECT", "SPAM")
    ),
}
ATTEMPTS: Final = 5
"""What the policy of these tests allows, so that it differs from "once"."""


def _table(heading: str) -> list[list[str]]:
    """The cells of the table under the heading, the header's row first."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set(row[0]) <= {"-"}]


async def _repeated(outcome: Outcome, request: httpx.Request) -> str:
    """How often the retrier repeats a request that always ends like that, in the page's words."""
    clock = FakeClock()
    pauses: list[float] = []
    attempts = 0

    async def attempt() -> httpx.Response:
        nonlocal attempts
        attempts += 1
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)

    async def discard(_: httpx.Response) -> None:
        """There is nothing to close."""

    retrier = Retrier(budget=RetryBudget(clock), clock=clock, random=lambda: 1.0, sleep=sleep)
    try:
        await retrier.run(
            attempt,
            discard,
            rules=retry.rules_for(request),
            policy=RetryPolicy(ATTEMPTS, 1_000.0, 1.0),
            deadline=Deadline.after(1_000.0, clock),
        )
    except BaseException as error:
        if error is not outcome:
            raise
    counts = {1: "no", 2: "once", ATTEMPTS: "as the policy says"}
    often = counts.get(attempts, f"{attempts} attempts")
    return f"{often}, the first at once" if pauses and not pauses[0] and all(pauses[1:]) else often


def test_when_the_table_is_read_then_it_has_the_rows_that_are_driven() -> None:
    """None that this file does not know, and none less."""
    header, *rows = _table("What is repeated")

    assert list(REQUESTS) == header[1:]
    assert list(OUTCOMES) == [row[0] for row in rows]


@pytest.mark.parametrize("row", _table("What is repeated")[1:], ids=lambda row: str(row[0]))
async def test_when_a_row_is_driven_then_the_retrier_does_what_it_says(row: list[str]) -> None:
    """Each outcome that the row means, with each request that the column means."""
    name, *says = row
    does = [
        {await _repeated(outcome, request) for outcome in OUTCOMES[name] for request in requests}
        for requests in REQUESTS.values()
    ]

    assert [{cell} for cell in says] == does


def test_when_the_code_knows_a_status_then_the_table_has_it() -> None:
    """A status that the code begins to repeat gets a row of its own."""
    known = {
        status for status in range(100, 600) if retry.failure_of(httpx.Response(status)) is not None
    }

    assert known == LISTED_STATUSES


def test_when_the_code_has_a_rule_then_a_row_reaches_it() -> None:
    """A rule for a failure that no outcome is taken for would be repeated by nothing."""
    reached = {retry.failure_of(outcome) for row in OUTCOMES.values() for outcome in row}
    ruled = {
        failure
        for requests in REQUESTS.values()
        for request in requests
        for failure in retry.rules_for(request)
    }

    assert ruled == reached - {None}


def test_when_the_policies_are_read_then_the_page_has_their_numbers() -> None:
    """The proxy's and the sync job's, and the defaults of their deadlines."""
    policies = (PROXY_POLICY, SYNC_POLICY)
    reads = (PROXY_READ_SECONDS, SYNC_READ_SECONDS)
    deadlines = (PROXY_CALL_SECONDS, SYNC_CALL_SECONDS)
    _, *rows = _table("How often, and for how long")

    assert [
        [policy.attempts for policy in policies],
        [policy.window_seconds for policy in policies],
        [read.parse(read.default or "") for read in reads],
        [deadline.parse(deadline.default or "") for deadline in deadlines],
    ] == [[float(cell) for cell in row[1:]] for row in rows]
    assert [policy.read_seconds for policy in policies] == [
        read.parse(read.default or "") for read in reads
    ]


def _open_seconds(random: float) -> float:
    """For how long the breaker stays open with that random number."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock=clock, random=lambda: random)
    for _ in range(circuit_breaker.FAILURES_IN_A_ROW):
        breaker.check().failed()
    with pytest.raises(CircuitOpen) as caught:
        breaker.check()
    return caught.value.retry_after_seconds or 0.0


def test_when_the_bounds_are_read_then_the_page_has_their_numbers() -> None:
    """Pauses, budget, circuit breaker and bulkhead."""
    clock = FakeClock()
    longest = Retrier(
        budget=RetryBudget(clock), clock=clock, random=lambda: 1.0, sleep=asyncio.sleep
    )
    _, *rows = _table("The pauses, and what bounds the load")

    assert [
        longest.jittered(1),
        longest.jittered(2) / longest.jittered(1),
        longest.jittered(60),
        retry_budget.SHARE,
        retry_budget.PER_SECOND,
        retry_budget.LARGEST_BALANCE,
        circuit_breaker.FAILURES_IN_A_ROW,
        _open_seconds(0.0),
        _open_seconds(1.0),
        CONCURRENT_CALLS.parse(CONCURRENT_CALLS.default or ""),
        WAITING_CALLS.parse(WAITING_CALLS.default or ""),
    ] == [float(row[1]) for row in rows]
