"""Bounds how many calls to the API are under way, and lets only those wait that can still succeed.

A call that gets its place too late holds it, misses its deadline, and has kept out another that
would have been answered. So the bulkhead watches how long the API takes, and refuses whoever has
less time left than that.
"""

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from azure_function_app.aws_api.answer_times import AnswerTimes
from azure_function_app.deadline import Deadline
from azure_function_app.errors import Overloaded

_COMFORTABLE: Final = 2.0
"""How many answer times the oldest waiter must have left for the order to be the fair one."""
_WORTH_A_LOOK: Final = 1.25
"""By what factor the answer times rise before everybody who waits is judged again."""
_CLOCK_RESOLUTION: Final = 0.001
"""So that a timer that fires early is not armed again and again."""
_SHORTEST_RETRY_AFTER: Final = 1.0
_LONGEST_RETRY_AFTER: Final = 30.0


@dataclass(slots=True, eq=False)
class _Waiter:
    deadline: Deadline | None
    is_let_in: asyncio.Future[bool]
    timer: asyncio.TimerHandle | None = None

    def remaining_seconds(self) -> float:
        return math.inf if self.deadline is None else self.deadline.remaining_seconds()

    def forget_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class Bulkhead:
    """Lets so many calls in, lets some more wait while they can still succeed, refuses the rest.

    Whoever finds a free place gets it, whatever the answer times say, so that they are measured
    again when the API has become quicker. Those who wait are let in oldest first. Where that would
    bring each of them to the end of its time, the newest is first: it has the most time left.

    Belongs to one event loop.
    """

    def __init__(self, *, limit: int, waiting: int, answer_times: AnswerTimes) -> None:
        """Let `limit` calls be under way and `waiting` more wait for one of them to end."""
        self._free = limit
        self._waiting = waiting
        self._answer_times = answer_times
        self._judged_by = 0.0
        self._queue: OrderedDict[_Waiter, None] = OrderedDict()

    def enter_at_once(self) -> bool:
        """Return whether there was a free place, which is then taken. Who enters must leave."""
        # Nobody waits while a place is free, so nobody is overtaken.
        if self._free:
            self._free -= 1
            return True
        return False

    async def wait(self, deadline: Deadline | None) -> None:
        """Take a place when one comes free. Who enters must leave.

        Raises:
            Overloaded: too many wait already, or the time left is, or has become, too short for
                the API to answer.

        """
        waiter = _Waiter(deadline, asyncio.get_running_loop().create_future())
        if len(self._queue) >= self._waiting or not self._can_succeed(waiter):
            raise self._overloaded()
        self._queue[waiter] = None
        self._watch(waiter)
        try:
            is_let_in = await waiter.is_let_in
        except asyncio.CancelledError:
            if waiter.is_let_in.cancelled():
                self._queue.pop(waiter, None)
                waiter.forget_timer()
            elif waiter.is_let_in.result():
                # The place came at the same moment.
                self.leave()
            raise
        if not is_let_in:
            raise self._overloaded()

    def leave(self) -> None:
        """Give the place back, to the one who is next if somebody waits."""
        if self._queue:
            self._refuse_the_late()
        while self._queue:
            waiter = self._next()
            is_let_in = self._can_succeed(waiter)
            if self._tell(waiter, is_let_in=is_let_in) and is_let_in:
                return
        self._free += 1

    def _next(self) -> _Waiter:
        oldest = next(iter(self._queue))
        if oldest.remaining_seconds() > _COMFORTABLE * self._answer_times.enough():
            return oldest
        return next(reversed(self._queue))

    def _can_succeed(self, waiter: _Waiter) -> bool:
        return waiter.remaining_seconds() > self._answer_times.enough()

    def _watch(self, waiter: _Waiter) -> None:
        """Refuse the waiter as soon as its time becomes too short."""
        spare = waiter.remaining_seconds() - self._answer_times.enough()
        if spare < _CLOCK_RESOLUTION:
            self._tell(waiter, is_let_in=False)
        elif waiter.deadline is not None:
            waiter.timer = waiter.is_let_in.get_loop().call_later(spare, self._watch, waiter)

    def _refuse_the_late(self) -> None:
        """Refuse those who cannot succeed any more because the API has become slower."""
        enough = self._answer_times.enough()
        # Not at every rise: that would look at each waiter for each call that ends.
        if enough > self._judged_by * _WORTH_A_LOOK:
            for waiter in [waiter for waiter in self._queue if not self._can_succeed(waiter)]:
                self._tell(waiter, is_let_in=False)
            self._judged_by = enough
        self._judged_by = min(self._judged_by, enough)

    def _tell(self, waiter: _Waiter, *, is_let_in: bool) -> bool:
        """End the waiting, and return whether the waiter is there to hear it."""
        del self._queue[waiter]
        waiter.forget_timer()
        # A cancelled one stands in the queue until its task runs.
        if waiter.is_let_in.cancelled():
            return False
        waiter.is_let_in.set_result(is_let_in)
        return True

    def _overloaded(self) -> Overloaded:
        seconds = max(_SHORTEST_RETRY_AFTER, self._answer_times.enough())
        return Overloaded(
            "Too many calls are under way already.",
            retry_after_seconds=min(seconds, _LONGEST_RETRY_AFTER),
        )
