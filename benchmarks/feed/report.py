"""The tables for people, and the same figures as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from benchmarks.feed.writing import Written

type Rounds = Mapping[tuple[int, int], Sequence[Written]]
"""Every round, by shards and writers."""

MOST_SHARDS: Final = 16
MOST_WRITERS: Final = 64
_LEAST_GAIN: Final = 8.0
_DOLLARS_A_MILLION_WRITE_UNITS: Final = 0.625
_DOLLARS_A_MILLION_READ_UNITS: Final = 0.125
"""On demand, in us-east-1, without storage and backups (aws.amazon.com/dynamodb/pricing)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What must hold, and what was measured."""

    name: str
    bound: str
    measured: float
    is_held: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What one write takes that is done, by AWS's rules; the attempts that lost are in it."""

    requests: float
    write_units: float
    index_write_units: float
    """Of the write units; if a transaction does not double these, half of them fall away."""
    read_units: float

    @classmethod
    def of(cls, written: Written) -> "Cost":
        """Return a write's share of what all have consumed."""
        consumed, writes = written.consumed, max(1, written.writes)
        return cls(
            requests=consumed.requests.total() / writes,
            write_units=consumed.write_units / writes,
            index_write_units=consumed.index_write_units / writes,
            read_units=consumed.read_units / writes,
        )

    @property
    def dollars_a_million(self) -> float:
        """What a million writes cost on demand."""
        return (
            self.write_units * _DOLLARS_A_MILLION_WRITE_UNITS
            + self.read_units * _DOLLARS_A_MILLION_READ_UNITS
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that one run measured."""

    rounds: Rounds
    throttled: Rounds
    """The same with a partition's limits; a throttled request is answered 503 and asked again."""
    real_time: Written
    """One writer, one shard, and the model asleep as long as each step takes."""

    def targets(self) -> list[Target]:
        """The targets; a ratio is taken within each round, and then the median of the rounds."""
        gain = _gain(self.rounds, MOST_SHARDS, MOST_WRITERS)
        return [
            Target(
                f"{MOST_WRITERS} writers: writes a second with {MOST_SHARDS} shards, times those"
                " with one",
                f"at least {_LEAST_GAIN:g}",
                gain,
                gain >= _LEAST_GAIN,
            )
        ]

    def as_json(self) -> dict[str, object]:
        """The figures, medians alone."""
        return {
            "targets": [asdict(target) for target in self.targets()],
            "by_shards_and_writers": _rows(self.rounds),
            "with_the_limits_of_a_partition": _rows(self.throttled),
            "one_writer_in_real_time": {"writes_per_second": self.real_time.writes_per_second},
        }


def _rows(measured: Rounds) -> list[dict[str, object]]:
    return [
        {
            "shards": shards,
            "writers": writers,
            "times_one_shard": _gain(measured, shards, writers),
            "writes_per_second": median(each.writes_per_second for each in rounds),
            "refused_share": median(each.refused_share for each in rounds),
            "p50_ms": _milliseconds(rounds, 0.5),
            "p99_ms": _milliseconds(rounds, 0.99),
            "conflicts_a_write": median(each.conflicts / max(1, each.writes) for each in rounds),
            "cost_of_a_write": asdict(_middle(rounds)),
            "dollars_a_million_writes": _middle(rounds).dollars_a_million,
        }
        for (shards, writers), rounds in measured.items()
    ]


def _middle(rounds: Sequence[Written]) -> Cost:
    costs = sorted(map(Cost.of, rounds), key=lambda cost: cost.write_units)
    return costs[len(costs) // 2]


def _gain(measured: Rounds, shards: int, writers: int) -> float:
    """Return how many times as many writes a second as with one shard."""
    return median(
        many.writes_per_second / max(1.0, one.writes_per_second)
        for many, one in zip(measured[shards, writers], measured[1, writers], strict=True)
    )


def _milliseconds(rounds: Sequence[Written], share: float) -> float:
    return median(1000 * each.latency(share) for each in rounds)


def tables(figures: Figures) -> str:
    """The tables, in Markdown."""
    real = figures.real_time.writes_per_second
    return "\n\n".join(
        [
            "### Writes of one feed\n\n" + _writes_table(figures.rounds),
            "### With the limits of a partition\n\n" + _writes_table(figures.throttled),
            f"One writer, one shard, in real time instead of the model's: {real:.0f} a second.",
            "### What a write costs\n\n" + _costs_table(figures),
            "### Targets\n\n"
            + _table(
                ["target", "bound", "measured", ""],
                [
                    [each.name, each.bound, f"{each.measured:.3g}", _verdict(each)]
                    for each in figures.targets()
                ],
            ),
        ]
    )


def _verdict(target: Target) -> str:
    return "held" if target.is_held else "MISSED"


def _writes_table(measured: Rounds) -> str:
    return _table(
        ["shards", "writers", "writes/s", "times one shard", "answered 503", "p50 / p99 ms"],
        [
            [
                str(shards),
                str(writers),
                f"{median(each.writes_per_second for each in rounds):,.0f}",
                f"{_gain(measured, shards, writers):.1f}",
                f"{median(each.refused_share for each in rounds):.2%}",
                f"{_milliseconds(rounds, 0.5):,.0f} / {_milliseconds(rounds, 0.99):,.0f}",
            ]
            for (shards, writers), rounds in measured.items()
        ],
    )


def _costs_table(figures: Figures) -> str:
    return _table(
        ["shards", "writers", "requests", "write units", "of these, indexes", "read units", "$/M"],
        [
            [
                str(shards),
                str(writers),
                f"{(cost := _middle(rounds)).requests:.1f}",
                f"{cost.write_units:.1f}",
                f"{cost.index_write_units:.1f}",
                f"{cost.read_units:.1f}",
                f"{cost.dollars_a_million:.2f}",
            ]
            for (shards, writers), rounds in figures.rounds.items()
        ],
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    aligned = ["--:" for _ in head]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, aligned, *rows))
