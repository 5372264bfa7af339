"""What a tick sends: a message for each shard that has something to read, and in the end a sweep.

The plan's checkpoint holds the feed's name in `cursor`, the generation, and the sweep. A shard's
checkpoint is made here, at the shard's beginning, before any message for it is sent: so a worker
never begins anywhere but where a checkpoint stands. See docs/adr/0004.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.errors import CheckpointConflict, FeedMissing
from azure_function_app.fan_out.shard_message import MessageKind, ShardMessage
from azure_function_app.fan_out.work_queue import WorkQueue
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    PLAN_ROW,
    RUNS_KEPT,
    WHOLE_FEED_ROW,
    Checkpoint,
    CheckpointStore,
    SyncReport,
    SyncStatus,
    shard_row,
)
from azure_function_app.sync.records import FeedShards
from azure_function_app.sync.runs.carry_over import CarryOver, load_row
from azure_function_app.sync.runs.page_loop import ShardSource
from azure_function_app.sync.runs.sync_run import RunRecorder, SyncRun
from azure_function_app.sync.sweep import SweepPhase
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

SHARDS_NOT_RUNNING: Final = "shards_not_running"
_IDLE_TICKS: Final = 3
_IDLE_RUNS: Final = 3
"""So many ticks may send messages, for the time of so many runs, without any shard's run."""
_SELDOM_SECONDS: Final = 3_600.0
"""How often they are sent from then on. A queue keeps a message for seven days, and who comes back
to work on them would find all that the ticks of those days had sent."""

NO_FEED_ANY_MORE: Final = (
    "The API has no feed, and these records were read from one: its table was made anew or lost"
    " everything. Nothing was changed here. Fill the table, and the sync goes on by itself."
)


