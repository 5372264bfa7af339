"""Requests that do not go out whole: answered too early, cut off, or badly made by the caller."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest

from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded
from shared.clock import SystemClock
from tests.integration.test_transport_faults import client_of
from tests.support.faulty_server import Exchange, faulty_server
from tests.support.odd_answers import OK, echo, sends
from tests.support.transport_calls import until

CLOCK = SystemClock()
MIB = 1024 * 1024
PIECE = b"0123456789abcdef" * 4096


@pytest.mark.parametrize("is_closing", [False, True])
async def test_when_the_answer_comes_during_the_upload_then_the_rest_is_not_sent(
    *, is_closing: bool
) -> None:
    """The caller gets the answer, and its connection carries nothing more."""
    taken = 0
    connections = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100_000):
            taken += len(PIECE)
            yield PIECE
            await asyncio.sleep(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(OK + b"Content-Length: 2\r\n\r\nme")
        else:
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
        if is_closing:
            writer.close()
            return
        with suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, client_of() as client:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcome: httpx.Response | None = None
        try:
            outcome = await client.put(url, content=body(), timeout=5)
        except (httpx.ReadError, httpx.RemoteProtocolError):
            # Its RST can overtake what it sent (RFC 9112 section 9.6).
            assert is_closing
        own = await client.get(url, timeout=5)

    assert outcome is None or (413, b"large") == (outcome.status_code, outcome.content)
    assert b"me" == own.content
    assert 2 == connections
    assert taken < 64 * MIB


async def raising() -> AsyncIterator[bytes]:
    """A body whose source breaks."""
    yield b"some"
    raise KeyError("source")


async def hanging() -> AsyncIterator[bytes]:
    """A body whose source stops."""
    yield b"some"
    await asyncio.sleep(60)


async def short() -> AsyncIterator[bytes]:
    """Four bytes."""
    yield b"some"


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (raising, {}, KeyError),
        (raising, {"Content-Length": "100"}, KeyError),
        (hanging, {}, DeadlineExceeded),
        (hanging, {"Content-Length": "100"}, DeadlineExceeded),
        (short, {"Content-Length": "100"}, httpx.LocalProtocolError),
        (short, {"Content-Length": "3"}, httpx.LocalProtocolError),
        (short, {"Content-Length": "0"}, httpx.LocalProtocolError),
    ],
)
async def test_when_the_callers_body_is_at_fault_then_the_server_gets_no_whole_request(
    body: Callable[[], AsyncIterator[bytes]], headers: dict[str, str], expected: type[Exception]
) -> None:
    """Nor does the next request end up in the rest of this one."""
    async with faulty_server(echo) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        for _ in range(2):
            with pytest.raises(expected):
                await client.put(
                    url + "/bad",
                    content=body(),
                    headers=headers,
                    extensions={DEADLINE_EXTENSION: Deadline.after(0.3, CLOCK)},
                )
            own = await client.get(url + "/own", timeout=5)
            assert b"/own" == own.content

        assert await until(lambda: server.open_connections <= 1)
    assert {"/own"} == {request.target for request in server.requests}


async def test_when_the_server_closes_its_half_after_the_answer_then_the_body_is_whole() -> None:
    """And the connection is not used again."""
    half = sends(b"%OWN%")

    async def behave(exchange: Exchange) -> None:
        await half(exchange)
        exchange.writer.write_eof()

    async with faulty_server(behave) as server, client_of() as client:
        for target in ("/1", "/2"):
            response = await client.get(f"http://127.0.0.1:{server.port}{target}", timeout=5)
            assert target.encode() == response.content

    assert 2 == server.connections


async def test_when_the_server_closes_its_half_during_the_upload_then_the_call_ends() -> None:
    """No answer can come any more, so nothing is left to wait for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        with suppress(ConnectionError):
            while await reader.read(65_536):
                pass
        writer.close()

    async def slow() -> AsyncIterator[bytes]:
        while True:
            yield PIECE
            await asyncio.sleep(0.001)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, client_of() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.put(
                f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/",
                content=slow(),
                extensions={DEADLINE_EXTENSION: Deadline.after(5.0, CLOCK)},
            )


@pytest.mark.parametrize("length", ["0", "3", "100"])
async def test_when_a_body_in_memory_is_not_as_long_as_announced_then_nothing_is_sent(
    length: str,
) -> None:
    """Its length is known, so not even the head goes out."""
    async with faulty_server(echo) as server, client_of() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.put(
                f"http://127.0.0.1:{server.port}/bad",
                content=b"some",
                headers={"Content-Length": length},
                timeout=2,
            )
        await client.aclose()
        await until(lambda: server.open_connections == 0)

    assert [] == server.requests
