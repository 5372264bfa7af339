"""What each layer costs a call that goes well, without a socket."""

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter_ns
from typing import Final, cast

import httpx

from azure_function_app.aws_api.bearer_auth import BearerAuth
from azure_function_app.aws_api.bulkhead_transport import BulkheadTransport
from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.client import ApiRequest
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import DirectClient
from azure_function_app.aws_api.retry import PROXY_POLICY, Retrier, rules_for
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.identity.access_token import AccessToken
from benchmarks.client.clients import (
    MADE_UP_TOKEN,
    build_api,
    build_token_provider,
    good_token,
)
from shared.clock import SystemClock

COLD_CALLERS: Final = 64
_CALLS: Final = 5_000
_ROUNDS: Final = 7
_BASE_URL: Final = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/prod"
_PATH: Final = "/v1/records/EGLL"
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer and what it adds to a call."""

    name: str
    title: str
    nanoseconds: float


async def measure_layers(show: Callable[[str], None]) -> tuple[Layer, ...]:
    """Each layer's median cost over several rounds.

    What a loop costs by itself is taken off, what awaiting costs is not: it is part of the layer.
    """
    cases = await _build_cases()
    costs: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(_ROUNDS):
        show(f"layers, round {number + 1} of {_ROUNDS}")
        for name, (_, work) in cases.items():
            costs[name].append(await work(_CALLS) - _empty_loop(_CALLS))
    return tuple(Layer(name, title, median(costs[name])) for name, (title, _) in cases.items())


async def count_token_requests() -> int:
    """How many tokens are asked for when so many callers come at once and none is there yet."""
    asked: list[None] = []
    may_answer = threading.Event()

    def request_token() -> AccessToken:
        asked.append(None)
        may_answer.wait()
        return good_token()

    provider = build_token_provider(request_token)
    callers = [asyncio.create_task(provider.get_token()) for _ in range(COLD_CALLERS)]
    await asyncio.sleep(0.05)
    may_answer.set()
    tokens = await asyncio.gather(*callers)
    await provider.aclose()
    if {token.value for token in tokens} != {MADE_UP_TOKEN}:
        raise RuntimeError("a caller got another token than the one there is")
    return len(asked)


type _Work = Callable[[int], Awaitable[float]]
"""The nanoseconds a call, over so many calls."""


def _empty_loop(calls: int) -> float:
    begun = perf_counter_ns()
    for _ in range(calls):
        pass
    return (perf_counter_ns() - begun) / calls


def _sync(call: Callable[[], object]) -> _Work:
    async def work(calls: int) -> float:
        begun = perf_counter_ns()
        for _ in range(calls):
            call()
        return (perf_counter_ns() - begun) / calls

    return work


def _async(call: Callable[[], Awaitable[object]]) -> _Work:
    async def work(calls: int) -> float:
        begun = perf_counter_ns()
        for _ in range(calls):
            await call()
        return (perf_counter_ns() - begun) / calls

    return work


class _Answered:
    """An attempt's outcome, as far as the retry tables look at it."""

    status_code = 200
    headers = httpx.Headers()


class _AnsweringTransport(httpx.AsyncBaseTransport):
    """Answers at once, so that what is left is what lies above the transport."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_OnePiece(), request=request)


class _PreparedTransport(httpx.AsyncBaseTransport):
    """Answers with one and the same response, so that none has to be made."""

    def __init__(self) -> None:
        self._response = httpx.Response(200, stream=_OnePiece())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002 - httpx names it
        # In place of the stream that was put around it.
        self._response.stream = _OnePiece()
        return self._response


class _OnePiece(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{}"


async def _read_through(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
    response = await transport.handle_async_request(request)
    stream = cast("httpx.AsyncByteStream", response.stream)
    async for _ in stream:
        pass
    await stream.aclose()


async def _build_cases() -> dict[str, tuple[str, _Work]]:
    destination = Destination.parse(_BASE_URL)
    provider = build_token_provider(good_token)
    await provider.get_token()
    auth = BearerAuth(destination, provider)
    deadline = Deadline.after(86_400, _CLOCK)
    request = httpx.Request(
        "GET", destination.url(_PATH), extensions={DEADLINE_EXTENSION: deadline}
    )
    bulkhead = BulkheadTransport(_PreparedTransport(), limit=64, waiting=0, clock=_CLOCK)
    breaker = CircuitBreaker(clock=_CLOCK, random=random.random)
    retrier = Retrier(
        budget=RetryBudget(_CLOCK), clock=_CLOCK, random=random.random, sleep=asyncio.sleep
    )
    api = build_api(_BASE_URL, DirectClient(_AnsweringTransport(), httpx.Timeout(None)))

    async def authenticate() -> None:
        flow = auth.async_auth_flow(request)
        await anext(flow)
        await flow.aclose()

    def pass_breaker() -> None:
        permit = breaker.check()
        permit.sending()
        permit.succeeded()

    async def attempt() -> _Answered:
        return _Answered()

    async def discard(_: _Answered) -> None:
        return None

    async def retry() -> None:
        await retrier.run(
            attempt, discard, rules=rules_for(request), policy=PROXY_POLICY, deadline=deadline
        )

    async def deadline_timer() -> None:
        async with asyncio.timeout(deadline.remaining_seconds()):  # noqa: ASYNC100 - the timer is measured
            pass

    numbers = itertools.count()

    def new_url() -> None:
        destination.url(f"{_PATH}{next(numbers)}")

    async def fetch() -> None:
        await api.fetch(
            ApiRequest("GET", _PATH, headers=(("accept", "application/json"),)),
            deadline=Deadline.after(30.0, _CLOCK),
        )

    return {
        "token_cache_hit": ("token, from the cache", _async(provider.get_token)),
        "known_url": (
            "path checked, URL built, seen before",
            _sync(lambda: destination.url(_PATH)),
        ),
        "new_url": ("path checked, URL built, never seen", _sync(new_url)),
        "destination_check": ("final URL checked", _sync(lambda: destination.check(request))),
        "auth": ("auth: URL checked, token attached", _async(authenticate)),
        "retry": ("retry tables and budget", _async(retry)),
        "breaker": ("circuit breaker", _sync(pass_breaker)),
        "bulkhead": ("bulkhead, body read", _async(partial(_read_through, bulkhead, request))),
        "deadline": ("deadline's timer", _async(deadline_timer)),
        "above_transport": ("all above the transport, httpx included", _async(fetch)),
    }
