"""Where the sync job keeps its place: what any store must promise.

The checkpoint is the cursor up to which every change is safely in the sink. The fence is what makes
it safe to move: each save gets a new one, and only who knows the present fence can save. So of two
overlapping runs the first to save goes on and the other one stops, and none can move it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from azure_function_app.deadline import Deadline
from azure_function_app.sync.sweep import Sweep

RUNS_KEPT: Final = 100
"""How many reports a store keeps."""


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


class CheckpointStore(Protocol):
    """Keeps the checkpoint and the reports of the newest runs.

    Every call is over by its deadline; without one the store's own bound holds.
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
        """Keep the report beside those of other runs, the newest `RUNS_KEPT` of them.

        One that was kept for the same run stays as it is.

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
