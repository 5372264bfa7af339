"""A 401 while its token cannot be renewed, on real sockets: it keeps nobody else from the API."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from azure_function_app.aws_api.client import ApiClient, ApiRequest, ApiResponse
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendUnavailable
from azure_function_app.identity.access_token import AccessToken
from shared.clock import SystemClock
from tests.support.calling import TOKEN, build_api, build_token_provider, token_source
from tests.support.faulty_server import Behavior, Exchange, FaultyServer, answer, faulty_server
from tests.support.transport_calls import until

CLOCK = SystemClock()
WAIT_SECONDS = 1.0


def get(path: str) -> ApiRequest:
    """A request that the API rejects or answers, as its path says."""
    return ApiRequest("GET", path)


@asynccontextmanager
async def api_without_new_tokens(
    rejecting: Behavior,
) -> AsyncIterator[tuple[ApiClient, FaultyServer]]:
    """An API with one place, and an endpoint that gives one token and hangs from then on."""
    released = threading.Event()
    tokens = [AccessToken(TOKEN, CLOCK.now() + 3600)]

    def request_token() -> AccessToken:
        if tokens:
            return tokens.pop()
        released.wait()
        raise RuntimeError("the endpoint hung")

    async def behave(exchange: Exchange) -> None:
        is_rejected = exchange.request.target == "/rejected"
        await (rejecting if is_rejected else answer())(exchange)

    async with faulty_server(behave) as server:
        api = build_api(
            f"http://127.0.0.1:{server.port}",
            build_client(connections=1, waiting=10, connect_seconds=5.0),
            tokens=build_token_provider(request_token, CLOCK, wait_seconds=WAIT_SECONDS),
        )
        try:
            yield api, server
        finally:
            released.set()
            await api.aclose()


async def is_read(server: FaultyServer) -> None:
    """Wait until the server has a request."""
    assert await until(lambda: bool(server.requests))
    # Until its answer has come, and the token is asked for.
    await asyncio.sleep(0.05)


async def call(api: ApiClient, path: str, seconds: float) -> ApiResponse:
    """Make a call with so much time."""
    return await api.fetch(get(path), deadline=Deadline.after(seconds, CLOCK))


async def test_when_a_token_is_rejected_and_none_comes_then_others_are_answered_meanwhile() -> None:
    """Who waits for a token holds no place: the API has done its part."""
    async with api_without_new_tokens(answer(401, b"why")) as (api, server):
        rejected = asyncio.create_task(call(api, "/rejected", 5.0))
        await is_read(server)
        other = await call(api, "/other", WAIT_SECONDS / 2)
        is_waiting = not rejected.done()
        response = await rejected

    assert (200, True) == (other.status_code, is_waiting)
    assert (401, b"why") == (response.status_code, response.content)
    assert 1 == server.connections


async def test_when_a_caller_leaves_while_a_token_is_renewed_then_its_place_is_free() -> None:
    """The rejected answer is closed, whatever ends the call."""
    async with api_without_new_tokens(answer(401, b"why")) as (api, server):
        for _ in range(3):
            server.requests.clear()
            rejected = asyncio.create_task(call(api, "/rejected", 5.0))
            await is_read(server)
            rejected.cancel()
            with pytest.raises(asyncio.CancelledError):
                await rejected
        other = await call(api, "/other", WAIT_SECONDS / 2)

    assert 200 == other.status_code


async def test_when_none_comes_then_what_the_api_takes_is_not_what_the_token_takes() -> None:
    """Who has less time than the wait for a token may still wait for a place."""
    async with api_without_new_tokens(answer(401, b"why")) as (api, _):
        await call(api, "/rejected", 5.0)
        others = await asyncio.gather(*(call(api, "/other", WAIT_SECONDS / 2) for _ in range(5)))

    assert [200] * 5 == [other.status_code for other in others]


async def break_off(exchange: Exchange) -> None:
    """Answer 401, and end the connection within its body."""
    await exchange.send(b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nwhy")
    exchange.close()


@pytest.mark.parametrize("rejecting", [answer(401, b"why"), break_off])
async def test_when_a_newer_token_comes_then_the_call_is_made_once_more(
    rejecting: Behavior,
) -> None:
    """A POST, too: what was rejected was not carried out, however its answer ended."""
    async with faulty_server(rejecting, answer(201)) as server:
        api = build_api(
            f"http://127.0.0.1:{server.port}",
            build_client(connections=1, waiting=10, connect_seconds=5.0),
            tokens=build_token_provider(token_source(CLOCK, "old.a.b", "new.a.b"), CLOCK),
        )
        response = await api.fetch(
            ApiRequest("POST", "/v1/records", content=b"{}"), deadline=Deadline.after(5.0, CLOCK)
        )
        await api.aclose()

    assert 201 == response.status_code
    assert ["Bearer old.a.b", "Bearer new.a.b"] == [
        value for request in server.requests for value in request.values("authorization")
    ]


async def test_when_no_newer_token_comes_then_a_broken_answer_is_an_error() -> None:
    """Half of a rejection is no answer."""
    async with api_without_new_tokens(break_off) as (api, _):
        with pytest.raises(BackendUnavailable) as caught:
            await call(api, "/rejected", 5.0)

    assert "backend_protocol" == caught.value.code
