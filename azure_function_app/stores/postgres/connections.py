"""Connections to one PostgreSQL server, each proved by a token that is valid when it is opened."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import asyncpg

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreUnavailable, TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.stores.store_threads import StoreThreads
from shared.clock import Clock

_MOST: Final = 4
"""Connections of one process: a run needs one, health one, and runs may overlap."""
_CONNECT_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 60.0
"""Azure's load balancers forget a connection that says nothing for four minutes."""
_CLOSING_SECONDS: Final = 1.0
_TOKEN_MARGIN_SECONDS: Final = 300.0


class Connection(Protocol):
    """What this app uses of the driver's connection."""

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement and return its command tag."""

    async def executemany(self, command: str, args: object) -> None:
        """Run a statement once for each of the tuples."""

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Return all rows."""

    async def fetchrow(self, query: str, *args: object) -> Any:  # noqa: ANN401 - a row of whatever was asked for
        """Return the first row, or None."""

    async def fetchval(self, query: str, *args: object) -> Any:  # noqa: ANN401 - the same
        """Return the first column of the first row, or None."""

    def is_closed(self) -> bool:
        """Return whether it has ended."""

    def terminate(self) -> None:
        """End it at once, without a word to the server."""

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - the driver's own
        """End it."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, and as whom to go there."""

    host: str
    port: int
    database: str
    user: str


@dataclass(slots=True)
class PostgresConnections:
    """Opens connections, a few at most, and keeps those that are sound for the next call."""

    server: Server
    schema: str
    """Where names of tables are looked up, and nowhere else."""
    clock: Clock
    tls: ssl.SSLContext | None
    """What proves the server; None only for one on this machine."""
    request_token: Callable[[], AccessToken] | None
    """Obtains a token for the server, blocking; None for a server that is not sent one."""
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST), init=False)
    _idle: list[tuple[Connection, float]] = field(default_factory=list, init=False)
    _open: set[Connection] = field(default_factory=set, init=False)
    _token: AccessToken | None = field(default=None, init=False)
    _threads: StoreThreads = field(
        default_factory=lambda: StoreThreads(1, name="postgres-token"), init=False
    )

    async def take(self, deadline: Deadline) -> Connection:
        """Return a connection, which is to be given back by `give_back` or `discard`.

        Raises:
            StoreUnavailable: no token could be had.
            Exception: the driver's and the network's own, where it could not be opened.

        """
        await self._places.acquire()
        try:
            while self._idle:
                connection, used_at = self._idle.pop()
                if not connection.is_closed() and self.clock.monotonic() - used_at < _IDLE_SECONDS:
                    return connection
                self._end(connection)
            return await self._connect(deadline)
        except BaseException:
            self._places.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep a connection that has no transaction open."""
        self._idle.append((connection, self.clock.monotonic()))
        self._places.release()

    def discard(self, connection: Connection) -> None:
        """End a connection about which nothing is known."""
        self._end(connection)
        self._places.release()

    def forget_token(self) -> bool:
        """Ask for a new token next time, and return whether there was an old one."""
        had_token, self._token = self._token is not None, None
        return had_token

    async def aclose(self) -> None:
        """End every connection. Twice is harmless."""
        for connection, _ in self._idle:
            try:
                await connection.close(timeout=_CLOSING_SECONDS)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()
            self._open.discard(connection)
        self._idle.clear()
        for connection in self._open:
            connection.terminate()
        self._open.clear()
        await self._threads.aclose(lambda: None)

    def _end(self, connection: Connection) -> None:
        connection.terminate()
        self._open.discard(connection)

    async def _connect(self, deadline: Deadline) -> Connection:
        connection: Connection = await asyncpg.connect(
            host=self.server.host,
            port=self.server.port,
            database=self.server.database,
            user=self.server.user,
            password=await self._password(deadline),
            # Said in every case, because the driver would look into the environment.
            ssl=self.tls or False,
            direct_tls=False,
            target_session_attrs="any",
            timeout=min(_CONNECT_SECONDS, deadline.remaining_seconds()),
            server_settings={
                "application_name": "azure-aws-bridge",
                "search_path": f'"{self.schema}", pg_temp',
            },
        )
        self._open.add(connection)
        return connection

    async def _password(self, deadline: Deadline) -> str | None:
        if self.request_token is None:
            return None
        token = self._token
        if token is None or token.expires_at - self.clock.now() < _TOKEN_MARGIN_SECONDS:
            try:
                token = await self._threads.run(deadline, self.request_token)
            except TokenAcquisitionError as error:
                raise StoreUnavailable(
                    f"No token for PostgreSQL could be had. {error} ({error.code})"
                ) from error
            self._token = token
        return token.value
