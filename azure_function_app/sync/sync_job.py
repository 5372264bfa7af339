"""Brings every change of the API's feed into the sink: at least once, idempotent, effectively once.

The order is the promise: read a page, write it, then move the checkpoint past it. Whatever ends a
run in between makes the next one write the same page again, which changes nothing. Why it is built
so, and what it does not promise, is in docs/adr/0004.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Protocol, assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BackendRejected,
    BridgeError,
    CheckpointConflict,
    ContentRefused,
    StoreTimedOut,
    StoreUnavailable,
)
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.poison_store import PoisonOrigin
from azure_function_app.sync.record_sink import Batch, reason_unfit, reason_unfit_id
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record
from azure_function_app.sync.sweep import DeletionLimit, Sweep, SweepPhase
from azure_function_app.sync.sync_store import SyncStore
from azure_function_app.sync.unfit_records import PoisonAllowance, write_fit
from shared.clock import Clock
from shared.formats.rfc3339 import format_rfc3339
from shared.log import log_event

_logger = logging.getLogger(__name__)

_CURSOR_EXPIRED: Final = 410
_DELETIONS_HELD: Final = "deletions_held"
_GRACE: Final = 0.05
"""Share of a run's time that a store has for what is under way when that time is up."""
_REPORT_SECONDS: Final = 5.0


class ChangeSource(Protocol):
    """Reads the change feed, retries included."""

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """Return the page that starts at the cursor; the empty cursor is the beginning.

        A page that has more has another cursor than the one that was asked for.

        Raises:
            BridgeError: no usable answer by the deadline.

        """


@dataclass(slots=True)
class _Progress:
    pages: int = 0
    records_read: int = 0
    records_changed: int = 0
    records_set_aside: int = 0
    tombstones_set_aside: int = 0
    records_missing: int = 0


