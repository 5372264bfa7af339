"""PostgreSQL behind a socket that breaks, or says nothing more, at a chosen message."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from emulator.postgres import Postgres


class Fault(Enum):
    """What becomes of a message of the client's."""

    NONE = auto()
    CUT = auto()
    """It never arrives, and the connection breaks."""
    LOSE_ANSWER = auto()
    """It is done, and the connection breaks before anybody hears of it."""
    FREEZE = auto()
    """It never arrives, nor does anything after it; the connection stays open."""


type ChooseFault = Callable[[bytes], Fault]


def once(text: bytes, fault: Fault) -> ChooseFault:
    """Let that fault happen to the first message that has the text in it."""
    has_happened = False

    def choose(message: bytes) -> Fault:
        nonlocal has_happened
        if has_happened or text not in message:
            return Fault.NONE
        has_happened = True
        return fault

    return choose


@dataclass(slots=True)
class FaultyPostgres:
    """Carries bytes between the client and the server."""

    postgres: Postgres
    choose: ChooseFault = lambda _message: Fault.NONE
    port: int = 0
    connections: int = 0
    """How many have been opened."""
    has_frozen: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(
            self.postgres.host, self.postgres.port
        )
        is_mute = asyncio.Event()
        back = asyncio.create_task(_carry_back(far_reader, writer, is_mute))
        try:
            while message := await reader.read(1_048_576):
                match self.choose(message):
                    case Fault.NONE:
                        far_writer.write(message)
                    case Fault.CUT:
                        return
                    case Fault.LOSE_ANSWER:
                        is_mute.set()
                        far_writer.write(message)
                        await asyncio.sleep(0.1)
                        return
                    case Fault.FREEZE:
                        self.has_frozen.set()
                        await reader.read(-1)
                        return
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            back.cancel()
            far_writer.transport.abort()
            writer.transport.abort()


async def _carry_back(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_mute: asyncio.Event
) -> None:
    while piece := await reader.read(65_536):
        if not is_mute.is_set():
            writer.write(piece)
    writer.transport.abort()


@asynccontextmanager
async def faulty_postgres(
    postgres: Postgres, choose: ChooseFault = lambda _message: Fault.NONE
) -> AsyncIterator[FaultyPostgres]:
    """The server behind such a socket, while the block lasts."""
    front = FaultyPostgres(postgres, choose)
    server = await asyncio.start_server(front.serve, "127.0.0.1", 0)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        server.abort_clients()
        await server.wait_closed()
