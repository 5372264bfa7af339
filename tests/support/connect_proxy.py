"""An HTTPS proxy on a real socket (CONNECT, RFC 9110 section 9.3.6) that behaves as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(slots=True)
class ConnectProxy:
    """Opens tunnels, and remembers what it was told and every byte that went to the servers."""

    reply: bytes = ESTABLISHED
    """What it answers to CONNECT; it opens a tunnel after a reply of 200."""
    behavior: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
    """What to do once it has read the request, in place of answering."""
    heads: list[bytes] = field(default_factory=list)
    sent_on: bytearray = field(default_factory=bytearray)
    port: int = 0
    open_connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.open_connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if self.behavior is not None:
                    await self.behavior(reader, writer)
                    return
                writer.write(self.reply)
                if self.reply.startswith(b"HTTP/1.1 200"):
                    await self._tunnel(head, reader, writer)
        finally:
            writer.close()
            self.open_connections -= 1

    async def _tunnel(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = head.split(b" ")[1].decode("ascii").rpartition(":")
        upstream_reader, upstream = await asyncio.open_connection(host, int(port))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while piece := await source.read(65_536):
                if sink is upstream:
                    self.sent_on += piece
                sink.write(piece)
                await sink.drain()

        ways = [
            asyncio.create_task(pump(reader, upstream)),
            asyncio.create_task(pump(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            upstream.close()

    async def stop(self) -> None:
        """End every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def connect_proxy(
    reply: bytes = ESTABLISHED,
    behavior: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None,
) -> AsyncIterator[ConnectProxy]:
    """A proxy on a free loopback port, for as long as the block lasts."""
    proxy = ConnectProxy(reply, behavior)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
        await server.wait_closed()
