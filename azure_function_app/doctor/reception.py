"""Who asks for a report while another one is made, or has just been, gets the same.

So a flood of requests reaches neither Entra ID nor the API more than once in a few seconds.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from azure_function_app.doctor.report import Report
from shared.clock import Clock

FRESH_SECONDS: Final = 5.0


class Reception:
    """Hands out reports of one app, one examination at a time."""

    def __init__(self, examine: Callable[[], Awaitable[Report]], clock: Clock) -> None:
        """Take what makes a report."""
        self._examine = examine
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._examining: asyncio.Task[Report] | None = None
        self._ended_at = -math.inf

    async def report(self) -> Report:
        """Return a report that is a few seconds old at most.

        Raises what the examination raises; then the next caller begins another one.
        """
        loop = asyncio.get_running_loop()
        examining = self._examining
        is_old = self._clock.monotonic() - self._ended_at > FRESH_SECONDS
        # Functions has one loop a process; tests and local hosts have many.
        is_foreign = loop is not self._loop
        if examining is None or is_foreign or (examining.done() and is_old):
            self._loop = loop
            examining = self._examining = loop.create_task(self._make())
        # Who leaves early must not end it for the others.
        return await asyncio.shield(examining)

    async def _make(self) -> Report:
        try:
            report = await self._examine()
        except BaseException:
            self._ended_at = -math.inf
            raise
        self._ended_at = self._clock.monotonic()
        return report
