"""After an odd answer, whatever becomes of it, the next callers get their own answers."""

import asyncio
import os
from contextlib import suppress
from itertools import count

import httpx
import pytest

from azure_function_app.aws_api.client import ApiRequest
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import BridgeError, DeadlineExceeded
from shared.clock import SystemClock
from tests.support.calling import real_api
from tests.support.faulty_server import Behavior, Exchange, FaultyServer, faulty_server
from tests.support.odd_answers import FOREIGN, OK, OddAnswer, echo, odd_answers
from tests.support.transport_calls import tls_contexts, transport_of

CLOCK = SystemClock()
NEXT_CALLERS = 4
ODD_ANSWERS = odd_answers()
_numbers = count(1)


def cases() -> list[object]:
    """Each odd answer, to GET and to PUT, or to the one method to which it is odd."""
    return [
        pytest.param(odd, method, id=f"{odd.name}-{method}")
        for odd in ODD_ANSWERS
        for method in ([odd.method] if odd.method else ["GET", "PUT"])
    ]


def to_the_odd_one(odd: OddAnswer) -> Behavior:
    """Answer oddly to `/odd`, and well to everybody else."""

    async def behave(exchange: Exchange) -> None:
        await (odd.behavior if exchange.request.target == "/odd" else echo)(exchange)

    return behave


async def push(server: FaultyServer, odd: OddAnswer) -> None:
    """Let everything arrive; what is pushed just before the next request stays in the kernel."""
    await asyncio.sleep(odd.settles_seconds)
    if odd.pushed:
        # The client's loop has no chance to see it before it sends.
        os.write(server.writers[-1].get_extra_info("socket").fileno(), odd.pushed)


async def ask(client: httpx.AsyncClient, method: str, url: str) -> tuple[int, bytes, bytes]:
    """Make a call of our own: what came back, and what had to."""
    target = f"/{next(_numbers)}"
    response = await client.request(
        method,
        url + target,
        content=b"{}" if method == "PUT" else None,
        extensions={DEADLINE_EXTENSION: Deadline.after(5.0, CLOCK)},
    )
    return response.status_code, response.content, target.encode()


def test_the_list_is_long_enough() -> None:
    """At least seventy-five different ones."""
    assert 75 <= len({odd.name for odd in ODD_ANSWERS}) == len(ODD_ANSWERS)


@pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize(("odd", "method"), cases())
async def test_when_an_answer_is_odd_then_the_next_callers_get_their_own(
    odd: OddAnswer, method: str, *, is_kept: bool
) -> None:
    """The odd one may be an error or an answer; nobody after it pays for it."""
    async with (
        faulty_server(to_the_odd_one(odd), greetings=[odd.greeting]) as server,
        build_client(connections=10, waiting=100, connect_seconds=5.0) as client,
    ):
        url = f"http://127.0.0.1:{server.port}"
        for _ in range(is_kept):
            with suppress(httpx.TransportError, DeadlineExceeded):
                await ask(client, method, url)
        with suppress(httpx.TransportError, DeadlineExceeded):
            await client.request(
                method,
                url + "/odd",
                content=b"{}" if method == "PUT" else None,
                extensions={DEADLINE_EXTENSION: Deadline.after(0.25, CLOCK)},
            )
        await push(server, odd)
        after_it = "PUT" if method == "PUT" else "GET"
        answers = [await ask(client, after_it, url) for _ in range(NEXT_CALLERS)]

    assert [(200, own, own) for _, _, own in answers] == answers


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("odd", ODD_ANSWERS[::6], ids=lambda odd: odd.name)
async def test_when_an_answer_is_odd_then_the_next_calls_of_the_whole_client_get_their_own(
    odd: OddAnswer, method: str
) -> None:
    """The same through retries, token and breaker."""
    async with (
        faulty_server(to_the_odd_one(odd), greetings=[odd.greeting]) as server,
        real_api(f"http://127.0.0.1:{server.port}") as api,
    ):

        async def call(path: str, seconds: float = 5.0) -> tuple[int, bytes, bytes]:
            content = b"{}" if method == "PUT" else b""
            response = await api.fetch(
                ApiRequest(method, path, content=content), deadline=Deadline.after(seconds, CLOCK)
            )
            return response.status_code, response.content, path.encode()

        for path in ("/first", "/odd"):
            with suppress(BridgeError):
                await call(path, 0.3)
        await push(server, odd)
        answers = [await call(f"/{next(_numbers)}") for _ in range(NEXT_CALLERS)]

    assert [(200, own, own) for _, _, own in answers] == answers


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_when_a_408_crosses_the_next_request_then_that_one_is_sent_again(method: str) -> None:
    """It was sent before the request was read, so it is no answer to it."""
    async with (
        faulty_server(echo) as server,
        real_api(f"http://127.0.0.1:{server.port}") as api,
    ):
        paths = [f"/{next(_numbers)}" for _ in range(2)]
        first = await api.fetch(ApiRequest(method, paths[0]), deadline=Deadline.after(5.0, CLOCK))

        async def answers_with_a_stale_408(exchange: object) -> None:
            del exchange
            server.writers[0].write(
                b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            server.writers[0].close()

        server.script[:] = [answers_with_a_stale_408, echo]
        second = await api.fetch(ApiRequest(method, paths[1]), deadline=Deadline.after(5.0, CLOCK))

    assert [path.encode() for path in paths] == [first.content, second.content]
    assert 2 == server.connections


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", [100_000, 262_145, 300_000, 600_000])
async def test_when_a_large_answer_has_another_behind_it_then_the_next_caller_gets_its_own(
    size: int, *, is_tls: bool
) -> None:
    """Also where its reader was slow, and where TLS had taken the other one from the socket."""
    tls = tls_contexts()

    async def behave(exchange: Exchange) -> None:
        if exchange.request.target != "/large":
            await echo(exchange)
            return
        await exchange.send(OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
        await asyncio.sleep(0.1)
        await exchange.send(FOREIGN)

    async with (
        faulty_server(behave, tls=tls.server if is_tls else None) as server,
        transport_of(tls.client) as transport,
    ):
        url = f"{'https' if is_tls else 'http'}://127.0.0.1:{server.port}"
        large = await transport.handle_async_request(httpx.Request("GET", url + "/large"))
        await asyncio.sleep(0.3)
        content = await large.aread()
        # At once, so that the loop hears nothing in between.
        own = await transport.handle_async_request(httpx.Request("GET", url + "/own"))
        answers = [len(content), await own.aread()]

    assert [size, b"/own"] == answers
