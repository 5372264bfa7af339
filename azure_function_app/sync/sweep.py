"""What is missing from a new generation: counted first, then marked, page by page, as values."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

FEW_DELETIONS: Final = 10
"""So many may always be marked, so that the share means something in a sink of a few records."""


class SweepPhase(StrEnum):
    """How far a sweep has come."""

    COUNTING = "counting"
    """Records are counted; nothing is marked before all are."""
    HELD = "held"
    """Too many would be marked: nothing is, until that is accepted or enough of them come back."""
    MARKING = "marking"
    """What is missing is being marked as deleted."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a sink counted or marked in one go."""

    position: str | None
    """Where the next one begins, in the sink's own words; None after the last."""
    live: int
    """Records in it that are not deleted."""
    missing: int
    """Those of them that no record of the generation has replaced."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep of one generation; it stands in the checkpoint."""

    phase: SweepPhase = SweepPhase.COUNTING
    position: str | None = ""
    """Where the next stretch begins; empty at the beginning, None at the end."""
    live: int = 0
    missing: int = 0
    read_since: int = 0
    """Records read since it was held: at most so many fewer are missing now."""

    def after(self, stretch: Stretch) -> Self:
        """Return the sweep with that stretch behind it."""
        if self.phase is SweepPhase.COUNTING:
            return replace(
                self,
                position=stretch.position,
                live=self.live + stretch.live,
                missing=self.missing + stretch.missing,
            )
        return replace(self, position=stretch.position)


@dataclass(frozen=True, slots=True)
class DeletionLimit:
    """How much one sweep may mark as deleted without being told to."""

    share: float
    """Of the live records; 1 means that any number may be."""

    def allows(self, *, live: int, missing: int) -> bool:
        """Return whether so many of the live records may be marked.

        Marking every one of them is never a matter of a few.
        """
        if missing == 0 or self.share >= 1:
            return True
        return missing < live and missing <= max(FEW_DELETIONS, self.share * live)

    def may_allow_now(self, held: Sweep) -> bool:
        """Return whether what was read since the sweep was held can have made the difference."""
        came_back = min(held.missing, held.read_since)
        return self.allows(live=held.live + held.read_since, missing=held.missing - came_back)
