"""A clock that tests move by hand."""


class FakeClock:
    """Stands still until `advance` is called."""

    def __init__(self, now: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        """Start at these moments, in seconds."""
        self._now = now
        self._monotonic = monotonic

    def now(self) -> float:
        """Wall-clock time."""
        return self._now

    def monotonic(self) -> float:
        """Monotonic time."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let that much time pass on both."""
        self._now += seconds
        self._monotonic += seconds
