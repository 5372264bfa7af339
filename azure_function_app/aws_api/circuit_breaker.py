"""Leaves the API alone for a while after it failed many times in a row."""

from collections.abc import Callable
from typing import Final
from weakref import ReferenceType, ref

from azure_function_app.aws_api.answer_times import AnswerTimes
from azure_function_app.errors import CircuitOpen
from shared.clock import Clock

FAILURES_IN_A_ROW: Final = 10
OPEN_SECONDS: Final = 3.0
_SHARE_FOR_THE_API: Final = 0.5
"""Which part of an attempt's time is enough for an API of which no answer is known."""


class CircuitBreaker:
    """Closed while the API answers, open after too many failures in a row, then probed by one call.

    In a row, not as a share: one upstream behind one gateway either works or does not, and what
    fails now and then is the retry budget's to bound. What became of a call counts only in the
    epoch in which it was sent. Each opening begins a new one, so that calls which were under way
    before neither prolong the pause nor end it, nor count again once the circuit has closed.
    """

    def __init__(self, *, clock: Clock, random: Callable[[], float]) -> None:
        """Spread the pause with `random`, so that instances do not probe all at once."""
        self._clock = clock
        self._random = random
        self._answer_times = AnswerTimes()
        self._failures = 0
        self._open_until: float | None = None
        self._epoch = 0
        # Weak, so that a call which is dropped without a report does not probe for ever.
        self._probe: ReferenceType[Permit] | None = None

    def check(self) -> "Permit":
        """Return a permit for a call that may be sent. Who gets it must report how the call went.

        Raises:
            CircuitOpen: the API is being left alone, or one call is finding out how it is.

        """
        permit = Permit(self, self._epoch, self._clock.monotonic())
        if self._open_until is not None:
            self._let_probe(permit, self._open_until)
        return permit

    def note_sending(self, permit: "Permit") -> None:
        """Do what `Permit.sending` says."""
        if permit.epoch != self._epoch:
            if self._open_until is not None:
                self._let_probe(permit, self._open_until)
            permit.epoch = self._epoch
        permit.sent_at = self._clock.monotonic()

    def note_answer(self, permit: "Permit") -> None:
        """Do what `Permit.succeeded` says."""
        if permit.sent_at is not None:
            self._answer_times.answered(self._clock.monotonic() - permit.sent_at)
        if permit.epoch != self._epoch:
            return
        self._failures = 0
        self._open_until = None

    def note_failure(self, permit: "Permit") -> None:
        """Do what `Permit.failed` says."""
        if permit.epoch != self._epoch:
            return
        self._failures += 1
        if self._open_until is not None or self._failures >= FAILURES_IN_A_ROW:
            self._open_until = self._clock.monotonic() + OPEN_SECONDS * (0.5 + self._random())
            self._epoch += 1
            self._probe = None

    def note_silence(self, permit: "Permit") -> None:
        """Do what `Permit.unanswered` says."""
        if permit.sent_at is None:
            self.note_nothing(permit)
            return
        now = self._clock.monotonic()
        had = now - permit.sent_at
        needed = self._answer_times.longest_answer()
        if needed is None:
            needed = _SHARE_FOR_THE_API * (now - permit.given_at)
        self._answer_times.unanswered(had)
        if had < needed:
            self.note_nothing(permit)
        else:
            self.note_failure(permit)

    def note_nothing(self, permit: "Permit") -> None:
        """Do what `Permit.gave_up` says."""
        if self._probe is not None and self._probe() is permit:
            self._probe = None

    def _let_probe(self, permit: "Permit", open_until: float) -> None:
        pause = open_until - self._clock.monotonic()
        if pause > 0 or (self._probe is not None and self._probe() is not None):
            raise CircuitOpen(
                "The API has failed many times in a row and is left alone for a moment.",
                retry_after_seconds=max(pause, 1.0),
            )
        self._probe = ref(permit)


class Permit:
    """Leave to send one call, and where it is reported how that went. Only one report counts."""

    __slots__ = ("__weakref__", "_breaker", "epoch", "given_at", "sent_at")

    def __init__(self, breaker: CircuitBreaker, epoch: int, given_at: float) -> None:
        """Take the breaker that gives it, and when; `CircuitBreaker.check` makes them."""
        self._breaker: CircuitBreaker | None = breaker
        self.epoch = epoch
        self.given_at = given_at
        self.sent_at: float | None = None

    def sending(self) -> None:
        """Note that the call is being sent now, after all that it had to wait for.

        Raises:
            CircuitOpen: the circuit has opened since the permit was given.

        """
        if self._breaker is not None:
            self._breaker.note_sending(self)

    def succeeded(self) -> None:
        """Report that the API responded as one that works does."""
        if breaker := self._used():
            breaker.note_answer(self)

    def failed(self) -> None:
        """Report that the API could not be reached, or responded as one that is broken."""
        if breaker := self._used():
            breaker.note_failure(self)

    def unanswered(self) -> None:
        """Report that the call's time ran out: a failure if the API had long enough to answer."""
        if breaker := self._used():
            breaker.note_silence(self)

    def gave_up(self) -> None:
        """Report that the call ended for a reason that says nothing about the API."""
        if breaker := self._used():
            breaker.note_nothing(self)

    def _used(self) -> CircuitBreaker | None:
        breaker, self._breaker = self._breaker, None
        return breaker
