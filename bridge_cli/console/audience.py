"""Who looks: every open page has a queue of its own, and one that does not keep up is let go."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MOST_MEMBERS: Final = 16
MOST_WAITING: Final = 64
"""Events that may wait for one page. Who is further behind gets a snapshot by coming again."""


class AudienceFullError(Exception):
    """So many pages are open that another one would take from them."""


class Member:
    """One open page's queue."""

    def __init__(self) -> None:
        """Begin with nothing waiting."""
        self._events: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
        self.fell_behind = asyncio.Event()
        """Set once more events waited than may; none comes any more."""

    def offer(self, event: bytes) -> None:
        """Put the event behind the others; never waits."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.fell_behind.set()

    async def next(self) -> bytes:
        """Return the event that has waited longest, once there is one."""
        return await self._events.get()


class Audience:
    """All open pages."""

    def __init__(self) -> None:
        """Begin without any."""
        self._members: set[Member] = set()

    def __len__(self) -> int:
        """Return how many pages are open."""
        return len(self._members)

    @contextmanager
    def join(self) -> Iterator[Member]:
        """Give the block a queue in which everything that is published from now on arrives.

        Raises:
            AudienceFullError: too many are open.

        """
        if len(self._members) >= MOST_MEMBERS:
            raise AudienceFullError
        member = Member()
        self._members.add(member)
        try:
            yield member
        finally:
            self._members.discard(member)

    def publish(self, event: bytes) -> None:
        """Offer the event to everyone. Who fell behind hears of no further one."""
        for member in tuple(self._members):
            member.offer(event)
            if member.fell_behind.is_set():
                self._members.discard(member)
