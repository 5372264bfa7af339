"""What stands between a run and PostgreSQL: it knows where a message ends, and little else.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from emulator.postgres import Postgres
from tests.support.faulty_server import reset_connection

_LONGEST: Final = 1_048_576
_QUIET_SECONDS: Final = 0.05
_READY: Final = re.compile(rb"Z\x00\x00\x00\x05[ITE]\Z", re.DOTALL)
_VERB: Final = re.compile(rb"\b(BEGIN|COMMIT|ROLLBACK|CREATE|INSERT|UPDATE|DELETE|SELECT|SET)\b")

type Serve = Callable[[str, "PostgresExchange"], Awaitable[None]]


@dataclass(slots=True)
class PostgresExchange:
    """What the run has sent at once, and the ways to the server and back."""

    data: bytes
    run: asyncio.StreamWriter
    server_reader: asyncio.StreamReader
    server: asyncio.StreamWriter
    is_over: bool = False
    """Whether the server has ended the connection, or the run."""

    async def carry(self) -> bytes:
        """Have it done, and return the whole answer."""
        self.server.write(self.data)
        if self.data[:1] == b"X":
            self.is_over = True
            return b""
        answer = bytearray()
        while not _READY.search(answer):
            try:
                # What is only described ends without a word that it is ready.
                limit = _QUIET_SECONDS if answer else None
                async with asyncio.timeout(limit):
                    piece = await self.server_reader.read(_LONGEST)
            except TimeoutError:
                break
            if not piece:
                self.is_over = True
                break
            answer += piece
        return bytes(answer)

    def give(self, answer: bytes) -> None:
        """Let the run have that."""
        self.run.write(answer)

    def cut(self) -> None:
        """Break the connection on both sides."""
        reset_connection(self.run)
        self.server.transport.abort()


async def serve_postgres(
    postgres: Postgres, serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection of a run to its end."""
    server_reader, server = await asyncio.open_connection(postgres.host, postgres.port)
    try:
        while data := await reader.read(_LONGEST):
            exchange = PostgresExchange(data, writer, server_reader, server)
            await serve(message_name(data), exchange)
            if exchange.is_over:
                await writer.drain()
                writer.close()
                return
    except (ConnectionError, asyncio.CancelledError):
        return
    finally:
        server.transport.abort()
        if not writer.is_closing():
            writer.transport.abort()


def message_name(data: bytes) -> str:
    """Return what it is called, the same in every trial."""
    if data[:1] == b"\x00":
        return "startup"
    if data[:1] == b"X":
        return "end"
    found = _VERB.search(data)
    return found[1].decode() if found else "execute"
