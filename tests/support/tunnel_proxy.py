"""An HTTP proxy on a real socket: it opens tunnels, and remembers what it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class TunnelProxy:
    """Answers CONNECT with `status`, and where that is 200 carries bytes both ways."""

    status: int = 200
    is_silent: bool = False
    """Take connections, and answer nothing."""
    heads: list[bytes] = field(default_factory=list)
    """The head of each request, as it came."""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self.is_silent:
                await reader.read()
                return
            writer.write(b"HTTP/1.1 %d Told\r\n\r\n" % self.status)
            if self.status == 200:
                host, _, port = head.split(b" ")[1].decode().rpartition(":")
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(_carry(reader, far_writer))
                    ways.create_task(_carry(far_reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.transport.abort()


@asynccontextmanager
async def tunnel_proxy(status: int = 200, *, is_silent: bool = False) -> AsyncIterator[TunnelProxy]:
    """A proxy on a free loopback port, for as long as the block lasts."""
    proxy = TunnelProxy(status, is_silent)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        server.abort_clients()
        await server.wait_closed()
