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
            OSError: the name has none, nobody could say, or `aclose` was called meanwhile.

        """
        key = (host, port)
        known = self._known.get(key)
        if known is not None and self._loop.time() < known[0]:
            return known[1]
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = self._loop.create_task(self._look_up(host, port))
            pending.add_done_callback(lambda done: self._forget_pending(key, done))
        try:
            # The resolver cannot be stopped, and others wait for the same name.
            return await asyncio.shield(pending)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if pending.cancelled() and not (task and task.cancelling()):
                raise OSError("the client was closed") from None
            raise

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

    def _forget_pending(self, key: tuple[str, int], done: asyncio.Task[list[Address]]) -> None:
        self._pending.pop(key, None)
        if not done.cancelled():
            # Nobody may be left to hear of it, which asyncio would complain about.
            done.exception()

    async def _look_up(self, host: str, port: int) -> list[Address]:
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses: list[Address] = [(int(f), int(t), p, name, at) for f, t, p, name, at in found]  # type: ignore[misc]
        self._known[host, port] = (self._loop.time() + REMEMBERED_SECONDS, addresses)
        return addresses
