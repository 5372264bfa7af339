"""Works on one message: reads its shard for as long as a run goes on, and puts the rest back.

A message that comes twice, late or out of order is known by where the shard's checkpoint stands:
only at the message's own cursor, in its own generation, is there anything to do. Of two workers at
the same place the first to move the checkpoint goes on.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendRejected, BridgeError, CheckpointConflict
from azure_function_app.fan_out.shard_message import MessageKind, ShardMessage
from azure_function_app.fan_out.work_queue import WorkQueue
from azure_function_app.sync.checkpoint_store import (
    PLAN_ROW,
    Checkpoint,
    SyncReport,
    SyncStatus,
    shard_row,
)
from azure_function_app.sync.records import FeedShards
from azure_function_app.sync.runs.page_loop import PageLoop, ShardSource
from azure_function_app.sync.runs.sweeper import Sweeper
from azure_function_app.sync.runs.sync_run import RunRecorder, SyncRun
from azure_function_app.sync.sweep import DeletionLimit, Sweep
from azure_function_app.sync.sync_store import SyncStore
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ShardWorker:
    """Works on messages, one after the other, also several workers at once."""

    source: ShardSource
    store: SyncStore
    clock: Clock
    recorder: RunRecorder
    page_size: int
    page_seconds: float
    deletion_limit: DeletionLimit

    async def work(self, message: ShardMessage, queue: WorkQueue) -> SyncReport | None:
        """Do what the message asks for, and return the report that was saved of it.

        None means that the message came too late, and nothing was done.

        Raises:
            BridgeError: the run failed; the message may be tried again.

        """
        match message.kind:
            case MessageKind.READ:
                return await self._record(_READING, message, queue)
            case MessageKind.SWEEP:
                return await self._record(_SWEEPING, message, queue)
            case _:
                assert_never(message.kind)

    async def _record(
        self, task: "_Task", message: ShardMessage, queue: WorkQueue
    ) -> SyncReport | None:
        store = self.store.for_row(task.row(message))
        # A look that fails is the run's own failure: it looks again, and its report says so.
        with contextlib.suppress(BridgeError):
            found = await store.load(deadline=Deadline.after(_LOOK_SECONDS, self.clock))
            if task.is_late(found, message):
                log_event(
                    _logger,
                    logging.INFO,
                    "shard_message_late",
                    kind=message.kind,
                    shard=message.shard,
                    generation=message.generation,
                )
                return None

        async def within(run: SyncRun) -> SyncStatus:
            checkpoint = await store.load(deadline=run.store_deadline)
            if task.is_late(checkpoint, message):
                raise CheckpointConflict("Another run has worked on the message.")
            return await task.do(self, checkpoint, store, message, run, queue)

        # A sweep too, so that no tick's success hides that it fails.
        return await self.recorder.record(within, shard=message.shard)

    async def _read(
        self,
        checkpoint: Checkpoint,
        store: SyncStore,
        message: ShardMessage,
        run: SyncRun,
        queue: WorkQueue,
    ) -> SyncStatus:
        pages = PageLoop(self.source, store, self.clock, self.page_size, self.page_seconds)
        reading = await pages.read_to_end(checkpoint, run)
        if reading.expired is not None:
            await self._begin_anew(reading.checkpoint, reading.expired, message, run)
            raise CheckpointConflict("The feed is another one by now; the next tick plans anew.")
        if reading.is_growing:
            # The next tick asks again.
            return SyncStatus.PAUSED
        if not reading.is_end:
            queue.send([replace(message, start=reading.checkpoint.cursor)])
            return SyncStatus.PAUSED
        if reading.checkpoint.is_rereading:
            # From here on the sweep counts what is read, to know what a held one may have missed.
            read = replace(reading.checkpoint, is_rereading=False, sweep=Sweep())
            await store.save(read, replacing=reading.checkpoint, deadline=run.store_deadline)
        return SyncStatus.COMPLETE

    async def _begin_anew(
        self, row: Checkpoint, expired: BackendRejected, message: ShardMessage, run: SyncRun
    ) -> None:
        """Begin a new generation if the feed that was planned expires the cursor all the same.

        It was set back under its name: the list of its shards does not show that to any tick.
        """
        plans = self.store.for_row(PLAN_ROW)
        plan = await plans.load(deadline=run.store_deadline)
        listing = await self.source.shards(deadline=Deadline.after(self.page_seconds, self.clock))
        if listing is None or (plan.generation, plan.cursor) != (message.generation, listing.feed):
            return
        if any(shard.start == row.cursor for shard in listing.shards):
            # There is no earlier place to begin at.
            raise expired
        log_event(_logger, logging.WARNING, "sync_restarted", run_id=run.id, shard=message.shard)
        anew = Checkpoint("", "", plan.generation + 1, is_rereading=True)
        await plans.save(anew, replacing=plan, deadline=run.store_deadline)

    async def _sweep(
        self,
        plan: Checkpoint,
        store: SyncStore,
        message: ShardMessage,
        run: SyncRun,
        queue: WorkQueue,
    ) -> SyncStatus:
        listing = await self.source.shards(deadline=Deadline.after(self.page_seconds, self.clock))
        read_so_far = await self._read_so_far(plan, listing, run)
        await store.begin_generation(plan.generation, deadline=run.store_deadline)
        status = await Sweeper(store, self.deletion_limit, read_so_far).sweep(plan, run)
        if status is SyncStatus.PAUSED:
            queue.send([message])
        return status

    async def _read_so_far(self, plan: Checkpoint, listing: FeedShards | None, run: SyncRun) -> int:
        """Return how many records were read since all shards were read to their ends.

        Raises:
            CheckpointConflict: they were not: nothing may be missed from what nobody has read.

        """
        if listing is None or listing.feed != plan.cursor:
            raise CheckpointConflict("The feed is another one by now, or gone.")
        rows = await asyncio.gather(
            *(
                self.store.for_row(shard_row(shard.shard)).load(deadline=run.store_deadline)
                for shard in listing.shards
            )
        )
        if any(row.generation != plan.generation or row.is_rereading for row in rows):
            raise CheckpointConflict("Not every shard of the generation has been read.")
        return sum(row.sweep.read_since for row in rows if row.sweep is not None)


def _is_past(row: Checkpoint, message: ShardMessage) -> bool:
    if (row.generation, row.cursor) != (message.generation, message.start):
        return True
    return row.cursor == message.end and not row.is_rereading


def _is_swept(plan: Checkpoint, message: ShardMessage) -> bool:
    place = (plan.generation, plan.cursor)
    return place != (message.generation, message.feed) or not plan.is_rereading


class _Task(NamedTuple):
    """What a kind of message comes to."""

    row: Callable[[ShardMessage], str]
    is_late: Callable[[Checkpoint, ShardMessage], bool]
    do: Callable[
        [ShardWorker, Checkpoint, SyncStore, ShardMessage, SyncRun, WorkQueue],
        Awaitable[SyncStatus],
    ]


_READING: Final = _Task(lambda message: shard_row(message.shard), _is_past, ShardWorker._read)  # noqa: SLF001 - of this module
_SWEEPING: Final = _Task(lambda _message: PLAN_ROW, _is_swept, ShardWorker._sweep)  # noqa: SLF001 - of this module
