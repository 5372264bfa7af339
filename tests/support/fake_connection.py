"""A connection's transport in memory, for tests that say themselves what arrives and when."""

import asyncio
import os
from types import TracebackType
from typing import Self

from azure_function_app.http1.connection import Connection

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
NEVER = float("inf")


class FakeTransport(asyncio.Transport):
    """Keeps what is written; a pipe stands for the socket, which can have something to read."""

    def __init__(self, connection: Connection) -> None:
        """Connect at once."""
        super().__init__()
        self.written = bytearray()
        self.is_aborted = False
        self.unsent_bytes = 0
        self._is_reading = True
        self._reader, self._writer = os.pipe()
        self._connection = connection
        connection.connection_made(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def arrive_unread(self, data: bytes) -> None:
        """Let the kernel have something that the loop has not read."""
        os.write(self._writer, data)

    def lose(self, error: Exception | None = None, *, has_ended: bool = True) -> None:
        """End the connection, by the server's word or without it."""
        self.is_aborted = True
        if has_ended and error is None:
            self._connection.eof_received()
        self._connection.connection_lost(error)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self if name == "socket" else default

    def fileno(self) -> int:
        """As a socket has it."""
        return self._reader

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True


def connection_of() -> tuple[Connection, FakeTransport]:
    """A new connection, connected."""
    connection = Connection(asyncio.get_running_loop())
    return connection, FakeTransport(connection)


def send(connection: Connection, *, is_head: bool = False) -> None:
    """Begin an exchange, and send all of the request."""
    connection.begin(is_head=is_head)
    connection.write(REQUEST)
    connection.end_request()