@dataclass(slots=True)
class _Run:
    id: str
    stop: Deadline
    """When it begins nothing more."""
    seconds: float
    """How long after its beginning that is."""
    allowance: PoisonAllowance
    progress: _Progress = field(default_factory=_Progress)
    has_moved: bool = False
    """Whether the checkpoint has come any further."""
    has_store_failed: bool = False

    @property
    def store_deadline(self) -> Deadline:
        """Return when a call to the store that begins now must be over."""
        clock = self.stop.clock
        return Deadline(clock, max(self.stop.at, clock.monotonic()) + self.seconds * _GRACE)

    @property
    def report_deadline(self) -> Deadline:
        """Return when the report must be saved.

        A store that has just failed gets one short chance: a dead one must not hold the run.
        """
        last_words = min(1.0, max(0.1, self.seconds * _GRACE / 2))
        seconds = last_words if self.has_store_failed else _REPORT_SECONDS
        return Deadline.after(seconds, self.stop.clock)


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

    async def run(self) -> SyncReport:
        """One run, until the end of the feed or of its time; gives the report that it has saved.

        Being superseded by another run is an outcome, not an error, and so is being held because
        too much would be deleted.

        Raises:
            BridgeError: the run failed; its report is saved all the same, if the store lets it.

        """
        stop = Deadline.after(self.run_seconds, self.clock)
        allowance = PoisonAllowance(self.most_poison_share)
        run = _Run(self.new_run_id(), stop, self.run_seconds, allowance)
        started_at = format_rfc3339(self.clock.now())

        async def end(status: SyncStatus, error_code: str | None = None) -> SyncReport:
            report = SyncReport(
                run_id=run.id,
                status=status,
                **asdict(run.progress),
                started_at=started_at,
                finished_at=format_rfc3339(self.clock.now()),
                error_code=error_code,
            )
            log_event(_logger, _level_of(status), "sync_finished", **asdict(report))
            try:
                await self.store.save_report(report, deadline=run.report_deadline)
            except BridgeError as unsaved:
                log_event(
                    _logger, logging.ERROR, "sync_report_lost", run_id=run.id, code=unsaved.code
                )
                # It is known already that the store fails, and what came of that.
                if not run.has_store_failed:
                    raise
            return report

        log_event(_logger, logging.INFO, "sync_started", run_id=run.id)
        try:
            status = await self._advance(run)
        except CheckpointConflict as conflict:
            log_event(_logger, logging.WARNING, "sync_superseded", run_id=run.id, why=str(conflict))
            return await end(SyncStatus.SUPERSEDED)
        except (Exception, asyncio.CancelledError) as error:
            run.has_store_failed = isinstance(error, StoreUnavailable)
            # What ended the run matters more than that its report could not be saved.
            with contextlib.suppress(BridgeError):
                await end(SyncStatus.FAILED, _code_of(error))
            raise
        return await end(status, _DELETIONS_HELD if status is SyncStatus.HELD else None)

    async def _advance(self, run: _Run) -> SyncStatus:
        try:
            return await self._read_to_end(run)
        except StoreTimedOut:
            # Its time was up in the middle of a step, which the next run takes again. One that
            # has come no further at all is a failure, or a store that hangs would never be one.
            if not (run.stop.has_passed and run.has_moved):
                raise
            run.has_store_failed = True
            return SyncStatus.PAUSED

    async def _read_to_end(self, run: _Run) -> SyncStatus:
        checkpoint = await self._load(run)
        has_restarted = False
        while not run.stop.has_passed:
            if checkpoint.is_rereading and not checkpoint.cursor:
                # Before the first page, so that no run from before can write beside it.
                await self.store.begin_generation(
                    checkpoint.generation, deadline=run.store_deadline
                )
            try:
                page = await self._read(checkpoint.cursor)
            except BackendRejected as rejected:
                if rejected.status != _CURSOR_EXPIRED or not checkpoint.cursor or has_restarted:
                    raise
                log_event(_logger, logging.WARNING, "sync_restarted", run_id=run.id)
                # Another feed: what it says counts from here on, whatever its versions are.
                restarted = Checkpoint("", "", checkpoint.generation + 1, is_rereading=True)
                checkpoint = await self.store.save(
                    restarted, replacing=checkpoint, deadline=run.store_deadline
                )
                has_restarted = True
                continue
            checkpoint = await self._store(page, checkpoint, run)
            if page.has_more:
                continue
            if not checkpoint.is_rereading:
                return SyncStatus.COMPLETE
            # A record that changes while a page is read has left the place that is read, and is
            # on a later page. Only where nothing is left has every record been seen.
            if not page.records and not page.poison:
                return await self._sweep(checkpoint, run)
        return SyncStatus.PAUSED

    async def _load(self, run: _Run) -> Checkpoint:
        checkpoint = await self.store.load(deadline=run.store_deadline)
        if checkpoint != BEGINNING:
            return checkpoint
        # Without a checkpoint only the records themselves know which generation they are of.
        newest = await self.store.newest_generation(deadline=run.store_deadline)
        return replace(checkpoint, generation=newest)

    async def _sweep(self, checkpoint: Checkpoint, run: _Run) -> SyncStatus:
        """Count what the new generation lacks, and mark it, as far as the time reaches."""
        if checkpoint.sweep is None:
            # Again, for a generation that an earlier version of the app began.
            await self.store.begin_generation(checkpoint.generation, deadline=run.store_deadline)
            checkpoint = replace(checkpoint, sweep=Sweep())
        while True:
            sweep = checkpoint.sweep or Sweep()
            if sweep.phase is SweepPhase.HELD:
                if not self.deletion_limit.may_allow_now(sweep):
                    self._tell_held(checkpoint, sweep, run)
                    return SyncStatus.HELD
                checkpoint = replace(checkpoint, sweep=Sweep())
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
                is_allowed = self.deletion_limit.allows(live=sweep.live, missing=sweep.missing)
                phase = SweepPhase.MARKING if is_allowed else SweepPhase.HELD
                moved = replace(checkpoint, sweep=replace(sweep, phase=phase, position=""))
                checkpoint = await self.store.save(
                    moved, replacing=checkpoint, deadline=run.store_deadline
                )

    async def _finish_sweep(self, checkpoint: Checkpoint, sweep: Sweep, run: _Run) -> SyncStatus:
        done = replace(checkpoint, is_rereading=False, sweep=None)
        await self.store.save(done, replacing=checkpoint, deadline=run.store_deadline)
        log_event(_logger, logging.WARNING, "sync_reread", run_id=run.id, missing=sweep.missing)
        return SyncStatus.COMPLETE

    def _tell_held(self, checkpoint: Checkpoint, sweep: Sweep, run: _Run) -> None:
        run.progress.records_missing = sweep.missing
        log_event(
            _logger,
            logging.ERROR,
            _DELETIONS_HELD,
            run_id=run.id,
            generation=checkpoint.generation,
            live=sweep.live,
            missing=sweep.missing,
            most_deleted_share=self.deletion_limit.share,
            what_to_change="Nothing was marked as deleted. If the API's table was made anew or is"
            " being filled, fill it; if the records are meant to go, run"
            " `bridge sync --accept-deletions`.",
        )

    async def _read(self, cursor: str) -> ChangePage:
        return await self.source.changes(
            cursor,
            limit=self.page_size,
            deadline=Deadline.after(self.page_seconds, self.clock),
        )

    async def _store(self, page: ChangePage, checkpoint: Checkpoint, run: _Run) -> Checkpoint:
        items = len(page.records) + len(page.poison)
        numbers, poison = sorted_out(page)
        run.allowance.check(poison, items)
        moved = replace(
            checkpoint,
            cursor=page.next_cursor,
            sweep=_with_read(checkpoint.sweep, len(numbers)),
        )
        changed = 0
        # An idle feed answers with the cursor that it was asked for: nothing to save then.
        if numbers or poison or moved != checkpoint:
            origin = PoisonOrigin(
                run.id,
                format_rfc3339(self.clock.now()),
                checkpoint.generation,
                checkpoint.cursor,
                self.page_size,
            )
            records = [page.records[number] for number in numbers]
            await self._retain(poison, checkpoint, run)
            try:
                checkpoint, changed = await self.store.write_page(
                    Batch(records, poison, origin),
                    moved,
                    replacing=checkpoint,
                    deadline=run.store_deadline,
                )
            except ContentRefused as refused:
                written = await self._write_fit(page, numbers, poison, checkpoint.generation, run)
                await self._retain(poison, checkpoint, run)
                checkpoint, _ = await self.store.write_page(
                    Batch((), poison, origin),
                    moved,
                    replacing=checkpoint,
                    deadline=run.store_deadline,
                )
                changed = refused.changed + written
            run.has_moved = True
        if poison:
            run.allowance.use(len(poison), items)
            _tell_set_aside(poison, run)
        progress = run.progress
        progress.pages += 1
        progress.records_read += items
        progress.records_changed += changed
        progress.records_set_aside += len(poison)
        progress.tombstones_set_aside += sum(item.is_tombstone for item in poison)
        return checkpoint

    async def _retain(
        self, poison: Sequence[PoisonRecord], checkpoint: Checkpoint, run: _Run
    ) -> None:
        """Keep the sweep from taking records for missing that are there, but unfit."""
        ids = sorted(
            {
                item.id
                for item in poison
                if not item.is_tombstone and reason_unfit_id(item.id) is None
            }
        )
        if ids and checkpoint.is_rereading:
            await self.store.retain(
                ids, generation=checkpoint.generation, deadline=run.store_deadline
            )

    async def _write_fit(
        self,
        page: ChangePage,
        numbers: Sequence[int],
        poison: list[PoisonRecord],
        generation: int,
        run: _Run,
    ) -> int:
        """Write what the store takes of a page, and add what it refuses to the poison."""
        number_of = {id(page.records[number]): number for number in numbers}
        items = len(page.records) + len(page.poison)

        async def write(records: Sequence[Record]) -> int:
            return await self.store.write(
                records, generation=generation, deadline=run.store_deadline
            )

        def note_refused(record: Record, reason: str) -> None:
            poison.append(_unfit(page, number_of[id(record)], reason))
            run.allowance.check(poison, items)

        records = [page.records[number] for number in numbers]
        return await write_fit(write, records, on_refused=note_refused)


