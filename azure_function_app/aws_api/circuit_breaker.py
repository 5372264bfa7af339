"""Leaves the API alone for a while after it failed many times in a row."""

from collections.abc import Callable
from typing import Final

from azure_function_app.errors import CircuitOpen
from shared.clock import Clock

FAILURES_IN_A_ROW: Final = 10
OPEN_SECONDS: Final = 5.0


class CircuitBreaker:
    """Closed while the API answers, open after too many failures in a row, then probed by one call.

    In a row, not as a share: one upstream behind one gateway either works or does not, and what
    fails now and then is the retry budget's to bound.
    """

    def __init__(self, *, clock: Clock, random: Callable[[], float]) -> None:
        """Spread the pause with `random`, so that instances do not probe all at once."""
        self._clock = clock
        self._random = random
        self._failures = 0
        self._open_until: float | None = None
        self._is_probing = False

    def check(self) -> None:
        """Pass a call that may be sent. Whoever passes must report how it went.

        Raises:
            CircuitOpen: the API is being left alone, or one call is finding out how it is.

        """
        if self._open_until is None:
            return
        pause = self._open_until - self._clock.monotonic()
        if pause > 0 or self._is_probing:
            raise CircuitOpen(
                "The API has failed many times in a row and is left alone for a moment.",
                retry_after_seconds=max(pause, 1.0),
            )
        self._is_probing = True

    def succeeded(self) -> None:
        """The API answered as one that works does."""
        self._failures = 0
        self._open_until = None
        self._is_probing = False

    def failed(self) -> None:
        """The API could not be reached, or answered as one that is broken."""
        self._failures += 1
        if self._is_probing or self._failures >= FAILURES_IN_A_ROW:
            self._open_until = self._clock.monotonic() + OPEN_SECONDS * (0.5 + self._random())
        self._is_probing = False

    def gave_up(self) -> None:
        """The call ended for a reason that says nothing about the API."""
        self._is_probing = False
