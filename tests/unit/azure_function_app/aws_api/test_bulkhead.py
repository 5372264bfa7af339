"""The bulkhead."""

import asyncio

import pytest

from azure_function_app.aws_api.bulkhead import Bulkhead
from azure_function_app.errors import Overloaded


async def test_when_there_is_a_place_then_nobody_waits() -> None:
    """As many as the limit enter at once."""
    bulkhead = Bulkhead(limit=2, waiting=0)

    await bulkhead.enter()
    await bulkhead.enter()

    with pytest.raises(Overloaded) as caught:
        await bulkhead.enter()
    assert 1.0 == caught.value.retry_after_seconds


async def test_when_every_place_is_taken_then_some_wait_and_the_rest_is_refused() -> None:
    """Whoever waits enters when somebody leaves."""
    bulkhead = Bulkhead(limit=1, waiting=1)
    await bulkhead.enter()
    waiting = asyncio.create_task(bulkhead.enter())
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await bulkhead.enter()
    bulkhead.leave()
    await waiting


async def test_when_somebody_leaves_then_there_is_a_place_again() -> None:
    """Places come back one for one."""
    bulkhead = Bulkhead(limit=1, waiting=0)
    for _ in range(3):
        await bulkhead.enter()
        bulkhead.leave()


async def test_when_a_waiting_caller_is_cancelled_then_no_place_is_lost() -> None:
    """Neither the place to wait nor the one it waited for, even if it came at the same moment."""
    bulkhead = Bulkhead(limit=1, waiting=1)
    for leaves_first in (True, False):
        await bulkhead.enter()
        waiting = asyncio.create_task(bulkhead.enter())
        await asyncio.sleep(0)
        if leaves_first:
            bulkhead.leave()
            waiting.cancel()
        else:
            waiting.cancel()
            bulkhead.leave()
        await asyncio.wait({waiting})

        await bulkhead.enter()
        bulkhead.leave()


async def test_when_no_place_comes_free_in_time_then_the_waiting_caller_is_refused() -> None:
    """And its place to wait is free again."""
    bulkhead = Bulkhead(limit=1, waiting=1)
    await bulkhead.enter()
    for _ in range(2):
        with pytest.raises(Overloaded):
            await bulkhead.enter(wait_seconds=0.0)
    bulkhead.leave()

    await bulkhead.enter(wait_seconds=0.0)
