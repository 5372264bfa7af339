"""Keeps connections open for later requests to the same server."""

import asyncio
from typing import Final

from azure_function_app.http1.connection import Connection
from azure_function_app.http1.origin import Origin

KEEP_ALIVE_SECONDS: Final = 50.0
"""Shorter than what load balancers keep (60 s and more), so that we are the first to hang up."""


class ConnectionPool:
    """The connections of one event loop that carry no request just now, newest first.

    It bounds neither how many are open nor how many wait: whoever sends does.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin empty."""
        self._loop = loop
        # By when they were given back, oldest first.
        self._idle: dict[Origin, dict[Connection, float]] = {}
        self._all: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closed = False

    def take(self, origin: Origin) -> Connection | None:
        """Return a connection that can carry a request; None where there is none."""
        idle = self._idle.get(origin)
        while idle:
            connection, since = idle.popitem()
            if self._loop.time() - since < KEEP_ALIVE_SECONDS and connection.is_fresh:
                return connection
            connection.abort()
        return None

    def add(self, origin: Origin, connection: Connection) -> None:
        """Take note of a new connection, which is in use. A closed pool closes it."""
        self._all.add(connection)
        if self._is_closed:
            connection.abort()

        def forget(lost: Connection) -> None:
            self._all.discard(lost)
            self._idle.get(origin, {}).pop(lost, None)

        connection.on_lost = forget

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose exchange is over, if it can carry another one."""
        if not connection.end():
            return
        now = self._loop.time()
        self._idle.setdefault(origin, {})[connection] = now
        if self._sweeping is None:
            self._sweeping = self._loop.call_at(now + KEEP_ALIVE_SECONDS, self._sweep)

    def close_idle(self, origin: Origin) -> None:
        """Close what is kept for a server, after one of its kept connections turned out dead.

        Whatever ended that one, a load balancer's restart say, has most likely ended them all.
        """
        for connection in self._idle.pop(origin, {}):
            connection.abort()

    async def aclose(self) -> None:
        """Close every connection, those in use and those to come included."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        connections = list(self._all)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_lost()

    def _sweep(self) -> None:
        """Close what has been idle for too long, and come back for the rest."""
        now = self._loop.time()
        next_at = None
        for idle in self._idle.values():
            for connection, since in list(idle.items()):
                if now - since >= KEEP_ALIVE_SECONDS:
                    del idle[connection]
                    connection.abort()
                else:
                    next_at = since if next_at is None else min(next_at, since)
                    break
        self._sweeping = (
            None
            if next_at is None
            else self._loop.call_at(next_at + KEEP_ALIVE_SECONDS, self._sweep)
        )
