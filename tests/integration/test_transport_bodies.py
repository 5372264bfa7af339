"""Bodies both ways on real sockets: framed in every way, large, slow, too early and too long."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest

from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded
from shared.clock import SystemClock
from tests.integration.test_transport_faults import client_of
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    answer,
    faulty_server,
    say_nothing,
)
from tests.support.odd_answers import CHUNKED, OK, byte_by_byte, echo, sends
from tests.support.transport_calls import tls_contexts, until

CLOCK = SystemClock()
MIB = 1024 * 1024
LARGE = 10 * MIB
PIECE = b"0123456789abcdef" * 4096
MOST_HELD_BYTES = 3 * MIB
"""Far less than the body: buffers of both sides, the server's half of the test included."""


async def pieces(count: int) -> AsyncIterator[bytes]:
    """A body of so many pieces."""
    for _ in range(count):
        yield PIECE


async def peak_bytes_of(call: Callable[[], object]) -> int:
    """The most that Python held during the call, above what it held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await call()  # type: ignore[misc]
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_when_a_large_body_is_sent_then_it_arrives_whole_and_memory_stays_small(
    scheme: str, *, is_chunked: bool
) -> None:
    """The server reads, and what it has not read yet waits in our generator."""
    received = 0
    tls = tls_contexts()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            while received < LARGE:
                piece = await reader.read(65_536)
                received += len(piece)
                if not piece:
                    break
            writer.write(OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=tls.server if scheme == "https" else None
    )
    headers = {} if is_chunked else {"Content-Length": str(LARGE)}
    async with server, client_of(tls=tls.client) as client:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

        async def call() -> None:
            body = pieces(LARGE // len(PIECE))
            response = await client.put(url, content=body, headers=headers)
            assert 200 == response.status_code

        peak = await peak_bytes_of(call)

    assert received >= LARGE
    assert peak < MOST_HELD_BYTES


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_when_a_large_body_comes_then_it_is_whole_and_memory_stays_small(
    scheme: str, *, is_chunked: bool
) -> None:
    """A caller who reads slowly slows the server down."""
    sent = 0
    tls = tls_contexts()

    async def behave(exchange: Exchange) -> None:
        nonlocal sent
        sent = 0
        await exchange.send(CHUNKED if is_chunked else OK + b"Content-Length: %d\r\n\r\n" % LARGE)
        while sent < LARGE:
            piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if is_chunked else PIECE
            await exchange.send(piece)
            sent += len(PIECE)
        if is_chunked:
            await exchange.send(b"0\r\n\r\n")

    server_tls = tls.server if scheme == "https" else None
    async with faulty_server(behave, tls=server_tls) as server, client_of(tls=tls.client) as client:
        request = httpx.Request("GET", f"{scheme}://127.0.0.1:{server.port}/")
        received = 0
        sent_unread = 0

        async def call() -> None:
            nonlocal received, sent_unread
            response = await client.send(request, stream=True)
            await asyncio.sleep(0.3)
            sent_unread = sent
            async for piece in response.aiter_raw():
                received += len(piece)
                await asyncio.sleep(0)
            await response.aclose()

        peak = await peak_bytes_of(call)
        await client.get(f"{scheme}://127.0.0.1:{server.port}/", timeout=5)

    assert LARGE == received
    assert sent_unread < LARGE
    assert peak < MOST_HELD_BYTES
    assert 1 == server.connections


async def test_when_the_server_does_not_read_then_our_sending_stops_and_the_deadline_ends_it() -> (
    None
):
    """What is taken from the caller's body is what the sockets hold, and little more."""
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += len(PIECE)
            yield PIECE

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with client_of() as client:
            started = CLOCK.monotonic()
            with pytest.raises(DeadlineExceeded):
                await client.put(
                    url,
                    content=body(),
                    extensions={DEADLINE_EXTENSION: Deadline.after(0.5, CLOCK)},
                )
            took = CLOCK.monotonic() - started
            with pytest.raises(httpx.ReadTimeout):
                await client.put(url, content=PIECE * 160, timeout=0.2)

    assert taken < 8 * MIB
    assert 0.5 <= took <= 0.6


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        (sends(b"HTTP/1.1 100 Continue\r\n\r\n%OWN%"), b"/own"),
        (sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3, 0.01, b"%OWN%"), b"/own"),
        (sends(b"HTTP/1.1 104 Resumable\r\n\r\n%OWN%"), b"/own"),
        (byte_by_byte(b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n%OWN%"), b"/own"),
        (sends(CHUNKED + b"2;a=b\r\n/o\r\n2\r\nwn\r\n0;c\r\nX-Trailer: t\r\n\r\n"), b"/own"),
        (byte_by_byte(CHUNKED + b"2;a=b\r\n/o\r\n2\r\nwn\r\n0\r\nX-Trailer: t\r\n\r\n"), b"/own"),
        (sends(OK + b"transfer-encoding: Chunked\r\n\r\n4\r\n/own\r\n0\r\n\r\n"), b"/own"),
        (sends(OK + b"Content-Length: 0\r\n\r\n"), b""),
    ],
)
async def test_when_an_answer_is_framed_well_then_its_connection_is_kept(
    behavior: Behavior, expected: bytes
) -> None:
    """Interim responses are skipped, extensions and trailers dropped, and nothing is left over."""
    async with faulty_server(behavior) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}/own"
        responses = [await client.get(url, timeout=5) for _ in range(2)]

    assert [(200, expected)] * 2 == [(one.status_code, one.content) for one in responses]
    assert not any(name in one.headers for one in responses for name in ("x-trailer", "x-a"))
    assert 1 == server.connections


