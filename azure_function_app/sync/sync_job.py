"""Brings every change of the API's feed into the sink: at least once, idempotent, effectively once.

The order is the promise: read a page, write it, then move the checkpoint past it. Whatever ends a
run in between makes the next one write the same page again, which changes nothing. Why it is built
so, and what it does not promise, is in docs/adr/0004.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.runs.carry_over import AfterShards
from azure_function_app.sync.runs.page_loop import ChangeSource, PageLoop
from azure_function_app.sync.runs.sweeper import Sweeper
from azure_function_app.sync.runs.sync_run import RunRecorder, SyncRun
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_store import SyncStore
from azure_function_app.telemetry.spans import NO_SPANS, SpanRecorder
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncJob:
    """The sync job, ready to run any number of times, also several at once."""

    source: ChangeSource
    store: SyncStore
    clock: Clock
    new_run_id: Callable[[], str]
    page_size: int
    """How many changes to ask for, and write, at a time."""
    run_seconds: float
    """After these a run begins nothing more. The function's time-out must be longer by a page."""
    page_seconds: float
    """What reading one page may take, attempts and pauses included."""
    deletion_limit: DeletionLimit
    """How much a new generation may mark as deleted before a person has to agree."""
    most_poison_share: float = 0.5
    """Of a page; if more of it is unfit the run fails, since then no single record is to blame."""

    after_shards: AfterShards | None = None
    """Takes over from runs that read the feed in shards; None where there never were any."""
    spans: SpanRecorder = NO_SPANS

    async def run(self) -> SyncReport:
        """One run, until the end of the feed or of its time; gives the report that it has saved.

        Being superseded by another run is an outcome, not an error, and so is being held because
        too much would be deleted.

        Raises:
            BridgeError: the run failed; its report is saved all the same, if the store lets it.

        """
        recorder = RunRecorder(
            self.store,
            self.clock,
            self.new_run_id,
            self.run_seconds,
            self.most_poison_share,
            self.spans,
        )
        return await recorder.record(self._advance)

    async def _advance(self, run: SyncRun) -> SyncStatus:
        pages = PageLoop(self.source, self.store, self.clock, self.page_size, self.page_seconds)
        checkpoint = await self._load(run)
        has_restarted = False
        while True:
            if checkpoint.is_rereading and not checkpoint.cursor:
                # Before the first page, so that no run from before can write beside it.
                await self.store.begin_generation(
                    checkpoint.generation, deadline=run.store_deadline
                )
            reading = await pages.read_to_end(checkpoint, run)
            if reading.expired is None:
                break
            read_before = reading.checkpoint.cursor or reading.checkpoint.feed_cursor
            if not read_before or has_restarted:
                raise reading.expired
            checkpoint = await self._restart(reading.checkpoint, run)
            has_restarted = True
        if not reading.is_end:
            return SyncStatus.PAUSED
        if not reading.checkpoint.is_rereading:
            return SyncStatus.COMPLETE
        return await Sweeper(self.store, self.deletion_limit).sweep(reading.checkpoint, run)

    async def _load(self, run: SyncRun) -> Checkpoint:
        checkpoint = await self.store.load(deadline=run.store_deadline)
        if self.after_shards is not None:
            taken_over = await self.after_shards.begin(
                checkpoint,
                newest_generation=self.store.newest_generation,
                deadline=run.store_deadline,
            )
            if taken_over is not None:
                saved = await self.store.save(
                    taken_over, replacing=checkpoint, deadline=run.store_deadline
                )
                await self.after_shards.forget(deadline=run.store_deadline)
                return saved
        if checkpoint != BEGINNING:
            return checkpoint
        # Without a checkpoint only the records themselves know which generation they are of.
        newest = await self.store.newest_generation(deadline=run.store_deadline)
        return replace(checkpoint, generation=newest)

    async def _restart(self, checkpoint: Checkpoint, run: SyncRun) -> Checkpoint:
        log_event(_logger, logging.WARNING, "sync_restarted", run_id=run.id)
        newest = await self.store.newest_generation(deadline=run.store_deadline)
        # Another feed: what it says counts from here on, whatever its versions are.
        generation = max(checkpoint.generation, newest) + 1
        restarted = Checkpoint("", "", generation, is_rereading=True)
        return await self.store.save(restarted, replacing=checkpoint, deadline=run.store_deadline)
