"""The tables for people, and the same figures as JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from benchmarks.results import Target
from benchmarks.sync.contenders import (
    BRIDGE,
    CHANGES,
    CONTENDERS,
    PLAIN_LOOP,
    Contender,
    Loads,
    Sample,
    Store,
)
from benchmarks.sync.instances import MANY, PAGE_SECONDS, SHARDS, InstanceLoads
from benchmarks.sync.prices import Cost

type Samples = Mapping[Store, Mapping[int, Mapping[str, Sequence[Loads]]]]
"""Every round's loads, by store, number of records and contender."""

JUDGED_FROM: Final = 28_403
"""Records; with fewer, what a process does once counts for more than the load."""
_LEAST_OVER_PLAIN_LOOP: Final = {Store.SQLITE: 0.8, Store.TABLE: 1.3}
_MOST_MEMORY_GROWTH_MIB: Final = 20.0
_LEAST_OVER_ONE_INSTANCE: Final = 2.5


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that one run measured."""

    samples: Samples
    costs: Sequence[Cost]
    instances: InstanceLoads | None = None
    """What one function instance and four took; None where that was left out."""

    def targets(self) -> list[Target]:
        """Return the targets that this run has measured."""
        return [*self._pace(), *self._requests(), *self._memory(), *self._instances()]

    def _pace(self) -> Iterator[Target]:
        for store, by_size in self.samples.items():
            least = _LEAST_OVER_PLAIN_LOOP[store]
            for size in by_size:
                if size < JUDGED_FROM:
                    continue
                ratio = self.speed_ratio(store, size, BRIDGE)
                name = f"{store.label}: times the plain loop's speed, first load of {size:,}"
                yield Target(name, f"at least {least:g}", ratio, ratio >= least)

    def _requests(self) -> Iterator[Target]:
        for store, by_size in self.samples.items():
            size = max(by_size)
            most = max(loads.increment.requests for loads in by_size[size][BRIDGE.name])
            name = f"{store.label}: requests for an increment of {CHANGES} in {size:,}"
            yield Target(name, "at most 1", most, most <= 1)

    def _memory(self) -> Iterator[Target]:
        for store, by_size in self.samples.items():
            fewest, most = min(by_size), max(by_size)
            if fewest == most:
                continue
            growth = self._peak_mib(store, most) - self._peak_mib(store, fewest)
            name = f"{store.label}: MiB more at {most:,} than at {fewest:,}"
            bound = f"at most {_MOST_MEMORY_GROWTH_MIB:g}"
            yield Target(name, bound, growth, growth <= _MOST_MEMORY_GROWTH_MIB)

    def _instances(self) -> Iterator[Target]:
        if self.instances is None:
            return
        least, ratio = _LEAST_OVER_ONE_INSTANCE, self.instances.ratio
        name = f"PostgreSQL: times one instance's speed, {MANY} instances, first load of"
        yield Target(
            f"{name} {self.instances.records:,}", f"at least {least:g}", ratio, ratio >= least
        )

    def _peak_mib(self, store: Store, size: int) -> float:
        return median(loads.first.peak_mib for loads in self.samples[store][size][BRIDGE.name])

    def speed_ratio(self, store: Store, size: int, contender: Contender) -> float:
        """Return how many times as fast as the plain loop it loads: the median of the rounds'."""
        by_name = self.samples[store][size]
        return median(
            plain.first.seconds / own.first.seconds
            for plain, own in zip(by_name[PLAIN_LOOP.name], by_name[contender.name], strict=True)
        )

    def as_json(self) -> dict[str, object]:
        """Return the figures: medians, and the least and the most of what took its time."""
        return {
            "targets": [asdict(target) for target in self.targets()],
            "stores": {
                store: {
                    str(size): {
                        name: {
                            "speed_over_plain_loop": self.speed_ratio(store, size, contender),
                            "first_load": _as_json([loads.first for loads in by_name[name]]),
                            "increment": _as_json([loads.increment for loads in by_name[name]]),
                        }
                        for contender in _present(by_name)
                        for name in [contender.name]
                    }
                    for size, by_name in by_size.items()
                }
                for store, by_size in self.samples.items()
            },
            "instances": self.instances
            and asdict(self.instances) | {"ratio": self.instances.ratio},
            "costs": [asdict(cost) | {"dollars": cost.dollars} for cost in self.costs],
        }