@pytest.mark.parametrize(
    "behavior",
    [
        sends(OK + b"Connection: close\r\nContent-Length: 4\r\n\r\n/own"),
        sends(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n/own"),
        sends(OK + b"Connection: keep-alive, close\r\nContent-Length: 4\r\n\r\n/own"),
    ],
)
async def test_when_the_server_says_that_it_closes_then_the_connection_is_not_used_again(
    behavior: Behavior,
) -> None:
    """Even where it does not do so."""
    async with faulty_server(behavior) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}/own"
        contents = [(await client.get(url)).content for _ in range(2)]
        await until(lambda: server.open_connections == 0)

        assert 0 == server.open_connections
    assert [b"/own"] * 2 == contents
    assert 2 == server.connections


async def test_when_http_1_0_keeps_alive_then_the_connection_is_used_again() -> None:
    """It says so in words."""
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\n/own"
    async with faulty_server(sends(kept)) as server, client_of() as client:
        for _ in range(2):
            await client.get(f"http://127.0.0.1:{server.port}/own")

    assert 1 == server.connections


@pytest.mark.parametrize(
    ("flood", "is_dripped"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", True),
        (b"X-A: b\r\n", False),
        (b"X-A: b\r\n", True),
        (b"x", False),
        (b"x", True),
    ],
)
async def test_when_a_head_does_not_end_then_it_is_refused_before_long(
    flood: bytes, *, is_dripped: bool
) -> None:
    """In one piece or many: interim responses, fields and one long line."""
    sent = 0

    async def behave(exchange: Exchange) -> None:
        nonlocal sent
        start = b"" if flood.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\nX-Begin: "
        await exchange.send(start)
        unit = flood * 20 if is_dripped else flood * 10_000
        while not exchange.writer.is_closing():
            await exchange.send(unit)
            sent += len(unit)
            await asyncio.sleep(0)

    async with faulty_server(behave) as server, client_of() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{server.port}/", timeout=10)

    assert sent < 8 * MIB


@pytest.mark.parametrize("flood", [b";a=b", b"0\r\nX-A: ", b"0\r\nX-A: b\r\n"])
async def test_when_nothing_but_overhead_comes_then_the_answer_is_refused_before_long(
    flood: bytes,
) -> None:
    """Extensions and trailers are dropped, and not for ever."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(CHUNKED + (b"2" if flood.startswith(b";") else b"") + flood)
        while not exchange.writer.is_closing():
            await exchange.send(flood.removeprefix(b"0\r\n") * 100)

    async with faulty_server(behave) as server, client_of() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{server.port}/", timeout=10)


async def test_when_chunks_are_tiny_then_what_waits_to_be_read_stays_small() -> None:
    """A chunk of two bytes costs seven on the wire, and must not cost fifty in memory."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(CHUNKED)
        while not exchange.writer.is_closing():
            await exchange.send(b"2\r\nab\r\n" * 20_000)

    async with faulty_server(behave) as server, client_of() as client:
        held = 0

        async def call() -> None:
            nonlocal held
            request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
            response = await client.send(request, stream=True)
            await asyncio.sleep(0.3)
            held = tracemalloc.get_traced_memory()[0]
            await response.aclose()

        await peak_bytes_of(call)

    assert held < 2 * MIB


async def test_when_the_client_sends_head_then_the_connection_is_closed_after_the_answer() -> None:
    """What comes next could not be told from a body that should not be there."""
    async with faulty_server(echo) as server, client_of() as client:
        for _ in range(2):
            response = await client.head(f"http://127.0.0.1:{server.port}/own")
            assert ("4", b"") == (response.headers["content-length"], response.content)

    assert 2 == server.connections


async def test_when_one_call_hangs_then_the_others_do_not() -> None:
    """Each has a connection of its own."""
    async with faulty_server(say_nothing, answer()) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}/"
        hanging_call = asyncio.create_task(client.get(url))
        assert await until(lambda: bool(server.requests))
        responses = await asyncio.gather(*(client.get(url, timeout=5) for _ in range(9)))
        hanging_call.cancel()
        await asyncio.gather(hanging_call, return_exceptions=True)

    assert [200] * 9 == [response.status_code for response in responses]
