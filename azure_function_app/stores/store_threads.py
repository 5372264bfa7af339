"""Threads for the work of a store, so that the event loop waits for neither disk nor network."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreTimedOut

_CLOSING_SECONDS: Final = 5.0
"""How long closing waits for what is under way; a store that hangs must not hold the shutdown."""


class StoreThreads:
    """Runs blocking work, and stops waiting for it at the deadline."""

    def __init__(self, count: int, *, name: str) -> None:
        """Take how many there are, and what they are called."""
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._is_closed = False

    async def run[T](self, deadline: Deadline | None, work: Callable[[], T]) -> T:
        """Return what the work returns, or raise what it raises.

        The work itself must come to an end by its own means: a thread cannot be stopped.

        Raises:
            StoreTimedOut: the deadline has passed; the work may still be done, or not.

        """
        if deadline is not None and deadline.has_passed:
            raise timed_out()
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        if deadline is not None:
            # Unlike `wait_for` this cancels nothing: what has begun is either done or not.
            await asyncio.wait([working], timeout=deadline.remaining_seconds())
            if not working.done():
                working.add_done_callback(_forget)
                raise timed_out()
        return await working

    async def aclose(self, close: Callable[[], None]) -> None:
        """Run what closes the store, and end the threads. Twice is harmless."""
        if self._is_closed:
            return
        self._is_closed = True
        closing = asyncio.get_running_loop().run_in_executor(self._threads, close)
        await asyncio.wait([closing], timeout=_CLOSING_SECONDS)
        self._threads.shutdown(wait=False)
        if closing.done():
            closing.result()
        else:
            closing.add_done_callback(_forget)


def timed_out() -> StoreTimedOut:
    """Return the error for a store that has not answered in time."""
    return StoreTimedOut("The store of records and checkpoints did not answer in time.")


def _forget[T](done: asyncio.Future[T]) -> None:
    # Else the event loop complains of an exception that nobody asked for.
    if not done.cancelled():
        done.exception()
