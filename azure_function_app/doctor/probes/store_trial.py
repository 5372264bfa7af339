"""Writes to the store as the app does, and takes back what was written."""

import os
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from azure_function_app.bootstrap import build_store
from azure_function_app.deadline import Deadline
from azure_function_app.doctor.probes.background import in_background
from azure_function_app.errors import BridgeError, CheckpointConflict
from azure_function_app.settings import Settings, SqliteSettings
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint
from shared.clock import Clock

_ROW: Final = "doctor"
"""The row of checkpoints that is written and deleted; no run ever looks at it."""
_TRIAL_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What came of writing to the store."""

    seconds: float
    error: Exception | None = None
    is_made: bool = True
    """Whether there was a store already; a file is made by the first run only."""


async def try_store(settings: Settings, deadline: Deadline, clock: Clock) -> StoreOutcome:
    """Return what came of it. Leaves nothing behind but tables that the app makes anyway."""
    begun = clock.monotonic()
    chosen = settings.checkpoint_store
    is_made = True
    error: Exception | None = None
    try:
        if isinstance(chosen, SqliteSettings):
            is_made = await in_background(lambda: _is_made(Path(chosen.path)))
        if is_made:
            await _write_and_take_back(settings, deadline, clock)
    except (BridgeError, OSError, ValueError) as raised:
        error = raised
    return StoreOutcome(clock.monotonic() - begun, error, is_made)


async def _write_and_take_back(settings: Settings, deadline: Deadline, clock: Clock) -> None:
    async with AsyncExitStack() as closing:
        store = build_store(settings.checkpoint_store, settings, clock)
        closing.push_async_callback(store.aclose)
        row = store.for_row(_ROW)
        # A conflict is with another doctor, or with one that was ended before it had cleaned up:
        # whether we may write shows in the deletion too.
        with suppress(CheckpointConflict):
            await row.save(Checkpoint(cursor="", fence=""), replacing=BEGINNING, deadline=deadline)
        await row.reset(deadline=deadline)


def _is_made(path: Path) -> bool:
    """Return whether the file is there; if not, write where it will be made, and delete that.

    Raises:
        OSError: that is not possible.

    """
    if path.exists():
        return True
    folder = path.absolute().parent
    while not os.path.lexists(folder):
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder) as trial:
        trial.write(bytes(_TRIAL_BYTES))
        trial.flush()
        os.fsync(trial.fileno())
    return False