class Generations(Protocol):
    """Where the records' generations are kept."""

    async def newest_generation(self, *, deadline: Deadline) -> int:
        """The latest generation that has begun; errors as `RecordSink.newest_generation`."""

    async def begin_generation(self, generation: int, *, deadline: Deadline) -> None:
        """Refuse every earlier generation's writes; errors as `RecordSink.begin_generation`."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans what is to be read next, any number of times, also several at once."""

    source: ShardSource
    generations: Generations
    checkpoints: CheckpointStore
    clock: Clock
    recorder: RunRecorder
    page_seconds: float

    async def tick(self, queue: WorkQueue) -> SyncReport:
        """Send what is to be done now, and return the report that was saved of it.

        The report is complete if there is nothing to do for any shard, paused if messages were
        sent, held while a sweep is, and failed if messages were sent for a long time already and no
        shard's run has ended.

        Raises:
            FeedMissing: the API has no feed, and something was read from one before.
            BridgeError: the API or the store could not be used.

        """

        async def work(run: SyncRun) -> SyncStatus:
            return await self._plan(run, queue)

        return await self.recorder.record(work)

    async def _plan(self, run: SyncRun, queue: WorkQueue) -> SyncStatus:
        # Before the list is asked for: who has an older list then finds the fence changed.
        plan = await self._row(PLAN_ROW).load(deadline=run.store_deadline)
        listing = await self.source.shards(deadline=Deadline.after(self.page_seconds, self.clock))
        if listing is None:
            if await self._has_read_a_feed(plan, run):
                raise FeedMissing(NO_FEED_ANY_MORE)
            return SyncStatus.COMPLETE
        run.shards = len(listing.shards)
        plan = await self._settle(plan, listing, run)
        rows = await self._load_rows(listing, run)
        newest = max(row.generation for row in rows)
        if newest > plan.generation:
            # Of a plan that is lost.
            plan = await self._begin_anew(plan, listing, newest, run)
        behind = [
            row
            for row, shard in zip(rows, listing.shards, strict=True)
            if row.generation < plan.generation or row.is_rereading or row.cursor != shard.end
        ]
        if behind or plan.is_rereading:
            # Before any message, so that no run of an earlier generation can write beside it.
            plan = await self._begin_generation(plan, listing, run)
        messages = await self._messages(plan, listing, rows, run)
        if not messages and plan.is_rereading:
            messages = [ShardMessage(MessageKind.SWEEP, listing.feed, plan.generation)]
        waiting = await self._waiting_ticks(run) if messages else []
        is_idle = self._is_idle(waiting, run)
        is_seldom = queue.is_kept and (is_idle or len(waiting) >= RUNS_KEPT)
        if not is_seldom or self._is_first_in_its_hour(waiting[0]):
            queue.send(messages)
        log_event(
            _logger,
            logging.INFO,
            "sync_planned",
            run_id=run.id,
            generation=plan.generation,
            shards=len(listing.shards),
            messages=len(messages),
        )
        if is_idle:
            # The tick itself must end well, or the host would not send what heals this.
            run.error_code = SHARDS_NOT_RUNNING
            return SyncStatus.FAILED
        if plan.sweep is not None and plan.sweep.phase is SweepPhase.HELD:
            run.progress.records_missing = plan.sweep.missing
            return SyncStatus.HELD
        return SyncStatus.PAUSED if messages else SyncStatus.COMPLETE

    async def _has_read_a_feed(self, plan: Checkpoint, run: SyncRun) -> bool:
        """Return whether anything stored shows that there was a feed, or that one must be read."""
        whole, shard = await asyncio.gather(
            load_row(self.checkpoints, WHOLE_FEED_ROW, deadline=run.store_deadline),
            load_row(self.checkpoints, shard_row(0), deadline=run.store_deadline),
        )
        if plan != BEGINNING or shard != BEGINNING:
            return True
        if whole == BEGINNING:
            return False
        # A table that never had a feed still takes the cursor that it has handed out itself.
        is_of_no_feed = not whole.is_rereading and bool(whole.cursor)
        carry_over = CarryOver(self.source, self.clock, self.page_seconds)
        return not (is_of_no_feed and await carry_over.takes(whole.cursor))

    async def _settle(self, plan: Checkpoint, listing: FeedShards, run: SyncRun) -> Checkpoint:
        """Return the plan for the feed that is listed, as it is saved."""
        whole = await load_row(self.checkpoints, WHOLE_FEED_ROW, deadline=run.store_deadline)
        if plan == BEGINNING or whole != BEGINNING:
            plan = await self._begin(plan, whole, listing, run)
            if whole != BEGINNING:
                await self._row(WHOLE_FEED_ROW).reset(deadline=run.store_deadline)
        elif plan.cursor != listing.feed:
            if plan.cursor:
                return await self._begin_anew(plan, listing, 0, run)
            # Begun by a person, who need not know the feed.
            plan = await self._save(replace(plan, cursor=listing.feed), plan, run)
        return plan

    async def _begin(
        self, plan: Checkpoint, whole: Checkpoint, listing: FeedShards, run: SyncRun
    ) -> Checkpoint:
        newest = await self.generations.newest_generation(deadline=run.store_deadline)
        left = [row for row in await self._load_rows(listing, run) if row != BEGINNING]
        if plan != BEGINNING or left:
            # Rows of an earlier time: whatever they say is before the new generation.
            newest = max(newest, plan.generation, whole.generation, *(r.generation for r in left))
            moved = Checkpoint("", "", newest + 1, is_rereading=True)
        elif whole != BEGINNING:
            moved = await CarryOver(self.source, self.clock, self.page_seconds).begin(
                plan,
                whole,
                cursor=whole.cursor or whole.feed_cursor,
                newest_generation=newest,
            )
        else:
            moved = Checkpoint("", "", newest)
        # A shard's cursor names its feed from the beginning, so nothing else has to.
        return await self._save(replace(moved, cursor=listing.feed, feed_cursor=""), plan, run)

    async def _begin_anew(
        self, plan: Checkpoint, listing: FeedShards, newest_row: int, run: SyncRun
    ) -> Checkpoint:
        newest = await self.generations.newest_generation(deadline=run.store_deadline)
        generation = max(plan.generation, newest, newest_row) + 1
        log_event(_logger, logging.WARNING, "sync_restarted", run_id=run.id, generation=generation)
        # Another feed: what it says counts from here on, whatever its versions are.
        moved = Checkpoint(listing.feed, "", generation, is_rereading=True)
        return await self._save(moved, plan, run)

    async def _begin_generation(
        self, plan: Checkpoint, listing: FeedShards, run: SyncRun
    ) -> Checkpoint:
        try:
            await self.generations.begin_generation(plan.generation, deadline=run.store_deadline)
        except CheckpointConflict:
            # Somebody else has written a later one: only one that is later still can be read.
            plan = await self._begin_anew(plan, listing, 0, run)
            await self.generations.begin_generation(plan.generation, deadline=run.store_deadline)
        return plan

    async def _messages(
        self, plan: Checkpoint, listing: FeedShards, rows: Sequence[Checkpoint], run: SyncRun
    ) -> list[ShardMessage]:
        messages = []
        for shard, known in zip(listing.shards, rows, strict=True):
            row = known
            if row == BEGINNING or row.generation < plan.generation:
                begun = Checkpoint(shard.start, "", plan.generation, is_rereading=plan.is_rereading)
                row = await self._row(shard_row(shard.shard)).save(
                    begun, replacing=row, deadline=run.store_deadline
                )
            if row.is_rereading or row.cursor != shard.end:
                messages.append(
                    ShardMessage(
                        MessageKind.READ,
                        listing.feed,
                        plan.generation,
                        shard.shard,
                        row.cursor,
                        shard.end,
                    )
                )
        return messages

    async def _load_rows(self, listing: FeedShards, run: SyncRun) -> list[Checkpoint]:
        return await asyncio.gather(
            *(
                self._row(shard_row(shard.shard)).load(deadline=run.store_deadline)
                for shard in listing.shards
            )
        )

    async def _save(self, moved: Checkpoint, plan: Checkpoint, run: SyncRun) -> Checkpoint:
        saved = await self._row(PLAN_ROW).save(moved, replacing=plan, deadline=run.store_deadline)
        run.has_moved = True
        return saved

    async def _waiting_ticks(self, run: SyncRun) -> list[SyncReport]:
        return waiting_ticks(await self.checkpoints.load_reports(deadline=run.store_deadline))

    def _is_first_in_its_hour(self, before: SyncReport) -> bool:
        moments = (datetime.fromisoformat(before.started_at).timestamp(), self.clock.now())
        return len({moment // _SELDOM_SECONDS for moment in moments}) > 1

    def _is_idle(self, ticks: Sequence[SyncReport], run: SyncRun) -> bool:
        """Return whether nobody works on what these ticks have sent, and say so in the log."""
        # Not one tick only, and then none for days, because the app was stopped.
        if len(ticks) < _IDLE_TICKS:
            return False
        since = ticks[-1].started_at
        seconds = self.clock.now() - datetime.fromisoformat(since).timestamp()
        if seconds <= _IDLE_RUNS * run.seconds:
            return False
        log_event(
            _logger,
            logging.ERROR,
            SHARDS_NOT_RUNNING,
            run_id=run.id,
            since=since,
            what_to_change="Messages for shards are sent, and no run of a shard ends: check that"
            " the function sync_shard is enabled, and that the app's identity has the role Storage"
            " Queue Data Contributor on the account of AzureWebJobsStorage.",
        )
        return True

    def _row(self, row: str) -> CheckpointStore:
        return self.checkpoints.for_row(row)


def waiting_ticks(newest_first: Sequence[SyncReport]) -> list[SyncReport]:
    """Return the ticks that have sent messages since a shard's run last ended, the newest first."""
    ticks = []
    for report in newest_first:
        is_waiting = report.status is SyncStatus.PAUSED or report.error_code == SHARDS_NOT_RUNNING
        if report.shard is not None or not is_waiting:
            break
        ticks.append(report)
    return ticks
