"""Builds the calling core for tests, each layer real unless a test replaces it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.client import ApiClient
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.aws_api.retry import Retrier
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.token_provider import TokenProvider
from azure_function_app.telemetry.spans import NO_SPANS, SpanRecorder
from shared.clock import Clock, SystemClock

TOKEN = "made-up.access.token"


def middle() -> float:
    """Jitter that is always half."""
    return 0.5


def token_source(clock: Clock, *values: str, life: float = 3600.0) -> Callable[[], AccessToken]:
    """Hands out these tokens one after the other, and the last one again and again."""
    remaining = list(values or (TOKEN,))

    def request_token() -> AccessToken:
        value = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return AccessToken(value, clock.now() + life)

    return request_token


def build_token_provider(
    request_token: Callable[[], AccessToken], clock: Clock, **options: object
) -> TokenProvider:
    """A token provider over the given source."""
    return TokenProvider(
        request_token,
        clock=clock,
        random=middle,
        **{"wait_seconds": 5.0} | options,  # type: ignore[arg-type] # each option is checked by its name
    )


def build_api(
    base_url: str,
    client: httpx.AsyncClient,
    *,
    clock: Clock | None = None,
    tokens: TokenProvider | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    random: Callable[[], float] = middle,
    spans: SpanRecorder = NO_SPANS,
) -> ApiClient:
    """The API client over the given HTTP client."""
    clock = clock or SystemClock()
    return ApiClient(
        destination=Destination.parse(base_url),
        client=client,
        token_provider=tokens or build_token_provider(token_source(clock), clock),
        retrier=Retrier(budget=RetryBudget(clock), clock=clock, random=random, sleep=sleep),
        breaker=CircuitBreaker(clock=clock, random=middle),
        spans=spans,
    )


@asynccontextmanager
async def real_api(
    base_url: str,
    *,
    tls: ssl.SSLContext | None = None,
    connections: int = 10,
    waiting: int = 1_000,
) -> AsyncIterator[ApiClient]:
    """The API client over real sockets, closed at the end of the block."""
    client = build_client(
        connections=connections, waiting=waiting, connect_seconds=3.0, ssl_context=tls
    )
    api = build_api(base_url, client)
    try:
        yield api
    finally:
        await api.aclose()
