"""One run and what is kept of it: its time, its counts, and the report that it ends with."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Final, Protocol, assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BridgeError,
    CheckpointConflict,
    StoreTimedOut,
    StoreUnavailable,
)
from azure_function_app.sync.checkpoint_store import SyncReport, SyncStatus
from azure_function_app.sync.unfit_records import PoisonAllowance
from azure_function_app.telemetry.spans import NO_SPANS, Span, SpanRecorder
from shared.clock import Clock
from shared.formats.rfc3339 import format_rfc3339
from shared.log import log_event

_logger = logging.getLogger(__name__)

DELETIONS_HELD: Final = "deletions_held"
_GRACE: Final = 0.05
"""Share of a run's time that a store has for what is under way when that time is up."""
_REPORT_SECONDS: Final = 5.0


@dataclass(slots=True)
class Progress:
    """What a run has done so far."""

    pages: int = 0
    records_read: int = 0
    records_changed: int = 0
    records_set_aside: int = 0
    tombstones_set_aside: int = 0
    records_missing: int = 0


@dataclass(slots=True)
class SyncRun:
    """A run that is under way."""

    id: str
    stop: Deadline
    """When it begins nothing more."""
    seconds: float
    """How long after its beginning that is."""
    allowance: PoisonAllowance
    progress: Progress = field(default_factory=Progress)
    has_moved: bool = False
    """Whether the checkpoint has come any further."""
    has_store_failed: bool = False
    error_code: str | None = None
    """Of what is wrong, where the run ends as it should all the same."""
    shards: int | None = None
    """How many shards the run has planned for."""
    spans: SpanRecorder = NO_SPANS

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


class ReportStore(Protocol):
    """Keeps the reports of runs."""

    async def save_report(self, report: SyncReport, *, deadline: Deadline) -> None:
        """Keep a run's report; errors as `CheckpointStore.save_report`."""


@dataclass(frozen=True, slots=True)
class RunRecorder:
    """Does a run's work within its time, and saves the report of how it ended."""

    reports: ReportStore
    clock: Clock
    new_run_id: Callable[[], str]
    run_seconds: float
    most_poison_share: float
    spans: SpanRecorder = NO_SPANS

    async def record(
        self, work: Callable[[SyncRun], Awaitable[SyncStatus]], *, shard: int | None = None
    ) -> SyncReport:
        """Do the work as one run, and return the report that was saved of it.

        Being superseded by another run is an outcome, not an error.

        Args:
            work: gets the run.
            shard: the shard that the run is for, if it is for one only.

        Raises:
            BridgeError: the run failed; its report is saved all the same, if the store lets it.

        """
        with self.spans.span("sync_run", {"shard": shard}) as span:
            report = await self._record(work, shard)
            _describe(span, report)
            return report

    async def _record(
        self, work: Callable[[SyncRun], Awaitable[SyncStatus]], shard: int | None
    ) -> SyncReport:
        stop = Deadline.after(self.run_seconds, self.clock)
        allowance = PoisonAllowance(self.most_poison_share)
        run = SyncRun(self.new_run_id(), stop, self.run_seconds, allowance, spans=self.spans)
        started_at = format_rfc3339(self.clock.now())

        async def end(status: SyncStatus, error_code: str | None = None) -> SyncReport:
            report = SyncReport(
                run_id=run.id,
                status=status,
                **asdict(run.progress),
                started_at=started_at,
                finished_at=format_rfc3339(self.clock.now()),
                error_code=error_code,
                shard=shard,
                shards=run.shards,
            )
            log_event(_logger, _level_of(status), "sync_finished", **report.to_members())
            try:
                await self.reports.save_report(report, deadline=run.report_deadline)
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
            status = await _as_far_as_time_reaches(work, run)
        except CheckpointConflict as conflict:
            log_event(_logger, logging.WARNING, "sync_superseded", run_id=run.id, why=str(conflict))
            return await end(SyncStatus.SUPERSEDED)
        except (Exception, asyncio.CancelledError) as error:
            run.has_store_failed = isinstance(error, StoreUnavailable)
            # What ended the run matters more than that its report could not be saved.
            with contextlib.suppress(BridgeError):
                await end(SyncStatus.FAILED, _code_of(error))
            raise
        return await end(status, DELETIONS_HELD if status is SyncStatus.HELD else run.error_code)


def _describe(span: Span, report: SyncReport) -> None:
    if span.context is None:
        return
    span.set(
        {
            "run_id": report.run_id,
            "status": report.status,
            "pages": report.pages,
            "records_read": report.records_read,
            "records_changed": report.records_changed,
            "records_set_aside": report.records_set_aside,
        }
    )
    if report.error_code is not None:
        span.fail(report.error_code)


async def _as_far_as_time_reaches(
    work: Callable[[SyncRun], Awaitable[SyncStatus]], run: SyncRun
) -> SyncStatus:
    try:
        return await work(run)
    except StoreTimedOut:
        # Its time was up in the middle of a step, which the next run takes again. One that has
        # come no further at all is a failure, or a store that hangs would never be one.
        if not (run.stop.has_passed and run.has_moved):
            raise
        run.has_store_failed = True
        return SyncStatus.PAUSED


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
