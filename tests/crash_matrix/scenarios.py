"""What a run does while it is ended or disturbed: each a source, and a sink to begin with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Final

from azure_function_app.stores.table_entities import PARTITION_KEYS, partition_key
from tests.crash_matrix.source import Change, Source

_PARTITIONS: Final = frozenset({"2", "9", "c"})
"""Of Table Storage's sixteen: enough for transactions at once, few enough for many trials."""

IDLE_PARTITIONS: Final = frozenset(PARTITION_KEYS) - _PARTITIONS - {"e"}
"""Those without records are all the same, so trials are made in one of them, and not in these."""


def _ids() -> Iterator[str]:
    return (name for name in (f"r{n}" for n in count()) if partition_key(name) in _PARTITIONS)


IDS: Final = tuple(islice(_ids(), 40))


def _put(*numbers: int) -> list[Change]:
    return [("put", IDS[number]) for number in numbers]


def _delete(*numbers: int) -> list[Change]:
    return [("delete", IDS[number]) for number in numbers]


_REPLACE: Final[Change] = ("replace", "")
_SPOILED: Final = "spoiled"
_REFUSED: Final = IDS[39]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the matrix. To add one, add it to `SCENARIOS`."""

    name: str
    changes: Sequence[Change]
    """What the source holds when the disturbed run begins."""
    while_read: Mapping[int, Sequence[Change]]
    """What changes after so many answers of the API."""
    loaded: Sequence[Change] | None = None
    """What the source held before, and a healthy run has read; None if there was no run."""
    while_frozen: Sequence[Change] = field(
        default_factory=lambda: [_REPLACE, *_put(0, 3, 5, 30, 31)]
    )
    """What happens to the source while a run is frozen, for the fault that is called so."""
    page_size: int = 5
    stretch: int = 0
    """How many records a sweep takes at a time; 0 for as many as the product does."""
    refused: str | None = None
    """A record that the store refuses for good."""
    invocation: str = "whole_feed"
    shards: int = 1
    """Of the feed."""
    stores: Sequence[str] = ()
    """In which it is tried; empty for all."""

    def source_before(self) -> Source:
        """Return the source that was read before."""
        source = Source(shards=self.shards)
        for change in self.loaded or ():
            source.apply(change)
        return source

    def go_on(self, source: Source) -> None:
        """Let the source become what the disturbed run reads."""
        for change in self.changes:
            source.apply(change)
        source.changes_after = self.while_read
        source.answered = 0


_SHARED_STORES: Final = ("table", "postgres")
"""Those that instances on several machines can share."""
_LOADED: Final = [*_put(*range(16)), *_put(2, 3, 4, 3, 3), *_delete(5, 6), *_put(6)]

SCENARIOS: Final = (
    Scenario(
        "first-load",
        changes=[*_put(*range(18)), *_put(1, 1), *_delete(2, 3), ("spoil", _SPOILED)],
        while_read={
            1: [*_put(0, 4), *_delete(14)],
            2: [*_put(20), *_delete(1)],
            3: [*_put(4, 2)],
            5: [*_delete(4), *_put(21)],
        },
    ),
    Scenario(
        "from-empty",
        loaded=(),
        changes=[*_put(*range(8)), *_put(1), *_delete(2)],
        while_read={1: [*_put(0, 4), *_delete(3)]},
    ),
    Scenario(
        "increment",
        loaded=_LOADED,
        changes=[*_put(1, 2, 8, 20, 21), *_delete(3, 9), *_put(5), ("spoil", _SPOILED)],
        while_read={
            1: [*_put(1, 22), *_delete(20)],
            2: [*_put(2), *_delete(8)],
            3: [*_put(9)],
        },
    ),
    Scenario(
        "generation",
        loaded=_LOADED,
        changes=[_REPLACE, *_put(0, 1, 2, 3, 5, 20, 21), *_delete(1), ("spoil", _SPOILED)],
        while_read={
            2: [*_put(0, 22), *_delete(20)],
            3: [*_put(7), *_delete(2)],
            4: [*_put(0)],
        },
        stretch=6,
    ),
    Scenario(
        "sweep",
        loaded=[*_put(*range(26)), *_delete(7)],
        changes=[_REPLACE, *_put(0, 1, 30)],
        while_read={2: _put(3), 3: _delete(0), 4: _put(4)},
        while_frozen=[*_put(8, 9, 1), *_delete(30)],
        stretch=4,
    ),
    Scenario(
        "refused",
        loaded=_put(*range(8)),
        changes=[*_put(0, 1, 20, 39, 21, 2), ("spoil", _SPOILED)],
        while_read={1: [*_put(0, 22), *_delete(1)], 2: _put(20)},
        refused=_REFUSED,
    ),
    Scenario(
        "fan-out",
        changes=[*_put(*range(12)), *_put(1, 1), *_delete(2, 3), ("spoil", _SPOILED)],
        while_read={2: [*_put(0, 4), *_delete(10)], 3: [*_put(13), *_delete(1)], 5: _put(14, 2)},
        page_size=4,
        invocation="fan_out",
        shards=3,
        stores=_SHARED_STORES,
    ),
    Scenario(
        "fan-out-generation",
        loaded=[*_put(*range(10)), *_put(2, 3, 3), *_delete(5)],
        changes=[_REPLACE, *_put(0, 1, 2, 12), *_delete(1)],
        while_read={3: [*_put(0, 13)], 5: [*_put(3), *_delete(2)]},
        page_size=4,
        stretch=6,
        invocation="fan_out",
        shards=2,
        stores=_SHARED_STORES,
    ),
)
