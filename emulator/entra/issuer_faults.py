"""Faults of the tenant's own addresses, switched on and off while they are served.

The managed identity endpoint is none of them: it is the machine's own, and a real one goes on
handing out what it has cached while Entra ID is away.
"""

import math
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How discovery, key set and token endpoint answer."""

    WELL = "well"
    BROKEN = "broken"
    """At once, with 503."""
    SLOW = "slow"
    """Rightly, but late."""


@dataclass(slots=True)
class IssuerFaults:
    """The switches; the last one that was pressed holds."""

    is_broken: bool = False
    seconds: float = 0.0
    """How long each answer is held back."""

    @property
    def condition(self) -> Condition:
        """Return what a caller meets now."""
        if self.is_broken:
            return Condition.BROKEN
        return Condition.SLOW if self.seconds else Condition.WELL

    def break_down(self) -> None:
        """Answer everything with 503 from now on."""
        self.is_broken = True
        self.seconds = 0.0

    def slow_down(self, seconds: float) -> None:
        """Hold each answer back from now on.

        Raises:
            ValueError: that is no time to wait.

        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"{seconds} are no seconds to wait")
        self.is_broken = False
        self.seconds = seconds

    def heal(self) -> None:
        """Answer as usual from now on."""
        self.is_broken = False
        self.seconds = 0.0
