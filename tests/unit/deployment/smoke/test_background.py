"""What blocks in the background does not keep anybody from ending."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from deployment.smoke.background import in_background


async def test_when_the_work_ends_then_its_value_or_error_is_told() -> None:
    """As if it had been called here."""
    assert 7 == await in_background(lambda: 7)
    with pytest.raises(ZeroDivisionError):
        await in_background(lambda: 1 // 0)


async def test_when_the_work_ends_too_late_then_nobody_hears_of_it() -> None:
    """Neither of its value nor of its error, and the loop goes on."""
    ends = threading.Event()

    async def give_up(work: Callable[[], object]) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_background(work)

    def fail() -> None:
        ends.wait()
        raise ZeroDivisionError

    await give_up(ends.wait)
    await give_up(fail)
    ends.set()
    for thread in [each for each in threading.enumerate() if each.name == "smoke"]:
        thread.join()
    await asyncio.sleep(0)


def test_when_the_work_never_ends_then_the_loop_does() -> None:
    """A thread of asyncio's own would be waited for."""
    never = threading.Event()

    async def give_up() -> None:
        async with asyncio.timeout(0.05):
            await in_background(never.wait)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    never.set()
