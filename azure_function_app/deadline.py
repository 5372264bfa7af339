"""One moment by which a whole call must be over, handed down through every layer."""

from dataclasses import dataclass
from typing import Final, Self

from shared.clock import Clock

DEADLINE_EXTENSION: Final = "bridge_deadline"
"""Under which key of its extensions an httpx request carries its deadline down to the transport."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> Self:
        """The deadline that many seconds from now."""
        return cls(clock, clock.monotonic() + seconds)

    def remaining_seconds(self) -> float:
        """Seconds left; zero when it has passed, never negative."""
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def has_passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining_seconds() <= 0.0
