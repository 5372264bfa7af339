"""Where the sync job keeps its place: what any store must promise.

The checkpoint is the cursor up to which every change is safely in the sink. The fence is what makes
it safe to move: each save gets a new one, and only who knows the present fence can save. So of two
overlapping runs the first to save goes on and the other one stops, and none can move it back.

A store keeps several checkpoints, each in a row of its own: that of the whole feed, or those of its
shards and of the plan that they are read by (docs/adr/0004).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, assert_never

from azure_function_app.deadline import Deadline
from azure_function_app.sync.sweep import Sweep

WHOLE_FEED_ROW: Final = "checkpoint"
PLAN_ROW: Final = "plan"
MAX_SHARDS: Final = 64
RUNS_KEPT: Final = 100
"""How many reports a store keeps of runs over a whole feed."""
SHARD_RUNS_KEPT: Final = 20
"""How many it keeps of each shard."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the sync has come, and the right to say how much further."""

    cursor: str
    """Where the next page starts; empty means from the beginning."""
    fence: str
    """Names this very save, opaque and never used again; empty where nothing was saved yet."""
    generation: int = 0
    """Grows by one when the feed turns out to be another one, whose versions begin again."""
    is_rereading: bool = False
    """Whether a new generation has not been read to its end and swept yet."""
    sweep: Sweep | None = None
    """How far looking for what the new generation lacks has come."""
    feed_cursor: str = ""
    """At the beginning: a cursor of the feed that records of this generation may be of already;
    empty if there are none of it. If the API takes it no more, the feed is another one."""
    unknown: Mapping[str, object] = field(default_factory=dict[str, object])
    """What a later version of the app keeps here, handed on as it is."""


BEGINNING = Checkpoint(cursor="", fence="")
"""What a store without a checkpoint loads."""


class SyncStatus(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    """It read the feed to its end."""
    PAUSED = "paused"
    """Its time was up; the next run goes on from its checkpoint. Not a failure."""
    SUPERSEDED = "superseded"
    """Another run moved the checkpoint, so this one left the rest to it. Not a failure."""
    HELD = "held"
    """It read the feed to its end, and more is missing there than may be marked as deleted: nothing
    was. A person has to say whether that is right."""
    FAILED = "failed"
    """An error ended it; what it had checkpointed stays done."""

    @property
    def is_success(self) -> bool | None:
        """Return whether the run did what it was for; None if it left that to another one."""
        match self:
            case SyncStatus.COMPLETE | SyncStatus.PAUSED:
                return True
            case SyncStatus.HELD | SyncStatus.FAILED:
                return False
            case SyncStatus.SUPERSEDED:
                return None
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one run did."""

    run_id: str
    status: SyncStatus
    pages: int
    """Pages that were written and checkpointed."""
    records_read: int
    records_changed: int
    """Records that the sink did not already hold at that version or a newer one."""
    records_set_aside: int
    started_at: str
    """RFC 3339, UTC, like `finished_at`."""
    finished_at: str
    error_code: str | None
    """The stable code of what ended a failed run, or of what holds one up."""
    records_missing: int = 0
    """Records that a held run would have marked as deleted."""
    tombstones_set_aside: int = 0
    """Those set aside that claim a deletion: the sink keeps what the source has not."""
    shard: int | None = None
    """The shard that the run read; 0 also for a sweep of a feed that is read in shards. None if it
    read the whole feed, or planned."""
    shards: int | None = None
    """How many shards the feed had, where the run planned; None for any other run."""

    def to_members(self) -> dict[str, Any]:
        """Return the report's members by name, and `shard` and `shards` only where they are."""
        members = asdict(self)
        for name in ("shard", "shards"):
            if members[name] is None:
                del members[name]
        return members


def shard_row(shard: int) -> str:
    """Return the row that holds the checkpoint of a shard."""
    return f"{WHOLE_FEED_ROW}-shard-{shard}"


def runs_kept(shard: int | None) -> int:
    """Return how many reports are kept of such runs."""
    return RUNS_KEPT if shard is None else SHARD_RUNS_KEPT


def surplus_reports(newest_first: Sequence[SyncReport | None], *, most: int) -> list[int]:
    """Return which of the reports of one kind of runs need not be kept any longer.

    The newest are kept, and beyond them what tells since when none has succeeded: the last success,
    and the first failure after it.

    Args:
        newest_first: the reports; None where one cannot be read.
        most: how many of the newest to keep.

    """
    ends = [report.status.is_success if report else None for report in newest_first]
    success = ends.index(True) if True in ends else len(ends)
    failures = [number for number in range(success) if ends[number] is False]
    telling = {success, *failures[-1:]}
    return [number for number in range(most, len(ends)) if number not in telling]


class CheckpointStore(Protocol):
    """Keeps a checkpoint and the reports of the newest runs.

    Every call is over by its deadline; without one the store's own bound holds.
    """

    def for_row(self, row: str) -> "CheckpointStore":
        """This store with the checkpoint of another row, independent of all others.

        The reports are the same. It is closed with this one, and needs no closing of its own.
        """

    async def load(self, *, deadline: Deadline | None = None) -> Checkpoint:
        """The checkpoint as last saved, or `BEGINNING`.

        Raises:
            CheckpointUnreadable: what is stored is damaged, foreign, or of a later version.
            StoreUnavailable: it could not be read.

        """

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline | None = None
    ) -> Checkpoint:
        """Move the checkpoint on, and get it as it now stands, with a fence of its own.

        The fence of `moved` plays no part.

        Raises:
            CheckpointConflict: `replacing` is no longer what is stored; nothing was changed.
            StoreUnavailable: unknown whether it was saved; load it again.

        """

    async def reset(self, *, deadline: Deadline | None = None) -> None:
        """Delete the checkpoint, whatever it holds, so that the next run reads everything.

        A run that is under way can save no more.

        Raises:
            StoreUnavailable: unknown whether it was deleted.

        """

    async def save_report(self, report: SyncReport, *, deadline: Deadline | None = None) -> None:
        """Keep the report beside those of other runs, the newest `runs_kept` of each shard.

        So no shard's runs push those of another one out. What `surplus_reports` tells of is
        forgotten. One that was kept for the same run stays as it is.

        Raises:
            StoreUnavailable: it may not have been written.

        """

    async def load_reports(self, *, deadline: Deadline | None = None) -> Sequence[SyncReport]:
        """The reports that are kept, that of the run that ended last first.

        What is no report that this version can read is left out.

        Raises:
            StoreUnavailable: they could not be read.

        """

    async def load_report(self, *, deadline: Deadline | None = None) -> SyncReport | None:
        """The report of the run that ended last, if any has.

        Raises:
            StoreUnavailable: it could not be read.

        """
