"""The parts that a whole local stack and empty local clouds both start, each as it is started."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from emulator.aws.ministack import Ministack, MinistackPrograms
from emulator.azurite import Azurite, AzuritePrograms
from shared.clock import Clock


class Reporter(Protocol):
    """Shows a person what is being started."""

    def step(self, text: str) -> None:
        """Show that a new step begins."""

    def advance(self, done: int, total: int) -> None:
        """Show how many of the present step's parts are done."""


async def start_ministack(
    running: AsyncExitStack,
    checkout: Path,
    logs: Path,
    *,
    port: int,
    clock: Clock,
    held_open: Sequence[int],
) -> Ministack:
    """Return the local AWS with nothing deployed; it ends with `running`.

    A port of 0 takes a free one.

    Raises:
        MinistackError: it did not start.

    """
    ministack = await asyncio.to_thread(
        Ministack.start,
        MinistackPrograms.under(checkout / ".tools"),
        logs,
        clock=clock,
        sleep=time.sleep,
        port=port or None,
        held_open=held_open,
    )
    running.push_async_callback(asyncio.to_thread, ministack.stop)
    return ministack


async def start_azurite(
    running: AsyncExitStack,
    checkout: Path,
    logs: Path,
    *,
    clock: Clock,
    held_open: Sequence[int],
) -> Azurite:
    """Return an empty Azurite; it ends with `running`.

    Raises:
        AzuriteError: it did not start.

    """
    azurite = await asyncio.to_thread(
        Azurite.start,
        AzuritePrograms.under(checkout / ".tools"),
        logs,
        clock=clock,
        sleep=time.sleep,
        held_open=held_open,
    )
    running.push_async_callback(asyncio.to_thread, azurite.stop)
    return azurite
