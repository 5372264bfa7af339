"""Bounds how many calls to the API are under way, so that a slow API cannot fill the process."""

import asyncio
from typing import Final

from azure_function_app.errors import Overloaded

_RETRY_AFTER_SECONDS: Final = 1.0


class Bulkhead:
    """Lets so many in, lets some more wait, and refuses the rest at once."""

    def __init__(self, *, limit: int, waiting: int) -> None:
        """Let `limit` calls be under way and `waiting` more wait for one of them to end."""
        self._places = asyncio.Semaphore(limit)
        self._waiting_limit = waiting
        self._waiting = 0

    async def enter(self, wait_seconds: float | None = None) -> None:
        """Take a place, waiting for one if need be. Whoever enters must leave.

        Args:
            wait_seconds: how long to wait; None for as long as it takes.

        Raises:
            Overloaded: every place is taken, and every place to wait too; or none came free.

        """
        if not self._places.locked():
            await self._places.acquire()
            return
        if self._waiting >= self._waiting_limit:
            raise _overloaded()
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_seconds):
                await self._places.acquire()
        except TimeoutError as error:
            raise _overloaded() from error
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()


def _overloaded() -> Overloaded:
    return Overloaded(
        "Too many calls are under way already.", retry_after_seconds=_RETRY_AFTER_SECONDS
    )
