"""What a way of reading takes over from the other: the whole feed by one cursor, or its shards.

Each has checkpoints of its own. Who reads in one way now, and did in the other before, begins at
the beginning: in the same generation if the feed is sure to be the same, else in a new one.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.errors import CheckpointUnreadable
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    MAX_SHARDS,
    PLAN_ROW,
    Checkpoint,
    CheckpointStore,
    shard_row,
)
from azure_function_app.sync.runs.page_loop import ChangeSource, refusal_of
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

UNREADABLE: Final = Checkpoint("", "unreadable")
"""Stands for a checkpoint that is there, and tells nothing."""


class NewestGeneration(Protocol):
    """Tells the latest generation that has begun."""

    async def __call__(self, *, deadline: Deadline) -> int:
        """Return it; errors as `RecordSink.newest_generation`."""


async def load_row(checkpoints: CheckpointStore, row: str, *, deadline: Deadline) -> Checkpoint:
    """Return the checkpoint of that row, or `UNREADABLE`; errors as `CheckpointStore.load`."""
    try:
        return await checkpoints.for_row(row).load(deadline=deadline)
    except CheckpointUnreadable:
        return UNREADABLE


async def forget_shards(checkpoints: CheckpointStore, *, deadline: Deadline) -> None:
    """Delete the checkpoints of all shards and of their plan.

    The plan's is the last, so that what is broken off is known to be begun.

    Raises:
        StoreUnavailable: some may have been deleted.

    """
    await asyncio.gather(
        *(
            checkpoints.for_row(shard_row(shard)).reset(deadline=deadline)
            for shard in range(MAX_SHARDS)
        )
    )
    await checkpoints.for_row(PLAN_ROW).reset(deadline=deadline)


@dataclass(frozen=True, slots=True)
class CarryOver:
    """Finds out how to go on from the other way's checkpoint."""

    source: ChangeSource
    clock: Clock
    page_seconds: float

    async def begin(
        self, own: Checkpoint, other: Checkpoint, *, cursor: str, newest_generation: int
    ) -> Checkpoint:
        """Return the checkpoint to begin with, at the beginning, under the fence of `own`.

        Args:
            own: what is stored for the way that is read in now; `BEGINNING` if nothing is.
            other: what is stored for the other way, which is to be forgotten.
            cursor: of the feed that `other` was read from, as the API takes it; empty if unknown.
            newest_generation: of the records.

        Raises:
            BridgeError: the API could not be asked.

        """
        generation = max(own.generation, other.generation, newest_generation)
        # Only the records of the newest generation are of the feed that the cursor is of.
        is_known = own == BEGINNING and other.generation == generation and bool(cursor)
        is_same = is_known and await self.takes(cursor)
        log_event(
            _logger,
            logging.WARNING,
            "sync_mode_changed",
            generation=generation if is_same else generation + 1,
            is_same_feed=is_same,
        )
        if is_same:
            return Checkpoint(
                "",
                own.fence,
                generation,
                is_rereading=other.is_rereading,
                feed_cursor=cursor,
            )
        return Checkpoint("", own.fence, generation + 1, is_rereading=True)

    async def takes(self, cursor: str) -> bool:
        """Return whether the API still takes this cursor.

        Raises:
            BridgeError: the API could not be asked.

        """
        deadline = Deadline.after(self.page_seconds, self.clock)
        return await refusal_of(self.source, cursor, deadline=deadline) is None


@dataclass(frozen=True, slots=True)
class AfterShards:
    """Takes a whole feed over from its shards, if those were read before."""

    checkpoints: CheckpointStore
    carry_over: CarryOver

    async def begin(
        self, own: Checkpoint, *, newest_generation: NewestGeneration, deadline: Deadline
    ) -> Checkpoint | None:
        """Return the checkpoint to begin with; None if there is no plan, so nothing to take over.

        Raises:
            BridgeError: the API or the store could not be asked.

        """
        plan = await load_row(self.checkpoints, PLAN_ROW, deadline=deadline)
        if plan == BEGINNING:
            return None
        return await self.carry_over.begin(
            own,
            plan,
            cursor=await self._cursor(plan, deadline),
            newest_generation=await newest_generation(deadline=deadline),
        )

    async def forget(self, *, deadline: Deadline) -> None:
        """Delete what was read in shards, once the whole feed's checkpoint is saved."""
        await forget_shards(self.checkpoints, deadline=deadline)

    async def _cursor(self, plan: Checkpoint, deadline: Deadline) -> str:
        if plan == UNREADABLE:
            # Whether its generation was swept, nobody can tell.
            return ""
        rows = await asyncio.gather(
            *(
                load_row(self.checkpoints, shard_row(shard), deadline=deadline)
                for shard in range(MAX_SHARDS)
            )
        )
        return next(
            (row.cursor for row in rows if row.cursor and row.generation == plan.generation), ""
        )
