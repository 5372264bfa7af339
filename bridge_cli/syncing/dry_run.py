"""Reads what a run would read, compares it with what is held, and writes nothing at all."""

from dataclasses import dataclass, replace
from typing import Final

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendRejected
from azure_function_app.sync.checkpoint_store import Checkpoint, SyncStatus
from azure_function_app.sync.record_sink import newest_by_id, reason_unfit_id
from azure_function_app.sync.record_view import HeldVersion, RecordView
from azure_function_app.sync.records import ChangePage, Record
from azure_function_app.sync.runs.page_loop import refusal_of, sorted_out
from azure_function_app.sync.sweep import SweepPhase
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.unfit_records import PoisonAllowance

_CURSOR_EXPIRED: Final = 410


@dataclass(slots=True)
class Preview:
    """What a run would have done, had it written."""

    status: SyncStatus = SyncStatus.PAUSED
    pages: int = 0
    records_read: int = 0
    records_added: int = 0
    records_updated: int = 0
    records_deleted: int = 0
    records_unchanged: int = 0
    records_set_aside: int = 0
    begins_generation: bool = False
    """Whether the cursor has expired, so that the run would begin a new generation."""
    records_missing: int | None = None
    """Those that would be marked as deleted at the end of a new generation, because the source
    lacks them; None where a run would mark none, or where the end was not reached."""

    @property
    def records_changed(self) -> int:
        """Return how many records a run would change."""
        kinds = self.records_added + self.records_updated + self.records_deleted
        return kinds + (self.records_missing or 0)


async def preview_run(job: SyncJob, view: RecordView, start: Checkpoint) -> Preview:
    """Return what a run from the checkpoint would do by now.

    A record that is changed while the feed is being read can be counted twice.

    Raises:
        RecordsUnfit: so much of a page is unfit that the run would fail.
        BridgeError: the API or the store could not be read.

    """
    preview = Preview()
    stop = Deadline.after(job.run_seconds, job.clock)
    checkpoint = start
    live_and_seen = 0
    allowance = PoisonAllowance(job.most_poison_share)
    while not stop.has_passed:
        page = None
        try:
            page = await job.source.changes(
                checkpoint.cursor,
                limit=job.page_size,
                deadline=Deadline.after(job.page_seconds, job.clock),
            )
        except BackendRejected as rejected:
            if rejected.status != _CURSOR_EXPIRED or not checkpoint.cursor:
                raise
        if page is None or await _is_other_feed(job, checkpoint):
            preview.begins_generation = True
            checkpoint = Checkpoint("", "", checkpoint.generation + 1, is_rereading=True)
            continue
        live_and_seen += await _compare(page, view, checkpoint.generation, preview, allowance)
        checkpoint = replace(checkpoint, cursor=page.next_cursor)
        if not page.has_more:
            preview.status = SyncStatus.COMPLETE
            break
    if checkpoint.is_rereading and preview.status is SyncStatus.COMPLETE:
        # What an earlier run has read of this generation is held in it, and is not missing.
        live_before = await view.count_live(before=checkpoint.generation)
        missing = max(0, live_before - live_and_seen)
        preview.records_missing = missing
        live = await view.count_live(before=checkpoint.generation + 1) + preview.records_added
        if not (_is_agreed(checkpoint) or job.deletion_limit.allows(live=live, missing=missing)):
            preview.status = SyncStatus.HELD
    return preview


async def _is_other_feed(job: SyncJob, checkpoint: Checkpoint) -> bool:
    if checkpoint.cursor or not checkpoint.feed_cursor:
        return False
    deadline = Deadline.after(job.page_seconds, job.clock)
    return await refusal_of(job.source, checkpoint.feed_cursor, deadline=deadline) is not None


def _is_agreed(checkpoint: Checkpoint) -> bool:
    return checkpoint.sweep is not None and checkpoint.sweep.phase is SweepPhase.MARKING


async def _compare(
    page: ChangePage,
    view: RecordView,
    generation: int,
    preview: Preview,
    allowance: PoisonAllowance,
) -> int:
    """Count what the page would change; return how many live ones of earlier generations it has."""
    numbers, poison = sorted_out(page)
    items = len(page.records) + len(page.poison)
    allowance.check(poison, items)
    if poison:
        allowance.use(len(poison), items)
    fit = [page.records[number] for number in numbers]
    # What is there, but unfit, is not missing: a run leaves it as it is.
    retained = [
        item.id for item in poison if not item.is_tombstone and reason_unfit_id(item.id) is None
    ]
    held = await view.held_versions(list({*(record.id for record in fit), *retained}))
    for record in newest_by_id(fit):
        _count(record, held.get(record.id), generation, preview)
    preview.pages += 1
    preview.records_read += items
    preview.records_set_aside += len(poison)
    return sum(not known.deleted and known.generation < generation for known in held.values())


def _count(record: Record, held: HeldVersion | None, generation: int, preview: Preview) -> None:
    if held is not None and (generation, record.version) <= (held.generation, held.version):
        preview.records_unchanged += 1
    elif record.deleted:
        preview.records_deleted += 1
    elif held is None:
        preview.records_added += 1
    else:
        preview.records_updated += 1
