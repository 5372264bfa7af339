"""Runs what blocks in a thread that cannot keep us from ending."""

import asyncio
import threading
from collections.abc import Callable


async def in_background[T](work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises.

    If this is canceled the work goes on unseen, and ends with the process at the latest: a thread
    of asyncio's own would be waited for at the end of the loop.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not done.done():
            outcome()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            raised = error
            _tell(loop, lambda: settle(lambda: done.set_exception(raised)))
        else:
            _tell(loop, lambda: settle(lambda: done.set_result(value)))

    threading.Thread(target=run, daemon=True, name="smoke").start()
    return await done


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    # The loop may have been closed since.
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)
