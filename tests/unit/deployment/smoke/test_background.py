"""What blocks in the background does not keep anybody from ending."""

import asyncio
import threading

import pytest

from deployment.smoke.background import in_background


async def test_when_the_work_ends_then_its_value_or_error_is_told() -> None:
    """As if it had been called here."""
    assert 7 == await in_background(lambda: 7)
    with pytest.raises(ZeroDivisionError):
        await in_background(lambda: 1 // 0)


def test_when_the_work_never_ends_then_the_loop_does() -> None:
    """A thread of asyncio's own would be waited for."""
    never = threading.Event()

    async def give_up() -> None:
        async with asyncio.timeout(0.05):
            await in_background(never.wait)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    never.set()
