"""Brings every change of the API's feed into the sink: at least once, idempotent, effectively once.

The order is the promise: read a page, write it, then move the checkpoint past it. Whatever ends a
run in between makes the next one write the same page again, which changes nothing. Why it is built
so, and what it does not promise, is in docs/adr/0004.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Final, Protocol, assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BackendRejected,
    BridgeError,
    CheckpointConflict,
)
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    CheckpointStore,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.poison_store import PoisonOrigin
from azure_function_app.sync.record_sink import RecordSink, reason_unfit
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record
from azure_function_app.sync.unfit_records import PoisonAllowance, write_fit
from shared.clock import Clock
from shared.formats.rfc3339 import format_rfc3339
from shared.log import log_event

_logger = logging.getLogger(__name__)

_CURSOR_EXPIRED: Final = 410


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


@dataclass(frozen=True, slots=True)
class SyncJob:
    """The sync job, ready to run any number of times, also several at once."""

    source: ChangeSource
    sink: RecordSink
    checkpoints: CheckpointStore
    clock: Clock
    new_run_id: Callable[[], str]
    page_size: int
    """How many changes to ask for, and write, at a time."""
    run_seconds: float
    """After these a run reads no further page. The function's time-out must be longer by a page."""
    page_seconds: float
    """What reading one page may take, attempts and pauses included."""
    most_poison_share: float = 0.5
    """Of a page; if more of it is unfit the run fails, since then no single record is to blame."""

    async def run(self) -> SyncReport:
        """One run, until the end of the feed or of its time; gives the report that it has saved.

        Being superseded by another run is an outcome, not an error.

        Raises:
            BridgeError: the run failed; its report is saved all the same, if the store lets it.

        """
        run_id = self.new_run_id()
        started_at = format_rfc3339(self.clock.now())
        progress = _Progress()

        async def end(status: SyncStatus, error_code: str | None = None) -> SyncReport:
            report = SyncReport(
                run_id=run_id,
                status=status,
                **asdict(progress),
                started_at=started_at,
                finished_at=format_rfc3339(self.clock.now()),
                error_code=error_code,
            )
            log_event(_logger, _level_of(status), "sync_finished", **asdict(report))
            await self.checkpoints.save_report(report)
            return report

        log_event(_logger, logging.INFO, "sync_started", run_id=run_id)
        try:
            status = await self._advance(run_id, progress)
        except CheckpointConflict as conflict:
            log_event(_logger, logging.WARNING, "sync_superseded", run_id=run_id, why=str(conflict))
            return await end(SyncStatus.SUPERSEDED)
        except (Exception, asyncio.CancelledError) as error:
            try:
                await end(SyncStatus.FAILED, _code_of(error))
            except BridgeError as unsaved:
                # What ended the run matters more than that its report could not be saved.
                log_event(
                    _logger, logging.ERROR, "sync_report_lost", run_id=run_id, code=unsaved.code
                )
            raise
        return await end(status)

    async def _advance(self, run_id: str, progress: _Progress) -> SyncStatus:
        stop = Deadline.after(self.run_seconds, self.clock)
        checkpoint = await self._load()
        allowance = PoisonAllowance(self.most_poison_share)
        has_restarted = False
        while not stop.has_passed:
            try:
                page = await self._read(checkpoint.cursor)
            except BackendRejected as rejected:
                if rejected.status != _CURSOR_EXPIRED or not checkpoint.cursor or has_restarted:
                    raise
                log_event(_logger, logging.WARNING, "sync_restarted", run_id=run_id)
                # Another feed: what it says counts from here on, whatever its versions are.
                restarted = Checkpoint("", "", checkpoint.generation + 1, is_rereading=True)
                checkpoint = await self.checkpoints.save(restarted, replacing=checkpoint)
                has_restarted = True
                continue
            checkpoint = await self._store(page, checkpoint, run_id, progress, allowance)
            if not page.has_more:
                if checkpoint.is_rereading:
                    await self._finish_rereading(checkpoint, run_id, progress)
                return SyncStatus.COMPLETE
        return SyncStatus.PAUSED

    async def _load(self) -> Checkpoint:
        checkpoint = await self.checkpoints.load()
        if checkpoint != BEGINNING:
            return checkpoint
        # Without a checkpoint only the records themselves know which generation they are of.
        return replace(checkpoint, generation=await self.sink.newest_generation())

    async def _finish_rereading(
        self, checkpoint: Checkpoint, run_id: str, progress: _Progress
    ) -> None:
        missing = await self.sink.mark_missing(generation=checkpoint.generation)
        progress.records_changed += missing
        log_event(_logger, logging.WARNING, "sync_reread", run_id=run_id, missing=missing)
        done = replace(checkpoint, is_rereading=False)
        await self.checkpoints.save(done, replacing=checkpoint)

    async def _read(self, cursor: str) -> ChangePage:
        return await self.source.changes(
            cursor,
            limit=self.page_size,
            deadline=Deadline.after(self.page_seconds, self.clock),
        )

    async def _store(
        self,
        page: ChangePage,
        checkpoint: Checkpoint,
        run_id: str,
        progress: _Progress,
        allowance: PoisonAllowance,
    ) -> Checkpoint:
        items = len(page.records) + len(page.poison)
        numbers, poison = _sorted_out(page)
        allowance.check(poison, items)
        records = [page.records[number] for number in numbers]
        number_of = {id(record): number for record, number in zip(records, numbers, strict=True)}

        def note_refused(record: Record, reason: str) -> None:
            poison.append(_unfit(page, number_of[id(record)], reason))
            allowance.check(poison, items)

        changed = 0
        if records:
            changed = await write_fit(
                partial(self.sink.write, generation=checkpoint.generation),
                records,
                on_refused=note_refused,
            )
        if poison:
            await self._set_aside(poison, checkpoint, run_id)
            allowance.use(len(poison), items)
        # An idle feed answers with the cursor that it was asked for: nothing to save then.
        if page.next_cursor != checkpoint.cursor:
            moved = replace(checkpoint, cursor=page.next_cursor)
            checkpoint = await self.checkpoints.save(moved, replacing=checkpoint)
        progress.pages += 1
        progress.records_read += items
        progress.records_changed += changed
        progress.records_set_aside += len(poison)
        progress.tombstones_set_aside += sum(item.is_tombstone for item in poison)
        return checkpoint

    async def _set_aside(
        self, poison: Sequence[PoisonRecord], checkpoint: Checkpoint, run_id: str
    ) -> None:
        now = format_rfc3339(self.clock.now())
        origin = PoisonOrigin(run_id, now, checkpoint.generation, checkpoint.cursor, self.page_size)
        await self.sink.set_aside(poison, origin=origin)
        log_event(
            _logger,
            logging.WARNING,
            "records_set_aside",
            run_id=run_id,
            count=len(poison),
            reasons=sorted({item.reason for item in poison}),
        )
        if tombstones := sum(item.is_tombstone for item in poison):
            log_event(
                _logger, logging.ERROR, "tombstones_set_aside", run_id=run_id, count=tombstones
            )


def _sorted_out(page: ChangePage) -> tuple[list[int], list[PoisonRecord]]:
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
        case SyncStatus.FAILED:
            return logging.ERROR
        case _:
            assert_never(status)


def _code_of(error: BaseException) -> str:
    if isinstance(error, BridgeError):
        return error.code
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "internal_error"
