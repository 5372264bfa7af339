"""The API client over canned responses: every layer is real down to httpx's own transport."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import httpx
from pytest_httpx import HTTPXMock

from azure_function_app.aws_api.bulkhead_transport import BEFORE_SENDING_EXTENSION
from azure_function_app.deadline import Deadline
from azure_function_app.telemetry.spans import NO_SPANS, SpanRecorder
from tests.support.calling import TOKEN, build_api, build_token_provider, token_source
from tests.support.fake_clock import FakeClock

BASE_URL = "https://api.example/prod"


class Body(httpx.AsyncByteStream):
    """A body that comes in two pieces, as a real one may."""

    def __init__(self, content: bytes) -> None:
        """Take the whole body."""
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield one half, then the other."""
        half = len(self.content) // 2
        yield self.content[:half]
        yield self.content[half:]


type Handler = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class Canned:
    """The same response to every request."""

    status: int = 200
    content: bytes = b""
    headers: Sequence[tuple[str, str]] = ()

    def __call__(self, _: httpx.Request) -> httpx.Response:
        """A new response, whose body nobody has read."""
        return httpx.Response(self.status, headers=list(self.headers), stream=Body(self.content))


def answering(status: int = 200, content: bytes = b"", *headers: tuple[str, str]) -> Canned:
    """An API that always gives that response."""
    return Canned(status, content, headers)


def problem(status: int, code: object) -> Canned:
    """An API that answers with a problem document."""
    content_type = ("content-type", "application/problem+json; charset=utf-8")
    return answering(status, json.dumps({"code": code}).encode(), content_type)


def raising(error: Exception) -> Handler:
    """An API that always fails in that way."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return fail


class CannedApi:
    """The API client, the API that `handle` makes up for it, and a clock that pauses move."""

    def __init__(
        self, httpx_mock: HTTPXMock, token: str = TOKEN, spans: SpanRecorder = NO_SPANS
    ) -> None:
        """Answer each request with an empty 200 until a test sets `handle`."""
        self.clock = FakeClock()
        self.requests: list[httpx.Request] = []
        self.handle: Handler = Canned()
        httpx_mock.add_callback(self._receive, is_reusable=True, is_optional=True)
        self.client = build_api(
            BASE_URL,
            httpx.AsyncClient(),
            clock=self.clock,
            tokens=build_token_provider(token_source(self.clock, token), self.clock),
            sleep=self._sleep,
            spans=spans,
        )

    def deadline(self, seconds: float = 30.0) -> Deadline:
        """A deadline on this clock."""
        return Deadline.after(seconds, self.clock)

    def _receive(self, request: httpx.Request) -> httpx.Response:
        # As the bulkhead does, which pytest-httpx's transport is without.
        request.extensions[BEFORE_SENDING_EXTENSION]()
        self.requests.append(request)
        return self.handle(request)

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
