"""A host's addresses, from the system's resolver, remembered for a while."""

import asyncio
import socket
from typing import Final

REMEMBERED_SECONDS: Final = 60.0
"""How long API Gateway's own records are good for."""

type Address = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""What `getaddrinfo` gives."""


class Addresses:
    """Addresses by host and port. One look-up a host is under way at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remember nothing yet."""
        self._loop = loop
        self._known: dict[tuple[str, int], tuple[float, list[Address]]] = {}
        self._pending: dict[tuple[str, int], asyncio.Task[list[Address]]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses, in the order in which the system would try them.

        Raises:
            OSError: the name has none, or nobody could say.

        """
        key = (host, port)
        known = self._known.get(key)
        if known is not None and self._loop.time() < known[0]:
            return known[1]
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = self._loop.create_task(self._look_up(host, port))
            pending.add_done_callback(lambda _: self._pending.pop(key, None))
        # The resolver cannot be stopped, and others wait for the same name.
        return await asyncio.shield(pending)

    def forget(self, host: str, port: int) -> None:
        """Look the host up anew next time: none of what is known of it answered."""
        self._known.pop((host, port), None)

    async def aclose(self) -> None:
        """Wait for no more answers."""
        pending = list(self._pending.values())
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)

    async def _look_up(self, host: str, port: int) -> list[Address]:
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses: list[Address] = [(int(f), int(t), p, name, at) for f, t, p, name, at in found]  # type: ignore[misc]
        self._known[host, port] = (self._loop.time() + REMEMBERED_SECONDS, addresses)
        return addresses
