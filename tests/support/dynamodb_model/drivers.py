"""Who takes the steps of operations: at once, in virtual time among many callers, or in real time.

In virtual time, callers are threads of which one runs at a time. It runs until it calls the model
or sleeps; then whoever comes next by the clock goes on, and the clock jumps there.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from tests.support.dynamodb_model.service import Operation, Response, ServiceError
from tests.support.dynamodb_model.weather import Fate


class Killed(BaseException):
    """The process that made the call has ended; nothing of it goes on."""


class AnswerLost(Exception):
    """The caller has waited for an answer in vain."""


class _Abandoned(BaseException):
    """Another caller has failed, and with it the whole run."""


class Driver(Protocol):
    """Runs an operation for its caller."""

    def call(self, operation: Operation, fate: Fate) -> Response:
        """Return the operation's response, or raise its ServiceError, AnswerLost or Killed."""

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""

    def now(self) -> float:
        """Return the seconds since the beginning."""


def _finish(operation: Operation) -> Response:
    while True:
        try:
            next(operation)
        except StopIteration as stop:
            response: Response = stop.value
            return response


class AtOnce:
    """Runs each operation to its end, in no time."""

    def call(self, operation: Operation, fate: Fate) -> Response:
        """See Driver."""
        if fate in {Fate.REQUEST_LOST, Fate.KILLED_BEFORE}:
            operation.close()
        elif fate is not Fate.ANSWERED:
            _finish(operation)
        match fate:
            case Fate.ANSWERED:
                return _finish(operation)
            case Fate.REQUEST_LOST | Fate.REPLY_LOST:
                raise AnswerLost
            case Fate.KILLED | Fate.KILLED_BEFORE:
                raise Killed

    def sleep(self, seconds: float) -> None:
        """No time passes here."""

    def now(self) -> float:
        """It stands still."""
        return 0.0


class RealTime:
    """Sleeps as long as each step takes; callers are threads, as many as there are."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Begin now."""
        self._moment = threading.Lock()
        self._sleep = sleep
        self._began = time.perf_counter()

    def call(self, operation: Operation, fate: Fate) -> Response:
        """See Driver; every call is answered."""
        if fate is not Fate.ANSWERED:
            raise NotImplementedError("in real time every call is answered")
        while True:
            with self._moment:
                try:
                    wait = next(operation)
                except StopIteration as stop:
                    response: Response = stop.value
                    return response
            if isinstance(wait, float) and wait > 0:
                self._sleep(wait)

    def sleep(self, seconds: float) -> None:
        """See Driver."""
        self._sleep(seconds)

    def now(self) -> float:
        """See Driver."""
        return time.perf_counter() - self._began


class _Caller:
    """A logical process: a thread that runs only when it has the baton."""

    def __init__(self, body: Callable[[], None]) -> None:
        self.body = body
        self.baton = threading.Lock()
        self.baton.acquire()
        self.outcome: Response | BaseException | None = None


class _Running:
    """An operation, and the caller who waits for it, if he still does."""

    def __init__(self, operation: Operation, caller: _Caller | None) -> None:
        self.operation = operation
        self.caller = caller


_MOST_STEPS: Final = 100_000_000


class VirtualTime:
    """Runs callers and operations on one clock, in an order that follows from the weather alone."""

    def __init__(self, *, patience: float = 0.02, most_steps: int = _MOST_STEPS) -> None:
        """Begin at zero; `patience` is after how long a caller gives up an answer."""
        self._patience = patience
        self._most_steps = most_steps
        self._now = 0.0
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, _Caller | _Running]] = []
        self._callers = 0
        self._current = threading.local()
        self._over = threading.Lock()
        self._over.acquire()
        self._failure: BaseException | None = None
        self.steps = 0
        """How many moments there were."""

    def now(self) -> float:
        """See Driver."""
        return self._now

    def spawn(self, body: Callable[[], None]) -> None:
        """Let a caller begin when `run` is called, or now if it runs."""
        self._callers += 1
        self._at(0.0, _Caller(body))

    def run(self) -> None:
        """Return when all callers and all that they asked for have come to their end.

        Raises:
            BaseException: the first that a caller has let through.

        """
        threads = []
        for _time, _number, caller in self._events:
            if isinstance(caller, _Caller):
                thread = threading.Thread(target=self._begin, args=(caller,), daemon=True)
                threads.append(thread)
                thread.start()
        self._hand_over(None)
        self._over.acquire()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def sleep(self, seconds: float) -> None:
        """See Driver."""
        caller: _Caller = self._current.caller
        self._at(seconds, caller)
        self._hand_over(caller)

    def call(self, operation: Operation, fate: Fate) -> Response:
        """See Driver; whoever calls is one of the callers."""
        caller: _Caller = self._current.caller
        caller.outcome = None
        match fate:
            case Fate.ANSWERED:
                self._at(0.0, _Running(operation, caller))
            case Fate.REQUEST_LOST | Fate.KILLED_BEFORE:
                operation.close()
            case Fate.REPLY_LOST | Fate.KILLED:
                # It goes on by itself, before or after the caller has given up.
                self._at(0.0, _Running(operation, None))
        if fate is not Fate.ANSWERED:
            is_killed = fate in {Fate.KILLED, Fate.KILLED_BEFORE}
            caller.outcome = Killed() if is_killed else AnswerLost()
            self._at(0.0 if is_killed else self._patience, caller)
        self._hand_over(caller)
        outcome = caller.outcome
        if isinstance(outcome, BaseException):
            raise outcome
        assert outcome is not None
        return outcome

    def _at(self, seconds: float, what: "_Caller | _Running") -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._numbers), what))

    def _begin(self, caller: _Caller) -> None:
        self._current.caller = caller
        caller.baton.acquire()
        try:
            if self._failure is None:
                caller.body()
        except _Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to who runs it all
            self._failure = self._failure or error
        self._callers -= 1
        self._hand_over(None)

    def _hand_over(self, caller: _Caller | None) -> None:
        """Take operations' steps until a caller is next, and let him go on.

        Return when it is this caller's turn again; one that has ended returns at once.
        """
        heir = self._next_caller()
        if heir is None:
            self._over.release()
        elif heir is not caller:
            heir.baton.release()
            if caller is not None:
                caller.baton.acquire()
        if caller is not None and self._failure is not None:
            raise _Abandoned

    def _next_caller(self) -> _Caller | None:
        while self._events:
            self._now, _number, event = heapq.heappop(self._events)
            self.steps += 1
            if self.steps > self._most_steps:
                self._failure = self._failure or TimeoutError("the run takes too many steps")
            if isinstance(event, _Caller):
                return event
            self._step(event)
        return None

    def _step(self, running: _Running) -> None:
        outcome: Response | BaseException
        try:
            came = next(running.operation)
        except StopIteration as stop:
            outcome = stop.value
        except ServiceError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the model's own fault; its caller shows it
            outcome = error
            if running.caller is None:
                self._failure = self._failure or error
        else:
            if isinstance(came, float):
                self._at(came, running)
                return
            self._at(0.0, _Running(running.operation, None))
            outcome = came
        if running.caller is not None:
            running.caller.outcome = outcome
            self._at(0.0, running.caller)
