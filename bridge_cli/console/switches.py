"""What the console can break, and mends again: the issuer, the API's throttle, the store."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, assert_never

import botocore.exceptions
import httpx

from emulator.aws.deployment import LocalAws
from emulator.aws.stage_throttle import StageThrottle, Throttle
from emulator.stack import LocalStack

SLOW_SECONDS: Final = 5.0
THROTTLED: Final = Throttle(rate=1.0, burst=1)
_LOCK_SECONDS: Final = 15.0
"""How long to wait for the writer's turn: a run that writes has it for a moment at a time."""
_PROBE_SECONDS: Final = 0.5


class LockedFile:
    """Keeps the writer's turn of the SQLite file, so that nobody else can write."""

    def __init__(self, path: Path) -> None:
        """Take the file's path."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def take(self) -> None:
        """Wait for the writer's turn and keep it. Twice is harmless.

        Raises:
            sqlite3.Error: somebody else keeps it.

        """
        if self._connection is None:
            self._connection = await asyncio.to_thread(self._take)

    def _take(self) -> sqlite3.Connection:
        # Given back from another thread than it was taken in, but never used by two at once.
        connection = sqlite3.connect(
            self._path, timeout=_LOCK_SECONDS, autocommit=True, check_same_thread=False
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            connection.close()
            raise
        return connection

    def give_back(self) -> None:
        """Let others write again; nothing was changed. Twice is harmless."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass(slots=True)
class Switches:
    """The faults of one running stack, and what the stage let through before."""

    stack: LocalStack
    usual_throttle: Throttle
    is_throttled: bool = field(default=False, init=False)
    is_store_broken: bool = field(default=False, init=False)
    _throttle: StageThrottle = field(init=False)
    _file: LockedFile = field(init=False)

    def __post_init__(self) -> None:
        """Know where the parts are."""
        self._throttle = _throttle_of(self.stack)
        self._file = LockedFile(self.stack.sqlite_path)

    @classmethod
    @asynccontextmanager
    async def of(cls, stack: LocalStack) -> AsyncIterator[Self]:
        """Give the block the switches; whatever is broken at its end is mended."""
        switches = cls(stack, await asyncio.to_thread(_throttle_of(stack).read))
        try:
            yield switches
        finally:
            # The local AWS may be gone already, and with it the throttle.
            with contextlib.suppress(botocore.exceptions.BotoCoreError):
                await switches.put_right()

    def state(self) -> dict[str, str]:
        """Return what is broken now."""
        return {
            "issuer": self.stack.entra.faults.condition.value,
            "api": "throttled" if self.is_throttled else "well",
            "store": "broken" if self.is_store_broken else "well",
        }

    async def throttle_api(self) -> None:
        """Let one request a second through, as `UpdateStage` does on AWS."""
        await asyncio.to_thread(self._throttle.set, THROTTLED)
        self.is_throttled = True

    async def unthrottle_api(self) -> None:
        """Let as much through as the template says."""
        await asyncio.to_thread(self._throttle.set, self.usual_throttle)
        self.is_throttled = False

    async def break_store(self) -> None:
        """Let nobody write to the store any more; Azurite answers nothing at all."""
        match self.stack.record_store:
            case "sqlite":
                await self._file.take()
            case "table":
                if self.stack.azurite is not None:
                    self.stack.azurite.pause()
            case _:
                assert_never(self.stack.record_store)
        self.is_store_broken = True

    def heal_store(self) -> None:
        """Let the store answer again. One that was not broken does not notice."""
        self._file.give_back()
        if self.stack.azurite is not None:
            self.stack.azurite.resume()
        self.is_store_broken = False

    async def is_store_writable(self) -> bool:
        """Return whether a writer would get its turn now; of Azurite, whether it answers."""
        match self.stack.record_store:
            case "sqlite":
                return await asyncio.to_thread(_can_write, self.stack.sqlite_path)
            case "table":
                return await _answers(self.stack.store_place)
            case _:
                assert_never(self.stack.record_store)

    async def put_right(self) -> None:
        """Mend everything."""
        self.stack.entra.faults.heal()
        self.heal_store()
        if self.is_throttled:
            await self.unthrottle_api()


def _can_write(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=_PROBE_SECONDS)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(timeout=_PROBE_SECONDS, trust_env=False) as http:
        try:
            await http.get(url)
        except httpx.TimeoutException:
            return False
    return True


def _throttle_of(stack: LocalStack) -> StageThrottle:
    return StageThrottle(LocalAws(stack.aws_endpoint_url), stack.deployment)
