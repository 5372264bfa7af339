"""The transport's end: cancelled anywhere, closed with calls under way, gone with its loop."""

import asyncio
import gc
import os
import ssl
import warnings
from collections.abc import AsyncIterator

import httpx
import pytest

from azure_function_app.aws_api.direct_client import build_client
from tests.integration.test_transport_faults import client_of
from tests.support.faulty_server import Exchange, FaultyServer, answer, faulty_server
from tests.support.odd_answers import echo
from tests.support.transport_calls import (
    open_descriptors,
    resolve_to,
    tls_contexts,
    transport_of,
    until,
)

PAD = b"." * 400_000
MANY_STEPS = 3_000


async def echo_at_length(exchange: Exchange) -> None:
    """Answer with what was asked for and much after it, in chunks."""
    body = exchange.request.target.encode() + PAD
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    await exchange.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


async def upload() -> AsyncIterator[bytes]:
    """More than the sockets' buffers hold."""
    for _ in range(16):
        yield PAD
        await asyncio.sleep(0)


async def put(client: httpx.AsyncClient, url: str, target: str) -> None:
    """Send much, and read much that is ours."""
    response = await client.put(url + target, content=upload())
    assert target.encode() + PAD == response.content


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_when_a_call_is_cancelled_at_any_step_then_nothing_of_it_is_left(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connect, TLS, upload, head and body: after each step of the loop the server sees the end."""
    tls = tls_contexts()
    server_tls = tls.server if scheme == "https" else None
    async with faulty_server(echo_at_length, tls=server_tls) as server:
        resolve_to(monkeypatch, ("127.0.0.1", server.port))
        url = f"{scheme}://127.0.0.1:{server.port}"
        async with client_of(tls=tls.client) as client:
            await put(client, url, "/warm")
        assert await until(lambda: server.open_connections == 0)
        descriptors = open_descriptors()
        steps = 0
        while await is_cancelled_after(steps, server, url, tls.client):
            steps += 1 + steps // 20
            assert steps < MANY_STEPS

        assert await until(lambda: descriptors == open_descriptors())
    assert steps > 20


async def is_cancelled_after(
    steps: int, server: FaultyServer, url: str, tls: ssl.SSLContext
) -> bool:
    """Cancel a call after so many steps and look for traces; return whether it was not over yet."""
    async with client_of(tls=tls) as client:
        task = asyncio.create_task(put(client, url, "/cancelled"))
        for _ in range(steps):
            await asyncio.sleep(0)
        was_cancelled = task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        if was_cancelled:
            assert task.cancelled()
            assert await until(lambda: server.open_connections == 0), f"open after {steps} steps"
        await put(client, url, f"/after-{steps}")
        assert 1 == server.open_connections
    assert await until(lambda: server.open_connections == 0)
    return was_cancelled


@pytest.mark.parametrize("steps", [*range(12), 20, 40, 80])
async def test_when_it_is_closed_with_a_call_under_way_then_the_call_ends_and_nothing_stays_open(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the call is: in the look-up, connecting, or waiting for the answer."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await echo(exchange)

    async with faulty_server(behave) as server:
        asked = resolve_to(monkeypatch, ("127.0.0.1", server.port), seconds=0.0)
        transport = transport_of()
        request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
        task = asyncio.create_task(transport.handle_async_request(request))
        for _ in range(steps):
            await asyncio.sleep(0)
        await transport.aclose()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)

        assert isinstance(outcome, (httpx.TransportError, RuntimeError))
        assert await until(lambda: server.open_connections == 0)
    assert len(asked) <= 1


async def test_when_it_is_closed_during_a_look_up_then_the_call_is_not_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody cancelled the caller's task, so it must not look like that."""
    resolve_to(monkeypatch, ("127.0.0.1", 9), seconds=5.0)
    transport = transport_of()
    request = httpx.Request("GET", "http://api.example/")
    task = asyncio.create_task(transport.handle_async_request(request))
    await asyncio.sleep(0.01)
    await transport.aclose()

    with pytest.raises(httpx.ConnectError):
        await asyncio.wait_for(task, 2)


async def test_when_it_is_closed_then_it_sends_nothing_more() -> None:
    """A connection that is opened later would be closed by nobody."""
    async with faulty_server(answer()) as server:
        transport = transport_of()
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.handle_async_request(
                httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
            )

    assert 0 == server.connections


async def test_when_it_is_closed_while_a_body_without_length_is_read_then_it_is_not_whole() -> None:
    """Our own closing is not the end of the server's body."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await exchange.writer.wait_closed()

    async with faulty_server(behave) as server:
        client = build_client(connections=1, waiting=0, connect_seconds=5.0)
        request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
        response = await client.send(request, stream=True)
        reading = asyncio.create_task(response.aread())
        await asyncio.sleep(0.05)
        await client.aclose()
        with pytest.raises(httpx.TransportError):
            await reading


async def test_when_a_large_answer_is_left_unread_then_the_next_caller_does_not_wait_for_ever() -> (
    None
):
    """All of it has come in, so its connection is kept, and must read again."""
    async with faulty_server(answer(200, b"x" * 400_000), echo) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        response = await client.send(httpx.Request("GET", url + "/"), stream=True)
        await asyncio.sleep(0.2)
        await response.aclose()
        next_one = await client.get(url + "/own", timeout=2)

    assert b"/own" == next_one.content


def test_when_the_loop_ends_after_it_was_closed_then_nothing_is_left_to_warn_of() -> None:
    """A loop that ends leaves no transport, no socket and no task of ours."""

    async def call() -> None:
        async with faulty_server(echo) as server, client_of() as client:
            url = f"http://127.0.0.1:{server.port}"
            await asyncio.gather(*(client.get(f"{url}/{n}") for n in range(5)))

    descriptors = open_descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(call(), debug=True)
        gc.collect()

    assert descriptors == open_descriptors()


def test_when_two_loops_have_a_transport_each_then_each_works() -> None:
    """One after the other, as a worker that starts a new loop has them."""

    async def call(target: str) -> bytes:
        async with faulty_server(echo) as server, client_of() as client:
            response = await client.get(f"http://127.0.0.1:{server.port}{target}")
            return response.content

    assert [b"/1", b"/2"] == [asyncio.run(call(target)) for target in ("/1", "/2")]


async def test_when_a_transport_is_used_on_another_loop_then_it_says_so() -> None:
    """Also where it has no open connection."""
    transport = transport_of()
    async with faulty_server(answer(200, b"", ("Connection", "close"))) as server:
        request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
        await (await transport.handle_async_request(request)).aread()

        def call() -> None:
            asyncio.run(transport.handle_async_request(request))

        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(call)
    await transport.aclose()


async def test_when_an_idle_connection_is_pushed_to_then_it_is_closed_before_anybody_asks() -> None:
    """It is not only not used: it is gone."""
    async with faulty_server(echo) as server, client_of() as client:
        await client.get(f"http://127.0.0.1:{server.port}/1")
        os.write(server.writers[0].get_extra_info("socket").fileno(), b"x")

        assert await until(lambda: server.open_connections == 0)
