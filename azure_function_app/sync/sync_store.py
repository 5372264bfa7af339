"""What the sync job asks of its store: a page, and the checkpoint past it, at once if it can.

A store that keeps both in one place does it in one transaction. Where records and checkpoints are
kept apart, the order is what makes it safe: `StoresInOrder`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.errors import CheckpointConflict
from azure_function_app.sync.checkpoint_store import Checkpoint, CheckpointStore, SyncReport
from azure_function_app.sync.record_sink import Batch, RecordSink
from azure_function_app.sync.records import Record
from azure_function_app.sync.sweep import Stretch, Sweep, SweepPhase


class Step(NamedTuple):
    """What one step of a run came to."""

    checkpoint: Checkpoint
    """As it now stands."""
    changed: int
    """Records that the step changed."""


class SyncStore(Protocol):
    """Keeps the records and the job's place among them. Every call is over by its deadline."""

    def for_row(self, row: str) -> "SyncStore":
        """This store with the checkpoint of another row, as `CheckpointStore.for_row`."""

    async def load(self, *, deadline: Deadline) -> Checkpoint:
        """The checkpoint as last saved, or `BEGINNING`; errors as `CheckpointStore.load`."""

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline
    ) -> Checkpoint:
        """Move the checkpoint, with no records; errors as `CheckpointStore.save`."""

    async def newest_generation(self, *, deadline: Deadline) -> int:
        """The latest generation that has begun; errors as `RecordSink.newest_generation`."""

    async def begin_generation(self, generation: int, *, deadline: Deadline) -> None:
        """Refuse every earlier generation's writes; errors as `RecordSink.begin_generation`."""

    async def write(self, records: Sequence[Record], *, generation: int, deadline: Deadline) -> int:
        """Store records, with no move of the checkpoint; errors as `RecordSink.write`."""

    async def retain(self, ids: Sequence[str], *, generation: int, deadline: Deadline) -> None:
        """Take records into a generation as they are; errors as `RecordSink.retain`."""

    async def write_page(
        self, page: Batch, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline
    ) -> Step:
        """Take in a page, then move the checkpoint past it.

        What is written is of the generation of `moved`.

        Raises:
            ContentRefused: the store will never take some record: the checkpoint was not moved.
            CheckpointConflict: `replacing` is no longer what is stored, or a later generation has
                begun: the checkpoint was not moved. Of a generation that is over nothing was
                written either.
            StoreUnavailable: unknown what was written; begin again with `load`.

        """

    async def sweep_page(self, checkpoint: Checkpoint, *, deadline: Deadline) -> Step:
        """Take the sweep that stands in the checkpoint one stretch further, and the checkpoint too.

        Raises:
            CheckpointConflict: as `write_page`.
            StoreUnavailable: unknown what was marked; begin again with `load`.

        """

    async def save_report(self, report: SyncReport, *, deadline: Deadline) -> None:
        """Keep a run's report; errors as `CheckpointStore.save_report`."""


def sweep_of(checkpoint: Checkpoint) -> tuple[Sweep, str]:
    """Return the sweep that stands in the checkpoint, and where its next stretch begins.

    Raises:
        ValueError: none does, or it has no next stretch.

    """
    sweep = checkpoint.sweep
    if sweep is None or sweep.phase is SweepPhase.HELD or sweep.position is None:
        raise ValueError("The checkpoint has no sweep that could go on.")
    return sweep, sweep.position


def swept(checkpoint: Checkpoint, sweep: Sweep, stretch: Stretch) -> Checkpoint:
    """Return the checkpoint with that stretch of its sweep behind it."""
    return replace(checkpoint, sweep=sweep.after(stretch))


def _before(deadline: Deadline) -> Deadline:
    """Return a moment that leaves some time to say how far a stretch has come."""
    reserve_seconds = min(2.0, deadline.remaining_seconds() / 4)
    return Deadline(deadline.clock, deadline.at - reserve_seconds)


@dataclass(frozen=True, slots=True)
class StoresInOrder:
    """A sink and a checkpoint store, each on its own: first the records, then the checkpoint.

    Whatever ends a run in between makes the next one write the same page again, which changes
    nothing.
    """

    sink: RecordSink
    checkpoints: CheckpointStore

    def for_row(self, row: str) -> "StoresInOrder":
        """Return these stores with the checkpoint of another row."""
        return StoresInOrder(self.sink, self.checkpoints.for_row(row))

    async def load(self, *, deadline: Deadline) -> Checkpoint:
        """Return the checkpoint as last saved."""
        return await self.checkpoints.load(deadline=deadline)

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline
    ) -> Checkpoint:
        """Move the checkpoint."""
        return await self.checkpoints.save(moved, replacing=replacing, deadline=deadline)

    async def newest_generation(self, *, deadline: Deadline) -> int:
        """Return the latest generation that has begun."""
        return await self.sink.newest_generation(deadline=deadline)

    async def begin_generation(self, generation: int, *, deadline: Deadline) -> None:
        """Refuse every earlier generation's writes."""
        await self.sink.begin_generation(generation, deadline=deadline)

    async def write(self, records: Sequence[Record], *, generation: int, deadline: Deadline) -> int:
        """Write the records."""
        return await self.sink.write(records, generation=generation, deadline=deadline)

    async def retain(self, ids: Sequence[str], *, generation: int, deadline: Deadline) -> None:
        """Take records into a generation as they are."""
        await self.sink.retain(ids, generation=generation, deadline=deadline)

    async def write_page(
        self, page: Batch, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline
    ) -> Step:
        """Write the records, set aside the poison, and then move the checkpoint."""
        if page.poison:
            await self._refuse_late(replacing, deadline)
        changed = 0
        if page.records:
            changed = await self.sink.write(
                page.records, generation=moved.generation, deadline=deadline
            )
        if page.poison:
            await self.sink.set_aside(page.poison, origin=page.origin, deadline=deadline)
        saved = await self.checkpoints.save(moved, replacing=replacing, deadline=deadline)
        return Step(saved, changed)

    async def sweep_page(self, checkpoint: Checkpoint, *, deadline: Deadline) -> Step:
        """Count or mark a stretch, and then say so in the checkpoint."""
        sweep, position = sweep_of(checkpoint)
        is_marking = sweep.phase is SweepPhase.MARKING
        take = self.sink.mark_missing if is_marking else self.sink.count_missing
        stretch = await take(position, generation=checkpoint.generation, deadline=_before(deadline))
        moved = swept(checkpoint, sweep, stretch)
        saved = await self.checkpoints.save(moved, replacing=checkpoint, deadline=deadline)
        return Step(saved, stretch.missing if is_marking else 0)

    async def save_report(self, report: SyncReport, *, deadline: Deadline) -> None:
        """Keep a run's report."""
        await self.checkpoints.save_report(report, deadline=deadline)

    async def _refuse_late(self, replacing: Checkpoint, deadline: Deadline) -> None:
        # Poison belongs to no generation, so no guard in the sink could tell that it comes late.
        if (await self.checkpoints.load(deadline=deadline)).fence != replacing.fence:
            raise CheckpointConflict("Another run has moved the checkpoint.")
