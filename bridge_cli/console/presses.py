"""Presses of buttons: one at a time of each, what came of it kept for all pages."""

import asyncio
import contextlib
import itertools
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import botocore.exceptions
import httpx

from bridge_cli.console.buttons import BUTTONS_BY_ID, Button, Controls
from bridge_cli.console.outcome import Outcome, unclear
from bridge_cli.console.shown import Json, shown
from bridge_cli.local_client import LocalCallError
from shared.clock import Clock

_KEPT: Final = 12
_EXPECTED_ERRORS: Final = (
    LocalCallError,
    OSError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    httpx.HTTPError,
    sqlite3.Error,
)
"""What a part that is gone, or broken, makes of a press."""


class BusyError(Exception):
    """The button is still at its last press."""


class Presses:
    """What is pressed now, and what came of the last presses."""

    def __init__(self, controls: Controls, clock: Clock) -> None:
        """Take what the buttons work on."""
        self._controls = controls
        self._clock = clock
        self.on_change: Callable[[], None] = lambda: None
        """Called whenever there is news."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._entries: deque[Json] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        # One after the other, because each says what it saw, and another would change that.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take presses until the block ends; what still runs then is cancelled."""
        try:
            yield
        finally:
            running = list(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def press(self, button_id: str) -> int:
        """Begin what the button does, and return the number of the press.

        Raises:
            BusyError: its last press is not over.
            KeyError: there is no such button.

        """
        button = BUTTONS_BY_ID[button_id]
        if button_id in self._running:
            raise BusyError
        number = next(self._numbers)
        entry: Json = {
            "number": number,
            "button": button.id,
            "label": button.label,
            "at": self._clock.now(),
            "verdict": None,
            "sentence": "",
            "request_ids": [],
        }
        self._entries.appendleft(entry)
        self._running[button_id] = asyncio.create_task(self._do(button, entry))
        self.on_change()
        return number

    async def _do(self, button: Button, entry: Json) -> None:
        try:
            async with self._turn if button.waits_its_turn else contextlib.nullcontext():
                outcome = await self._outcome_of(button)
            entry["verdict"] = outcome.verdict.value
            entry["sentence"] = shown(outcome.sentence, 400)
            entry["request_ids"] = [shown(each) for each in outcome.request_ids]
        finally:
            del self._running[button.id]
            self.on_change()

    async def _outcome_of(self, button: Button) -> Outcome:
        try:
            return await button.press(self._controls)
        except _EXPECTED_ERRORS as error:
            return unclear(f"It could not be done: {str(error) or type(error).__name__}")

    def newest(self) -> list[Json]:
        """Return the last presses, the newest first; what still runs has no verdict."""
        return [dict(entry) for entry in self._entries]
