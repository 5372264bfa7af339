"""Where the sync job keeps its place: what any store must promise.

The checkpoint is the cursor up to which every change is safely in the sink. The fence is what makes
it safe to move: each save gets a new one, and only who knows the present fence can save. So of two
overlapping runs the first to save goes on and the other one stops, and none can move it back.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol


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
    """Whether a new generation has not been read to its end yet."""


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
    """The stable code of what ended a failed run."""
    tombstones_set_aside: int = 0
    """Those that claim a deletion: the sink keeps what the source has not."""


class CheckpointStore(Protocol):
    """Keeps the checkpoint and the report of the run that ended last."""

    async def load(self) -> Checkpoint:
        """The checkpoint as last saved, or `BEGINNING`.

        Raises:
            StoreUnavailable: it could not be read.

        """

    async def save(self, moved: Checkpoint, *, replacing: Checkpoint) -> Checkpoint:
        """Move the checkpoint on, and get it as it now stands, with a fence of its own.

        The fence of `moved` plays no part.

        Raises:
            CheckpointConflict: `replacing` is no longer what is stored; nothing was changed.
            StoreUnavailable: unknown whether it was saved; load it again.

        """

    async def save_report(self, report: SyncReport) -> None:
        """Keep the report in place of the previous one.

        Raises:
            StoreUnavailable: it could not be written.

        """

    async def load_report(self) -> SyncReport | None:
        """The report of the run that ended last, if any has.

        Raises:
            StoreUnavailable: it could not be read.

        """


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """The checkpoint but for its fence as JSON text, as the stores keep it."""
    members = asdict(checkpoint)
    del members["fence"]
    return json.dumps(members)


def decode_checkpoint(text: str, fence: str) -> Checkpoint:
    """The checkpoint that `encode_checkpoint` wrote, under the fence that the store knows it by."""
    return Checkpoint(fence=fence, **json.loads(text))


def encode_report(report: SyncReport) -> str:
    """The report as JSON text, as the stores keep it."""
    return json.dumps(asdict(report))


def decode_report(text: str) -> SyncReport:
    """The report that `encode_report` wrote."""
    members = json.loads(text)
    return SyncReport(**(members | {"status": SyncStatus(members["status"])}))
