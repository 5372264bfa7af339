"""How long each step takes and what goes wrong: handed to the model, so a run can be repeated.

What a test searches through is which step comes next, and that follows from how long each takes:
any order of steps is one of some durations.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, assert_never


class Step(enum.Enum):
    """What happens next in an operation; each is one moment for everybody else."""

    ARRIVE = "the request comes to the table"
    READ = "an item, or the next part of a page, is read"
    PREPARE = "an item of a transaction is checked and held"
    COMMIT = "an item of a transaction becomes visible"
    RELEASE = "an item of a canceled transaction is let go"
    REPLY = "the answer comes back"


class Fate(enum.Enum):
    """What becomes of a call, as its caller sees it."""

    ANSWERED = "the answer comes"
    REQUEST_LOST = "a time-out: the request never came to the table"
    REPLY_LOST = "a time-out: the table does what it was asked, now or later"
    KILLED_BEFORE = "the caller ends, and nothing was sent"
    KILLED = "the caller ends, and the table does what it was asked, now or later"


class Weather(Protocol):
    """Decides what is left to chance."""

    def delay(self, step: Step) -> float:
        """Return the seconds until the step."""

    def items_at_once(self) -> int:
        """Return how many items of a page are read in one moment."""

    def places_passed(self) -> int:
        """Return how many places with nothing in them a query passes before it looks once more."""

    def fate(self) -> Fate:
        """Return what becomes of the next call."""

    def is_throttled(self) -> bool:
        """Return whether the next request finds no capacity."""

    def conflicts_anyway(self) -> bool:
        """Return whether an item refuses a transaction though nobody holds it.

        The paper's timestamps do that, where two coordinators' clocks disagree.
        """

    def shows_latest(self) -> bool:
        """Return whether an eventually consistent read has a recent write already."""


class Calm:
    """Everything at once, and nothing goes wrong."""

    def delay(self, step: Step) -> float:  # noqa: ARG002 - see Weather
        """No time at all."""
        return 0.0

    def items_at_once(self) -> int:
        """A whole page."""
        return 1_000_000

    def places_passed(self) -> int:
        """A query ends where there is nothing more."""
        return 0

    def fate(self) -> Fate:
        """Every call is answered."""
        return Fate.ANSWERED

    def is_throttled(self) -> bool:
        """There is capacity."""
        return False

    def conflicts_anyway(self) -> bool:
        """Nobody refuses."""
        return False

    def shows_latest(self) -> bool:
        """Every replica is up to date."""
        return True


@dataclass(frozen=True, slots=True)
class Shares:
    """How often what goes wrong, of all calls or steps."""

    lost_requests: float = 0.01
    lost_replies: float = 0.02
    kills: float = 0.01
    throttles: float = 0.005
    odd_conflicts: float = 0.005
    stalls: float = 0.1
    """Of the steps: another node takes long, and the others go on without it."""


@dataclass(slots=True)
class Storm:
    """A repeatable choice among all orders of steps, in which some stall for long."""

    random: Random
    shares: Shares = field(default_factory=Shares)
    step_seconds: float = 0.001
    stall_seconds: float = 0.05

    def delay(self, step: Step) -> float:  # noqa: ARG002 - see Weather
        """Up to a step, or up to a stall."""
        is_stalled = self.random.random() < self.shares.stalls
        return self.random.random() * (self.stall_seconds if is_stalled else self.step_seconds)

    def items_at_once(self) -> int:
        """A few: everything may happen between two items of a page."""
        return self.random.randint(1, 3)

    def places_passed(self) -> int:
        """Some, or none."""
        return self.random.randint(0, 2)

    def fate(self) -> Fate:
        """By the shares."""
        drawn = self.random.random()
        for share, fate in (
            (self.shares.lost_requests, Fate.REQUEST_LOST),
            (self.shares.lost_replies, Fate.REPLY_LOST),
            (self.shares.kills / 3, Fate.KILLED_BEFORE),
            (self.shares.kills * 2 / 3, Fate.KILLED),
        ):
            drawn -= share
            if drawn < 0:
                return fate
        return Fate.ANSWERED

    def is_throttled(self) -> bool:
        """By the shares."""
        return self.random.random() < self.shares.throttles

    def conflicts_anyway(self) -> bool:
        """By the shares."""
        return self.random.random() < self.shares.odd_conflicts

    def shows_latest(self) -> bool:
        """Half of the time."""
        return self.random.random() < 0.5


class Chosen(Calm):
    """An order of steps that somebody else has chosen, as hypothesis does: nothing goes wrong.

    Each choice is how many steps' time the next step takes; after the last one all take the same.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        """Take the choices one by one."""
        self._choices = iter(choices)

    def delay(self, step: Step) -> float:  # noqa: ARG002 - see Weather
        """As chosen."""
        return 0.001 * (1 + next(self._choices, 0))

    def items_at_once(self) -> int:
        """One by one."""
        return 1

    def places_passed(self) -> int:
        """As chosen."""
        return next(self._choices, 0)

    def shows_latest(self) -> bool:
        """As chosen: an odd number hides the write."""
        return next(self._choices, 0) % 2 == 0


@dataclass(frozen=True, slots=True)
class Latencies:
    """The medians of each step's duration in seconds, and how widely they are spread.

    AWS promises "single-digit milliseconds" for one item and publishes no figure for a transaction
    (the paper's diagrams have no numbers on their axes). These are what a Lambda in the table's
    region commonly sees: 4 ms for a read, and 12 ms for a transaction of three items, which is the
    same way there and back, and the slowest of three items twice. They are assumptions, to be
    replaced by measured ones.
    """

    one_way: float = 0.002
    read: float = 0.0
    prepare: float = 0.0032
    commit: float = 0.0032
    sigma: float = 0.3
    """Of the logarithm: with 0.3 the slowest percent takes twice the median."""


@dataclass(slots=True)
class FairWeather(Calm):
    """DynamoDB's latencies, log-normal, and nothing goes wrong."""

    random: Random
    latencies: Latencies = field(default_factory=Latencies)

    def delay(self, step: Step) -> float:
        """By the latencies."""
        match step:
            case Step.ARRIVE | Step.REPLY:
                median = self.latencies.one_way
            case Step.READ:
                median = self.latencies.read
            case Step.PREPARE:
                median = self.latencies.prepare
            case Step.COMMIT | Step.RELEASE:
                median = self.latencies.commit
            case _:
                assert_never(step)
        return median * math.exp(self.latencies.sigma * self.random.gauss())
