"""Work in threads, and who waits for it."""

import asyncio
import threading

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreTimedOut, StoreUnavailable
from azure_function_app.stores import store_threads
from azure_function_app.stores.store_threads import StoreThreads
from shared.clock import SystemClock


async def test_when_the_work_takes_too_long_then_nobody_waits_for_it() -> None:
    """It goes on all the same, and what becomes of it is nobody's error."""
    threads, lets_go = StoreThreads(1, name="t"), threading.Event()

    def fail_late() -> None:
        lets_go.wait()
        raise StoreUnavailable("too late to matter")

    with pytest.raises(StoreTimedOut):
        await threads.run(Deadline.after(0.01, SystemClock()), fail_late)
    lets_go.set()

    assert 7 == await threads.run(None, lambda: 7)
    await threads.aclose(lambda: None)


async def test_when_the_time_is_up_before_then_the_work_is_not_begun() -> None:
    """There is nothing to be had from it."""
    threads, begun = StoreThreads(1, name="t"), threading.Event()

    with pytest.raises(StoreTimedOut):
        await threads.run(Deadline.after(0.0, SystemClock()), begun.set)
    await threads.aclose(lambda: None)

    assert not begun.is_set()


async def test_when_it_is_closed_then_the_last_work_is_done_once() -> None:
    """Twice is harmless, and an error of closing is told."""
    threads, closed = StoreThreads(1, name="t"), []

    await threads.aclose(lambda: closed.append(1))
    await threads.aclose(lambda: closed.append(2))

    assert [1] == closed


async def test_when_the_work_hangs_then_closing_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends does not wait for a store that is gone."""
    monkeypatch.setattr(store_threads, "_CLOSING_SECONDS", 0.01)
    threads, lets_go = StoreThreads(1, name="t"), threading.Event()
    hanging = asyncio.create_task(threads.run(None, lets_go.wait))
    await asyncio.sleep(0)

    await threads.aclose(lambda: None)

    assert not hanging.done()
    lets_go.set()
    assert await hanging
