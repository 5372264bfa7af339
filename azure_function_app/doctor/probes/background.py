"""Runs what blocks in a thread that nobody waits for at the end."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def in_background[T](work: Callable[[], T]) -> T:
    """Return what the work returns, or raise what it raises.

    A daemon thread, unlike one of the loop's executor, holds up neither the end of the loop nor
    that of the process where the work hangs, as a name look-up can.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            settle = _failure(done, error)
        else:
            settle = _result(done, value)
        # The loop may have been closed in the meantime.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, daemon=True, name="doctor").start()
    return await done


def _result[T](done: asyncio.Future[T], value: T) -> Callable[[], None]:
    return lambda: None if done.done() else done.set_result(value)


def _failure[T](done: asyncio.Future[T], error: Exception) -> Callable[[], None]:
    return lambda: None if done.done() else done.set_exception(error)