def _tell_set_aside(poison: Sequence[PoisonRecord], run: _Run) -> None:
    log_event(
        _logger,
        logging.WARNING,
        "records_set_aside",
        run_id=run.id,
        count=len(poison),
        reasons=sorted({item.reason for item in poison}),
    )
    if tombstones := sum(item.is_tombstone for item in poison):
        log_event(_logger, logging.ERROR, "tombstones_set_aside", run_id=run.id, count=tombstones)


def _with_read(sweep: Sweep | None, records: int) -> Sweep | None:
    return None if sweep is None else replace(sweep, read_since=sweep.read_since + records)


def sorted_out(page: ChangePage) -> tuple[list[int], list[PoisonRecord]]:
    """Return the numbers of the records that every store can hold, and what is none."""
    numbers, poison = [], list(page.poison)
    for number, record in enumerate(page.records):
        if (reason := reason_unfit(record)) is None:
            numbers.append(number)
        else:
            poison.append(_unfit(page, number, reason))
    return numbers, poison


def _unfit(page: ChangePage, number: int, reason: str) -> PoisonRecord:
    record = page.records[number]
    return PoisonRecord(record.id, reason, page.raw_of(number), is_tombstone=record.deleted)


def _level_of(status: SyncStatus) -> int:
    match status:
        case SyncStatus.COMPLETE | SyncStatus.PAUSED | SyncStatus.SUPERSEDED:
            return logging.INFO
        case SyncStatus.HELD | SyncStatus.FAILED:
            return logging.ERROR
        case _:
            assert_never(status)


def _code_of(error: BaseException) -> str:
    if isinstance(error, BridgeError):
        return error.code
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "internal_error"
