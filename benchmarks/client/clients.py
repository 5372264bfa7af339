"""The clients that are compared, each set up as its own documentation says."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import httpx
import httpx2
from httpx_aiohttp import HttpxAiohttpClient

from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.aws_api.retry import Retrier
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.deadline import Deadline
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.token_provider import TokenProvider
from benchmarks.client.upstream import BODY_BYTES
from shared.clock import SystemClock

TIMEOUT: Final = 30.0
"""Seconds; longer than the slowest of them needs, so that none is cut short."""
PATH: Final = "/v1/records"
_CLOCK: Final = SystemClock()
# As long as a real one: some 1,300 characters travel with each request.
MADE_UP_TOKEN: Final = f"{'h' * 100}.{'p' * 858}.{'s' * 342}"

type Get = Callable[[str], Awaitable[None]]
"""Gets a path, and reads and checks the whole answer."""
type Open = Callable[[str, int], AbstractAsyncContextManager[Get]]
"""Opens the client on an origin, with at most so many connections."""


class WrongAnswer(Exception):
    """The answer is not the one that the server gives."""


def check(status: int, content: bytes) -> None:
    """Raise unless the answer is the one that the server gives."""
    if status != httpx.codes.OK or len(content) != BODY_BYTES:
        raise WrongAnswer(f"{status}, {len(content)} bytes")


@asynccontextmanager
async def _open_bridge(origin: str, connections: int) -> AsyncIterator[Get]:
    async with build_client(connections=connections, waiting=1000, connect_seconds=3.0) as client:

        async def get(path: str) -> None:
            response = await client.get(origin + path, timeout=TIMEOUT)
            check(response.status_code, response.content)

        yield get


def build_token_provider(request_token: Callable[[], AccessToken]) -> TokenProvider:
    """A token provider over the given source."""
    return TokenProvider(request_token, clock=_CLOCK, random=random.random, wait_seconds=5.0)


def good_token() -> AccessToken:
    """A token that outlasts every run."""
    return AccessToken(MADE_UP_TOKEN, _CLOCK.now() + 86_400)


def build_api(origin: str, client: httpx.AsyncClient) -> ApiClient:
    """Every layer over the given client, as in the Function App."""
    return ApiClient(
        destination=Destination.parse(origin),
        client=client,
        token_provider=build_token_provider(good_token),
        retrier=Retrier(
            budget=RetryBudget(_CLOCK), clock=_CLOCK, random=random.random, sleep=asyncio.sleep
        ),
        breaker=CircuitBreaker(clock=_CLOCK, random=random.random),
    )


@asynccontextmanager
async def _open_api(origin: str, connections: int) -> AsyncIterator[Get]:
    api = build_api(
        origin, build_client(connections=connections, waiting=1000, connect_seconds=3.0)
    )

    async def get(path: str) -> None:
        answer = await api.fetch(ApiRequest("GET", path), deadline=Deadline.after(TIMEOUT, _CLOCK))
        check(answer.status_code, answer.content)

    try:
        yield get
    finally:
        await api.aclose()


@asynccontextmanager
async def _open_aiohttp(origin: str, connections: int) -> AsyncIterator[Get]:
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def get(path: str) -> None:
            async with session.get(origin + path) as response:
                check(response.status, await response.read())

        yield get


@asynccontextmanager
async def _open_httpx(client: httpx.AsyncClient, origin: str) -> AsyncIterator[Get]:
    async with client:

        async def get(path: str) -> None:
            response = await client.get(origin + path)
            check(response.status_code, response.content)

        yield get


def _limits(connections: int) -> httpx.Limits:
    # A connection for each caller, kept: the same as all the others have.
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def _open_httpx_aiohttp(origin: str, connections: int) -> AbstractAsyncContextManager[Get]:
    client = HttpxAiohttpClient(limits=_limits(connections), timeout=TIMEOUT, trust_env=False)
    return _open_httpx(client, origin)


def _open_stock_httpx(origin: str, connections: int) -> AbstractAsyncContextManager[Get]:
    client = httpx.AsyncClient(limits=_limits(connections), timeout=TIMEOUT, trust_env=False)
    return _open_httpx(client, origin)


def _open_default_httpx(origin: str, connections: int) -> AbstractAsyncContextManager[Get]:  # noqa: ARG001 - it has its own limits: 100 connections, 20 kept
    return _open_httpx(httpx.AsyncClient(timeout=TIMEOUT, trust_env=False), origin)


@asynccontextmanager
async def _open_httpx2(origin: str, connections: int) -> AsyncIterator[Get]:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx2.AsyncClient(limits=limits, timeout=TIMEOUT, trust_env=False) as client:

        async def get(path: str) -> None:
            response = await client.get(origin + path)
            check(response.status_code, response.content)

        yield get


@dataclass(frozen=True, slots=True)
class Client:
    """One of the clients compared."""

    name: str
    """Its key in the results."""
    title: str
    open: Open


BRIDGE: Final = Client("bridge", "the bridge's transport, `client.get`", _open_bridge)
BRIDGE_API: Final = Client("bridge_api", "the bridge, every layer (`fetch`)", _open_api)
AIOHTTP: Final = Client("aiohttp", "aiohttp itself", _open_aiohttp)
HTTPX_AIOHTTP: Final = Client("httpx_aiohttp", "httpx over httpx-aiohttp", _open_httpx_aiohttp)
HTTPX2: Final = Client("httpx2", "httpx2", _open_httpx2)
STOCK_HTTPX: Final = Client("httpx", "stock httpx, a kept connection a caller", _open_stock_httpx)
DEFAULT_HTTPX: Final = Client(
    "httpx_default", "stock httpx, its default limits", _open_default_httpx
)

CLIENTS: Final = (
    BRIDGE,
    BRIDGE_API,
    AIOHTTP,
    HTTPX_AIOHTTP,
    HTTPX2,
    STOCK_HTTPX,
    DEFAULT_HTTPX,
)
