"""How long the API takes just now, from the calls that it answered and those that it did not."""

import math
from collections import deque
from typing import Final

_REMEMBERED: Final = 16
_SHARE_ENOUGH: Final = 0.7
"""Of the calls that must have ended by then for a wait to be worth it. A larger share would judge
an API with two speeds by the slow one, and leave hardly anyone to wait (docs/adr/0007)."""
_SHARE_LONGEST: Final = 0.9
"""Of the answers that must have come by then for one that did not to be the API's failure."""


class AnswerTimes:
    """The times of the latest calls."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._answers: deque[float] = deque(maxlen=_REMEMBERED)
        # With those of calls that were given up, whose answers would have taken longer yet.
        self._times: deque[float] = deque(maxlen=_REMEMBERED)
        self._enough: float | None = 0.0
        self._unanswered_in_a_row = 0

    def answered(self, seconds: float) -> None:
        """Note that an answer took so long."""
        self._answers.append(seconds)
        self._times.append(seconds)
        self._enough = None
        self._unanswered_in_a_row = 0

    def unanswered(self, seconds: float) -> None:
        """Note that a call was given up after so long."""
        self._unanswered_in_a_row += 1
        if self._unanswered_in_a_row == _REMEMBERED:
            # What the API took before it fell silent says nothing any more.
            self._answers.clear()
        # One that was given up earlier than that would have been in any case.
        if seconds > self.enough():
            self._times.append(seconds)
            self._enough = None

    def enough(self) -> float:
        """Return the seconds within which most calls are answered; 0 where none is known."""
        if self._enough is None:
            self._enough = _reached_by(_SHARE_ENOUGH, self._times)
        return self._enough

    def longest_answer(self) -> float | None:
        """Return the seconds within which nearly every answer came; None without any lately.

        Calls that were given up do not count, so an API that fell silent does not look slow.
        """
        return _reached_by(_SHARE_LONGEST, self._answers) if self._answers else None


def _reached_by(share: float, times: deque[float]) -> float:
    return sorted(times)[math.ceil(share * (len(times) - 1))]
