"""Where a run begins: at the checkpoint, or where a person says."""

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.errors import CheckpointUnreadable
from azure_function_app.sync.change_feed import LONGEST_CURSOR
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    MAX_SHARDS,
    Checkpoint,
    CheckpointStore,
    shard_row,
)
from azure_function_app.sync.deletions import accept_deletions
from azure_function_app.sync.record_view import RecordView
from azure_function_app.sync.runs.page_loop import refusal_of
from azure_function_app.sync.sync_job import SyncJob


class StartingPointError(Exception):
    """A run cannot begin there; nothing was changed. The message says what to do instead."""

    code = "starting_point_refused"


class Start(StrEnum):
    """Where a run can begin."""

    CHECKPOINT = "checkpoint"
    BEGINNING = "beginning"
    """Of the feed, in the same generation: records that the source lacks stay as they are."""
    GENERATION = "generation"
    """Of a new generation: in the end, what the source lacks is marked as deleted."""
    CURSOR = "cursor"
    HELD_SWEEP = "held_sweep"
    """At the checkpoint, with a person's word that what is missing is meant to be deleted."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """Where a run begins."""

    start: Start = Start.CHECKPOINT
    cursor: str = ""
    """For `Start.CURSOR`: where to."""

    def applied_to(self, present: Checkpoint, newest_generation: int = 0) -> Checkpoint:
        """Return the checkpoint from which the run goes on, in place of the present one.

        A new generation is later than the checkpoint's and than the newest of any record.

        Raises:
            StartingPointError: what would be skipped would be marked as deleted in the end.

        """
        match self.start:
            case Start.CHECKPOINT | Start.HELD_SWEEP:
                return present
            case Start.BEGINNING:
                # Begun anew too, the look for what a new generation lacks: after this reading.
                read_before = present.cursor or present.feed_cursor
                return replace(present, cursor="", feed_cursor=read_before, sweep=None)
            case Start.GENERATION:
                newest = max(present.generation, newest_generation)
                return Checkpoint("", present.fence, newest + 1, is_rereading=True)
            case Start.CURSOR:
                if present.is_rereading:
                    raise StartingPointError(
                        "A new generation is being read, and what --from skips would be marked as"
                        " deleted at its end: let `bridge sync` read it to the end first."
                    )
                return replace(present, cursor=self.cursor, feed_cursor="")
            case _:
                assert_never(self.start)


async def load_present(checkpoints: CheckpointStore, view: RecordView) -> Checkpoint:
    """Return the checkpoint, as a run would find it.

    Raises:
        StoreUnavailable: it could not be read.

    """
    checkpoint = await checkpoints.load()
    if checkpoint != BEGINNING:
        return checkpoint
    # Without a checkpoint only the records themselves know which generation they are of.
    return replace(checkpoint, generation=await view.newest_generation())


async def check_cursor(job: SyncJob, point: StartingPoint) -> None:
    """Raise StartingPointError unless the API takes the cursor that a person has given, if any.

    Raises:
        BridgeError: the API could not be asked.

    """
    if point.start is not Start.CURSOR:
        return
    if not 0 < len(point.cursor) <= LONGEST_CURSOR:
        raise StartingPointError(
            "--from takes a cursor, which `bridge sync status` shows; to begin at the beginning,"
            " use --full."
        )
    deadline = Deadline.after(job.page_seconds, job.clock)
    refused = await refusal_of(job.source, point.cursor, deadline=deadline)
    if refused is not None:
        raise StartingPointError(
            f"The API does not take this cursor ({refused.code}): copy one that `bridge sync"
            " status` shows, or use --full."
        ) from refused


async def begin_at(point: StartingPoint, present: Checkpoint, view: RecordView) -> Checkpoint:
    """Return the checkpoint from which the run goes on; errors as for `applied_to` and the view."""
    # A checkpoint can be behind the records: it was taken back from an older copy, say.
    is_new = point.start is Start.GENERATION
    return point.applied_to(present, await view.newest_generation() if is_new else 0)


async def move_checkpoint(
    job: SyncJob, checkpoints: CheckpointStore, view: RecordView, point: StartingPoint
) -> None:
    """Move the checkpoint to where the run is to begin, unless another run moves it first.

    A new generation can begin from any checkpoint, also from one that cannot be read.

    Raises:
        CheckpointConflict: another run has moved it; nothing was changed.
        StartingPointError: a run cannot begin there; nothing was changed.
        BridgeError: the API or the store could not be asked.

    """
    if point.start is Start.CHECKPOINT:
        return
    if point.start is Start.HELD_SWEEP:
        if await accept_deletions(checkpoints) is None:
            raise StartingPointError(
                "No deletions are held, so there is nothing to accept and nothing was changed;"
                " `bridge sync status` shows the state."
            )
        return
    await check_cursor(job, point)
    try:
        present = await load_present(checkpoints, view)
    except CheckpointUnreadable:
        if point.start is not Start.GENERATION:
            raise
        await checkpoints.reset()
        present = await load_present(checkpoints, view)
    moved = await begin_at(point, present, view)
    if moved != present:
        await checkpoints.save(moved, replacing=present)


async def move_plan(
    job: SyncJob, checkpoints: CheckpointStore, view: RecordView, point: StartingPoint
) -> None:
    """Do the same where the feed is read by its shards: move their plan, and forget their places.

    Args:
        job: as for `move_checkpoint`.
        checkpoints: with the plan's checkpoint.
        view: of the records.
        point: where the run is to begin.

    Raises:
        CheckpointConflict: another run has moved the plan; nothing was changed.
        StartingPointError: a run cannot begin there; nothing was changed.
        BridgeError: the store could not be used.

    """
    match point.start:
        case Start.CURSOR:
            raise StartingPointError(
                "With SYNC_FAN_OUT each shard has a cursor of its own, so --from has no place:"
                " use --full."
            )
        case Start.CHECKPOINT | Start.HELD_SWEEP:
            await move_checkpoint(job, checkpoints, view, point)
            return
        case Start.GENERATION:
            await move_checkpoint(job, checkpoints, view, point)
        case Start.BEGINNING:
            # The plan stays one for the same feed; only the look for what it lacks begins anew.
            present = await checkpoints.load()
            if present.sweep is not None:
                await checkpoints.save(replace(present, sweep=None), replacing=present)
        case _:
            assert_never(point.start)
    for shard in range(MAX_SHARDS):
        await checkpoints.for_row(shard_row(shard)).reset()


async def load_shards(checkpoints: CheckpointStore, generation: int) -> dict[int, Checkpoint]:
    """Return by number how far each shard of the generation is; errors as for a checkpoint."""
    rows = await asyncio.gather(
        *(checkpoints.for_row(shard_row(shard)).load() for shard in range(MAX_SHARDS))
    )
    return {
        shard: row
        for shard, row in enumerate(rows)
        if row != BEGINNING and row.generation == generation
    }