def _as_json(samples: Sequence[Sample]) -> dict[str, float]:
    medians: dict[str, float] = {
        member: median(getattr(sample, member) for sample in samples) for member in Sample._fields
    }
    seconds = [sample.seconds for sample in samples]
    return medians | {"least_seconds": min(seconds), "most_seconds": max(seconds)}


def _present(by_name: Mapping[str, object]) -> list[Contender]:
    return [contender for contender in CONTENDERS if contender.name in by_name]


def tables(figures: Figures) -> str:
    """Return the tables, in Markdown."""
    parts = ["### Targets", _targets_table(figures.targets())]
    for store, by_size in figures.samples.items():
        parts += [
            f"### First load, times the plain loop's speed: {store.label}",
            _ratios_table(figures, store),
        ]
        for size in by_size:
            parts += [f"### {size:,} records, {store.label}", _loads_table(figures, store, size)]
    if figures.instances is not None:
        what = f"{figures.instances.records:,} records in {SHARDS} shards"
        parts += [
            f"### One function instance and {MANY}: {what}, {PAGE_SECONDS:g} s a page, PostgreSQL",
            _instances_table(figures.instances),
        ]
    parts += ["### What a record costs in each cloud", costs_table(figures.costs)]
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    aligned = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, aligned, *rows))


def _targets_table(targets: Sequence[Target]) -> str:
    return _table(
        ["target", "bound", "measured", ""],
        [
            [
                target.name,
                target.bound,
                f"{target.measured:.4g}",
                "held" if target.is_held else "MISSED",
            ]
            for target in targets
        ],
    )


def _ratios_table(figures: Figures, store: Store) -> str:
    by_size = figures.samples[store]
    contenders = [
        contender
        for contender in CONTENDERS
        if any(contender.name in by_name for by_name in by_size.values())
    ]

    def cell(contender: Contender, size: int) -> str:
        if contender.name not in by_size[size]:
            return ""
        return f"{figures.speed_ratio(store, size, contender):.2f}"

    return _table(
        ["", *(f"{size:,}" for size in by_size)],
        [
            [contender.title, *(cell(contender, size) for size in by_size)]
            for contender in contenders
        ],
    )


def _loads_table(figures: Figures, store: Store, size: int) -> str:
    by_name = figures.samples[store][size]
    rows = []
    for contender in _present(by_name):
        first = [loads.first for loads in by_name[contender.name]]
        increment = [loads.increment for loads in by_name[contender.name]]
        seconds = _median(first, lambda sample: sample.seconds)
        rows.append(
            [
                contender.title,
                _spread(first),
                f"{size / seconds:,.0f}",
                f"{_median(first, lambda sample: sample.cpu_seconds):.2f}",
                f"{_median(first, lambda sample: sample.peak_mib):.0f}",
                f"{_median(first, lambda sample: sample.requests):.0f}",
                f"{_median(first, lambda sample: sample.source_cpu_seconds):.2f}",
                _spread(increment),
                f"{_median(increment, lambda sample: sample.requests):.0f}",
            ]
        )
    return _table(
        [
            "",
            "first load, s",
            "records/s",
            "CPU s",
            "MiB",
            "requests",
            "source's CPU s",
            f"increment of {CHANGES}, s",
            "requests",
        ],
        rows,
    )


def _instances_table(loads: InstanceLoads) -> str:
    return _table(
        ["", "first load, s", "records/s", "times one's speed"],
        [
            [title, f"{seconds:.2f}", f"{loads.records / seconds:,.0f}", f"{ratio:.2f}"]
            for title, seconds, ratio in (
                ("one instance", loads.one, 1.0),
                (f"{MANY} instances", loads.many, loads.ratio),
            )
        ],
    )


def _median(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return median(map(of, samples))


def _spread(samples: Sequence[Sample]) -> str:
    seconds = sorted(sample.seconds for sample in samples)
    return f"{median(seconds):.2f} ({seconds[0]:.2f} to {seconds[-1]:.2f})"


def costs_table(costs: Iterable[Cost]) -> str:
    """Return what each part of the way costs, in dollars for a million records or runs."""
    return _table(
        ["", "what is charged", "units", "$ a million units", "$"],
        [
            [
                cost.title,
                cost.formula,
                f"{cost.units:,.6g}",
                f"{cost.price.dollars_per_million:g}"
                + ("" if cost.price.is_verified else " (not verified)"),
                f"{cost.dollars:.4g}",
            ]
            for cost in costs
        ],
    )
