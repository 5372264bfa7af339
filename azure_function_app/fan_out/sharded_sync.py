"""The sync by shards, as the entries call it: a tick, a message, or both in a loop."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from azure_function_app.deadline import Deadline
from azure_function_app.errors import ShardMessageInvalid
from azure_function_app.fan_out.plan import Planner
from azure_function_app.fan_out.shard_message import ShardMessage, parse_message
from azure_function_app.fan_out.shard_worker import ShardWorker
from azure_function_app.fan_out.work_queue import MemoryQueue, OutputBinding
from azure_function_app.sync.checkpoint_store import CheckpointStore, SyncReport, SyncStatus
from azure_function_app.sync.runs.page_loop import ShardSource
from azure_function_app.sync.runs.sync_run import RunRecorder
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_store import SyncStore
from azure_function_app.telemetry.spans import NO_SPANS, SpanRecorder
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

_POISONED: Final = "shard_poisoned"


@dataclass(frozen=True, slots=True)
class ShardedSync:
    """Plans and reads a feed by its shards, in any number of processes."""

    source: ShardSource
    store: SyncStore
    checkpoints: CheckpointStore
    clock: Clock
    new_run_id: Callable[[], str]
    page_size: int
    run_seconds: float
    page_seconds: float
    deletion_limit: DeletionLimit
    most_poison_share: float
    spans: SpanRecorder = NO_SPANS

    async def tick(self, put: Callable[[list[str]], None]) -> SyncReport:
        """Plan, hand over the messages to send, and return the report that was saved.

        Raises:
            BridgeError: as `Planner.tick`; what was handed over then is not to be sent.

        """
        return await self._planner.tick(OutputBinding(put))

    async def work(self, body: bytes, put: Callable[[list[str]], None]) -> SyncReport | None:
        """Work on a message of the queue, and hand over what is left of it.

        Returns the report that was saved; None if the message came too late.

        Raises:
            ShardMessageInvalid: it is none of ours.
            BridgeError: as `ShardWorker.work`.

        """
        try:
            message = parse_message(body)
        except ShardMessageInvalid as invalid:
            log_event(_logger, logging.ERROR, invalid.code, size=len(body))
            raise
        return await self._worker(self.run_seconds).work(message, OutputBinding(put))

    async def run_here(self) -> SyncReport:
        """Plan and work in this process until nothing is left or a run's time is up.

        The report is of all that was done, and each part has saved one of its own.

        Raises:
            BridgeError: a part of it failed; what was checkpointed stays done.

        """
        stop = Deadline.after(self.run_seconds, self.clock)
        queue = MemoryQueue()
        reports: list[SyncReport] = []
        sent: list[ShardMessage] = []
        while not stop.has_passed:
            planned = await self._planner.tick(queue)
            reports.append(planned)
            if planned.status is SyncStatus.SUPERSEDED or not queue.waiting:
                return _summed(reports, planned.status)
            if sent == list(queue.waiting):
                # A shard's end names a change that does not show yet: to ask at once is no use.
                return _summed(reports, SyncStatus.COMPLETE)
            sent = list(queue.waiting)
            worked = await self._work_off(queue, stop)
            reports.extend(worked)
            if any(report.status is SyncStatus.HELD for report in worked):
                return _summed(reports, SyncStatus.HELD)
            if not any(report.status.is_success for report in worked):
                # Others are at all of it.
                return _summed(reports, SyncStatus.SUPERSEDED)
            if any(report.status is SyncStatus.PAUSED for report in worked) and not queue.waiting:
                # Nothing was put back: a shard goes on growing, and its end is for a later run.
                return _summed(reports, SyncStatus.PAUSED)
        return _summed(reports, SyncStatus.PAUSED)

    async def _work_off(self, queue: MemoryQueue, stop: Deadline) -> list[SyncReport]:
        reports = []
        while queue.waiting and not stop.has_passed:
            report = await self._worker(stop.remaining_seconds()).work(
                queue.waiting.popleft(), queue
            )
            if report is not None:
                reports.append(report)
        return reports

    @property
    def _planner(self) -> Planner:
        return Planner(
            source=self.source,
            generations=self.store,
            checkpoints=self.checkpoints,
            clock=self.clock,
            recorder=self._recorder(self.run_seconds),
            page_seconds=self.page_seconds,
        )

    def _worker(self, run_seconds: float) -> ShardWorker:
        return ShardWorker(
            source=self.source,
            store=self.store,
            clock=self.clock,
            recorder=self._recorder(run_seconds),
            page_size=self.page_size,
            page_seconds=self.page_seconds,
            deletion_limit=self.deletion_limit,
        )

    def _recorder(self, run_seconds: float) -> RunRecorder:
        return RunRecorder(
            self.checkpoints,
            self.clock,
            self.new_run_id,
            run_seconds,
            self.most_poison_share,
            self.spans,
        )


def tell_poisoned(body: bytes) -> None:
    """Log that a message was set aside by the host, after all its attempts.

    Its shard is not given up: the next tick plans it again, from where it stands.
    """
    try:
        message = parse_message(body)
    except ShardMessageInvalid as invalid:
        log_event(_logger, logging.ERROR, _POISONED, code=invalid.code, size=len(body))
        return
    log_event(
        _logger,
        logging.ERROR,
        _POISONED,
        kind=message.kind,
        shard=message.shard,
        generation=message.generation,
        what_to_change="The runs before this line say why they failed; `bridge sync status` lists"
        " them.",
    )


def _summed(reports: Sequence[SyncReport], status: SyncStatus) -> SyncReport:
    return SyncReport(
        run_id=reports[0].run_id,
        status=status,
        pages=sum(report.pages for report in reports),
        records_read=sum(report.records_read for report in reports),
        records_changed=sum(report.records_changed for report in reports),
        records_set_aside=sum(report.records_set_aside for report in reports),
        started_at=reports[0].started_at,
        finished_at=reports[-1].finished_at,
        error_code=reports[-1].error_code,
        records_missing=reports[-1].records_missing,
        tombstones_set_aside=sum(report.tombstones_set_aside for report in reports),
    )
