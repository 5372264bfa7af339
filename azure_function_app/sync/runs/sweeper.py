"""Marks what a new generation lacks as deleted, stretch by stretch, once it has all been read."""

import logging
from dataclasses import dataclass, replace

from azure_function_app.sync.checkpoint_store import Checkpoint, SyncStatus
from azure_function_app.sync.runs.sync_run import DELETIONS_HELD, SyncRun
from azure_function_app.sync.sweep import DeletionLimit, Sweep, SweepPhase
from azure_function_app.sync.sync_store import SyncStore
from shared.log import log_event

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Counts what a generation lacks, and marks it if that is not too much."""

    store: SyncStore
    limit: DeletionLimit
    read_so_far: int | None = None
    """For a feed that is read in shards: how many records were read since their ends were reached.
    Its sweep holds how many that were when it began. None where the sweep itself counts them."""

    async def sweep(self, checkpoint: Checkpoint, run: SyncRun) -> SyncStatus:
        """Count what the new generation lacks, and mark it, as far as the time reaches."""
        if checkpoint.sweep is None:
            # Again, for a generation that an earlier version of the app began.
            await self.store.begin_generation(checkpoint.generation, deadline=run.store_deadline)
            checkpoint = replace(checkpoint, sweep=self._begun())
        while True:
            sweep = checkpoint.sweep or self._begun()
            if sweep.phase is SweepPhase.HELD:
                if not self.limit.may_allow_now(self._with_read_since(sweep)):
                    self._tell_held(checkpoint, sweep, run)
                    return SyncStatus.HELD
                checkpoint = replace(checkpoint, sweep=self._begun())
            elif sweep.position is not None:
                if run.stop.has_passed:
                    return SyncStatus.PAUSED
                checkpoint, marked = await self.store.sweep_page(
                    checkpoint, deadline=run.store_deadline
                )
                run.has_moved = True
                run.progress.records_changed += marked
            elif sweep.phase is SweepPhase.MARKING:
                return await self._finish_sweep(checkpoint, sweep, run)
            else:
                is_allowed = self.limit.allows(live=sweep.live, missing=sweep.missing)
                phase = SweepPhase.MARKING if is_allowed else SweepPhase.HELD
                moved = replace(checkpoint, sweep=replace(sweep, phase=phase, position=""))
                checkpoint = await self.store.save(
                    moved, replacing=checkpoint, deadline=run.store_deadline
                )

    async def _finish_sweep(self, checkpoint: Checkpoint, sweep: Sweep, run: SyncRun) -> SyncStatus:
        done = replace(checkpoint, is_rereading=False, sweep=None)
        await self.store.save(done, replacing=checkpoint, deadline=run.store_deadline)
        log_event(_logger, logging.WARNING, "sync_reread", run_id=run.id, missing=sweep.missing)
        return SyncStatus.COMPLETE

    def _tell_held(self, checkpoint: Checkpoint, sweep: Sweep, run: SyncRun) -> None:
        run.progress.records_missing = sweep.missing
        log_event(
            _logger,
            logging.ERROR,
            DELETIONS_HELD,
            run_id=run.id,
            generation=checkpoint.generation,
            live=sweep.live,
            missing=sweep.missing,
            most_deleted_share=self.limit.share,
            what_to_change="Nothing was marked as deleted. If the API's table was made anew or is"
            " being filled, fill it; if the records are meant to go, run"
            " `bridge sync --accept-deletions`.",
        )

    def _begun(self) -> Sweep:
        return Sweep(read_since=self.read_so_far or 0)

    def _with_read_since(self, held: Sweep) -> Sweep:
        if self.read_so_far is None:
            return held
        return replace(held, read_since=max(0, self.read_so_far - held.read_since))
