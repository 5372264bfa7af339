"""An HTTP/1.1 server on a real socket that misbehaves as told, and remembers what it has read."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that the server has read to its end, so that it may have been carried out."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of the header field."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(slots=True)
class Exchange:
    """One request on one connection, for a behavior to answer."""

    request: ReceivedRequest
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close the connection with an RST instead of a FIN."""
        reset_connection(self.writer)

    def close(self) -> None:
        """Close the connection in an orderly way."""
        self.writer.close()


type Behavior = Callable[[Exchange], Awaitable[None]]


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Make the kernel send an RST."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def greet_with_garbage(writer: asyncio.StreamWriter) -> None:
    """Send bytes that are neither HTTP nor TLS, and close."""
    writer.write(b"220 mail.example ESMTP\r\n")
    writer.close()


def answer(status: int = 200, body: bytes = b"{}", *fields: tuple[str, str]) -> Behavior:
    """A complete answer that keeps the connection open."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in fields]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def behave(exchange: Exchange) -> None:
        await exchange.send(head if exchange.request.method == "HEAD" else head + body)

    return behave


async def reset_after_reading(exchange: Exchange) -> None:
    """Read the request, then reset the connection."""
    exchange.reset()


async def close_after_reading(exchange: Exchange) -> None:
    """Read the request, then close the connection without a word."""
    exchange.close()


async def drip_head(exchange: Exchange) -> None:
    """Send the head of an answer one byte at a time, for ever."""
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.writer.is_closing():
        await exchange.send(b"X-Drip: drop\r\n")
        await asyncio.sleep(0.05)


async def drip_body(exchange: Exchange) -> None:
    """Send the head at once and the body one byte at a time, for ever."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not exchange.writer.is_closing():
        await exchange.send(b"x")
        await asyncio.sleep(0.05)


async def say_nothing(exchange: Exchange) -> None:
    """Read the request and leave the client waiting."""
    await exchange.writer.wait_closed()


async def truncate(exchange: Exchange) -> None:
    """Promise a hundred bytes, send ten, close."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789")
    exchange.close()


async def abort_chunked(exchange: Exchange) -> None:
    """Begin a chunked body and close in the middle of it."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    exchange.close()


async def send_garbage(exchange: Exchange) -> None:
    """Answer with bytes that are no HTTP."""
    await exchange.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n")
    exchange.close()


@dataclass(slots=True)
class FaultyServer:
    """Behaves as its script says, one entry a request; the last one stays."""

    script: list[Behavior]
    on_connection: Callable[[asyncio.StreamWriter], None] | None = None
    """What to do with each connection in place of reading from it."""
    greetings: list[bytes] = field(default_factory=list)
    """What to send on each new connection before anything is read; nothing where none is left."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    """Every connection so far, oldest first."""
    requests: list[ReceivedRequest] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def open_connections(self) -> int:
        """How many connections neither side has ended yet."""
        return len(self._tasks)

    async def serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self.writers.append(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self.on_connection is not None:
            self.on_connection(writer)
            return
        if self.greetings:
            writer.write(self.greetings.pop(0))
        try:
            while (request := await _read_request(reader)) is not None:
                behavior = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                self.requests.append(request)
                await behavior(Exchange(request, writer))
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.transport.abort()

    async def stop(self) -> None:
        """End every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> ReceivedRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    start, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = start.split(" ")
    headers = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in lines)
    named = {name.lower(): value for name, value in headers}
    if named.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(named.get("content-length", "0")))
    return ReceivedRequest(method, target, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


@asynccontextmanager
async def faulty_server(
    *script: Behavior,
    on_connection: Callable[[asyncio.StreamWriter], None] | None = None,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
    greetings: Sequence[bytes] = (),
) -> AsyncIterator[FaultyServer]:
    """A server on a loopback port, a free one if none is named, for as long as the block lasts."""
    faulty = FaultyServer(list(script), on_connection, list(greetings))
    server = await asyncio.start_server(faulty.serve_connection, "127.0.0.1", port, ssl=tls)
    faulty.port = server.sockets[0].getsockname()[1]
    try:
        yield faulty
    finally:
        server.close()
        await faulty.stop()
        await server.wait_closed()
