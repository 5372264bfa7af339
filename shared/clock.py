"""The only place that reads the machine's clocks, so that everything else can be handed a fake."""

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Claims are compared with `now`, durations measured with `monotonic`."""

    def now(self) -> float:
        """Return the wall-clock time, in seconds since 1970 UTC."""

    def monotonic(self) -> float:
        """Return seconds since a fixed moment; they never go back, so they measure durations."""


class SystemClock:
    """The machine's own clocks."""

    # The functions themselves: a method around each would double what reading a clock costs.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
