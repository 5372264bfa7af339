"""Which trials there are: every point of a healthy run, with all that can go wrong there."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from tests.crash_matrix.file_points import FileFault
from tests.crash_matrix.network import NetworkFault, NetworkPoint, Service
from tests.crash_matrix.scenarios import IDLE_PARTITIONS

type StoreName = Literal["sqlite", "table", "postgres"]
STORES: Final[tuple[StoreName, ...]] = ("sqlite", "table", "postgres")

_API_FAULTS: Final[tuple[NetworkFault, ...]] = (
    "kill_before",
    "kill_after",
    "freeze_before",
    "freeze_after",
    "freeze_replaced",
    "lose_request",
    "tear_answer",
    "throttle",
    "too_many",
    "break_after",
    "double",
    "stale",
    "late",
)
_TABLE_FAULTS: Final[tuple[NetworkFault, ...]] = (
    "kill_before",
    "kill_after",
    "freeze_before",
    "freeze_after",
    "freeze_replaced",
    "lose_request",
    "lose_answer",
    "tear_answer",
    "throttle",
    "break_after",
    "double",
    "late",
    "late_end",
    "reorder",
)
_POSTGRES_FAULTS: Final[tuple[NetworkFault, ...]] = (
    "kill_before",
    "kill_after",
    "freeze_before",
    "freeze_after",
    "freeze_replaced",
    "lose_request",
    "lose_answer",
    "tear_answer",
)
_FILE_FAULTS: Final[tuple[FileFault, ...]] = get_args(FileFault.__value__)
_FAULTS: Final[Mapping[Service, Sequence[NetworkFault]]] = {
    "api": _API_FAULTS,
    "table": _TABLE_FAULTS,
    "postgres": _POSTGRES_FAULTS,
}
_PAIRS: Final = 12
"""How many orders two runs at once are tried in."""
_LOSSES: Final = 3
"""How many outcomes of a loss of power are tried at each point."""
_DISK_STEP: Final = 4_096
_LARGEST_DISK: Final = 30 * _DISK_STEP
_FROZEN_EVERY: Final = 8
"""Of the file operations, because another run waits a second for the frozen one's lock."""


@dataclass(frozen=True, slots=True)
class FilePoint:
    """A file operation of SQLite, from 1."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class DiskPoint:
    """No file may grow beyond that many bytes."""

    largest: int


@dataclass(frozen=True, slots=True)
class PairPoint:
    """Two runs at once, in an order of which that is the seed; one of them may be killed."""

    order: int
    killed_at: int
    """The request to the API before which the first is killed; 0 for never."""


type Point = NetworkPoint | FilePoint | DiskPoint | PairPoint
type Fault = NetworkFault | FileFault | Literal["disk_limit", "two_at_once"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One point at which one thing goes wrong."""

    number: int
    """In its scenario and store; the same each time."""
    point: Point
    fault: Fault
    variant: int = 0

    @property
    def group(self) -> str:
        """Return what it is counted as."""
        match self.point:
            case NetworkPoint(service=service):
                return f"{service} {self.fault}"
            case FilePoint():
                return f"file {self.fault}"
            case DiskPoint():
                return "disk full (limit)"
            case PairPoint():
                return "two at once"

    @property
    def title(self) -> str:
        """Return where what goes wrong."""
        where = ""
        match self.point:
            case NetworkPoint(service=service, name=name, occurrence=occurrence):
                where = f"{service} {name} #{occurrence}"
            case FilePoint(number=number, name=name):
                where = f"file operation {number} ({name})"
            case DiskPoint(largest=largest):
                where = f"files of {largest} bytes at most"
            case PairPoint(order=order, killed_at=killed_at):
                where = f"two runs in order {order}" + (
                    f", the first killed at request {killed_at}" if killed_at else ""
                )
        return f"{self.fault} at {where}" + (f", variant {self.variant}" if self.variant else "")


@dataclass(frozen=True, slots=True)
class Recording:
    """The points that a healthy run has passed."""

    requests: Sequence[tuple[Service, str, int]]
    """Which and how many."""
    files: Sequence[str]


def list_trials(store: StoreName, recording: Recording) -> list[Trial]:
    """Return every trial of a scenario in one store, numbered."""
    found: list[tuple[Point, Fault, int]] = []
    # Requests of several threads come in any order, so their names give them theirs.
    for service, name, times in sorted(recording.requests):
        if service == "table" and IDLE_PARTITIONS & set(name.split()):
            continue
        for occurrence in range(1, times + 1):
            point = NetworkPoint(service, name, occurrence)
            found += [(point, fault, 0) for fault in _FAULTS[service]]
    if store == "sqlite":
        found += _file_trials(recording.files)
    answers = sum(times for service, _, times in recording.requests if service == "api")
    found += [
        (PairPoint(order, order % (answers + 2)), "two_at_once", 0) for order in range(_PAIRS)
    ]
    return [Trial(number, *rest) for number, rest in enumerate(found, 1)]


def _file_trials(files: Sequence[str]) -> Iterable[tuple[Point, Fault, int]]:
    for number, name in enumerate(files, 1):
        for fault in _FILE_FAULTS:
            if fault == "torn_write" and not name.startswith("write"):
                continue
            if fault == "freeze" and number % _FROZEN_EVERY:
                continue
            variants = range(_LOSSES) if fault == "power_loss" else range(1)
            for variant in variants:
                yield FilePoint(number, name), fault, variant
    for largest in range(_DISK_STEP, _LARGEST_DISK, _DISK_STEP):
        yield DiskPoint(largest), "disk_limit", 0


def draw(trials: Sequence[Trial], most: int, seed: int) -> list[Trial]:
    """Return so many of the trials, of each group as many as of each other while there are."""
    chance = random.Random(seed)  # noqa: S311 - which trials, not a secret
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.group, []).append(trial)
    for members in groups.values():
        chance.shuffle(members)
    drawn: list[Trial] = []
    names = list(groups)
    chance.shuffle(names)
    while len(drawn) < min(most, len(trials)):
        for name in names:
            if groups[name] and len(drawn) < most:
                drawn.append(groups[name].pop())
    return sorted(drawn, key=lambda trial: trial.number)
