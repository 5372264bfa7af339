"""Reads the feed from a checkpoint on, page by page: write the page, then move the checkpoint.

What is no usable record is set aside on the way. The same loop reads a whole feed and one shard.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendRejected, ContentRefused
from azure_function_app.sync.checkpoint_store import Checkpoint
from azure_function_app.sync.poison_store import PoisonOrigin
from azure_function_app.sync.record_sink import Batch, reason_unfit, reason_unfit_id
from azure_function_app.sync.records import ChangePage, FeedShards, PoisonRecord, Record
from azure_function_app.sync.runs.sync_run import SyncRun
from azure_function_app.sync.sweep import Sweep
from azure_function_app.sync.sync_store import SyncStore
from azure_function_app.sync.unfit_records import write_fit
from shared.clock import Clock
from shared.formats.rfc3339 import format_rfc3339
from shared.log import log_event

_logger = logging.getLogger(__name__)

CURSOR_EXPIRED: Final = 410
_MOST_LAST_PAGES: Final = 10
"""How many pages without more behind them a run reads in a new generation. Where somebody writes
all the time, each has a record or two, and a run that went on would ask without a pause."""
_NOT_TAKEN: Final = frozenset({400, CURSOR_EXPIRED})


class ChangeSource(Protocol):
    """Reads the change feed, retries included."""

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """Return the page that starts at the cursor; the empty cursor is the beginning.

        A page that has more has another cursor than the one that was asked for.

        Raises:
            BridgeError: no usable answer by the deadline.

        """


class ShardSource(ChangeSource, Protocol):
    """Reads the change feed, and lists its shards."""

    async def shards(self, *, deadline: Deadline) -> FeedShards | None:
        """Return the feed's shards, and where each stands now; None if there is no feed yet.

        Raises:
            BridgeError: no usable answer by the deadline.

        """


async def refusal_of(
    source: ChangeSource, cursor: str, *, deadline: Deadline
) -> BackendRejected | None:
    """Return how the API refuses the cursor, as it does if its feed is over; None if it takes it.

    Raises:
        BridgeError: the API could not be asked.

    """
    try:
        await source.changes(cursor, limit=1, deadline=deadline)
    except BackendRejected as rejected:
        if rejected.status not in _NOT_TAKEN:
            raise
        return rejected
    return None


class Reading(NamedTuple):
    """How far the loop has come."""

    checkpoint: Checkpoint
    """As it now stands."""
    is_end: bool = False
    """Whether nothing was left to read."""
    is_growing: bool = False
    """Whether the end was not reached because the feed goes on growing: better asked for later."""
    expired: BackendRejected | None = None
    """What the API said, if it takes the checkpoint's cursor no more: the feed is another one."""


@dataclass(frozen=True, slots=True)
class PageLoop:
    """Reads pages and stores them, from any checkpoint on, and reads one page ahead."""

    source: ChangeSource
    store: SyncStore
    clock: Clock
    page_size: int
    page_seconds: float

    async def read_to_end(self, checkpoint: Checkpoint, run: SyncRun) -> Reading:
        """Read from the checkpoint to the end, or until the run's time is up.

        A page whose reading has begun by then is stored.

        In a generation that is being read anew, the end is a page without anything: a record that
        changes while a page is read has left the place that is read, and is on a later page.

        Raises:
            CheckpointConflict: another run has moved the checkpoint.
            BridgeError: the API or the store could not be used; what is checkpointed stays done.

        """
        if run.stop.has_passed:
            return Reading(checkpoint)
        last_pages = 0
        reading = self._begin_reading(checkpoint.cursor)
        try:
            while True:
                page = await self._page_or_refusal(reading, checkpoint)
                if isinstance(page, BackendRejected):
                    return Reading(checkpoint, expired=page)
                # The next page comes while this one is stored. What is wrong with it must wait
                # until this one is.
                is_ahead = page.has_more and not run.stop.has_passed
                if is_ahead:
                    reading = self._begin_reading(page.next_cursor)
                with run.spans.span("write_page"):
                    checkpoint = await self._store(page, checkpoint, run)
                if not page.has_more:
                    has_items = bool(page.records or page.poison)
                    if not (checkpoint.is_rereading and has_items):
                        return Reading(checkpoint, is_end=True)
                    last_pages += 1
                    if last_pages == _MOST_LAST_PAGES:
                        return Reading(checkpoint, is_growing=True)
                if not is_ahead:
                    if run.stop.has_passed:
                        return Reading(checkpoint)
                    reading = self._begin_reading(checkpoint.cursor)
        finally:
            await _give_up(reading)

    def _begin_reading(self, cursor: str) -> asyncio.Task[ChangePage]:
        deadline = Deadline.after(self.page_seconds, self.clock)
        reading = self.source.changes(cursor, limit=self.page_size, deadline=deadline)
        return asyncio.ensure_future(reading)

    async def _store(self, page: ChangePage, checkpoint: Checkpoint, run: SyncRun) -> Checkpoint:
        items = len(page.records) + len(page.poison)
        numbers, poison = sorted_out(page)
        run.allowance.check(poison, items)
        # Before its first change a feed's cursor may be good for any feed, so it tells nothing.
        is_before_all = not (items or checkpoint.cursor or page.has_more)
        moved = replace(
            checkpoint,
            cursor="" if is_before_all else page.next_cursor,
            feed_cursor=checkpoint.feed_cursor if is_before_all else "",
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
            checkpoint = await self._claim(page, checkpoint, run)
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

    async def _page_or_refusal(
        self, reading: asyncio.Task[ChangePage], checkpoint: Checkpoint
    ) -> ChangePage | BackendRejected:
        try:
            page = await reading
        except BackendRejected as rejected:
            if rejected.status != CURSOR_EXPIRED:
                raise
            return rejected
        return await self._other_feed(checkpoint) or page

    async def _other_feed(self, checkpoint: Checkpoint) -> BackendRejected | None:
        """Return how the API refuses the feed of which records may be stored, if it does.

        To be asked after the first page was read: before, it would say nothing of that page.
        """
        if checkpoint.cursor or not checkpoint.feed_cursor:
            return None
        deadline = Deadline.after(self.page_seconds, self.clock)
        return await refusal_of(self.source, checkpoint.feed_cursor, deadline=deadline)

    async def _claim(self, page: ChangePage, checkpoint: Checkpoint, run: SyncRun) -> Checkpoint:
        """Say in the checkpoint which feed the first page is of, before any of it is written.

        Else a run that ends before the first checkpoint leaves records of which nobody could tell
        that they are of another feed than the next run's.
        """
        if checkpoint.cursor or checkpoint.feed_cursor or not (page.records or page.poison):
            return checkpoint
        claim = replace(checkpoint, feed_cursor=page.next_cursor)
        return await self.store.save(claim, replacing=checkpoint, deadline=run.store_deadline)

    async def _retain(
        self, poison: Sequence[PoisonRecord], checkpoint: Checkpoint, run: SyncRun
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
        run: SyncRun,
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


async def _give_up(reading: asyncio.Task[ChangePage]) -> None:
    """End a read whose page nobody needs any more, whatever came of it."""
    reading.cancel()
    await asyncio.wait([reading])
    if not reading.cancelled():
        # Else the event loop complains of an exception that nobody asked for.
        reading.exception()


def _tell_set_aside(poison: Sequence[PoisonRecord], run: SyncRun) -> None:
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
