"""The tables for people, and the same figures as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from benchmarks.client.clients import (
    AIOHTTP,
    BRIDGE,
    BRIDGE_API,
    CLIENTS,
    HTTPX_AIOHTTP,
    STOCK_HTTPX,
    Client,
)
from benchmarks.client.goodput import GOODPUT_CLIENTS, PROMISED, Goodput
from benchmarks.client.layers import COLD_CALLERS, Layer
from benchmarks.client.load import Sample, median_sample
from benchmarks.client.recovery import CANCELLED, PROBES
from benchmarks.client.whole_function import WholeFunction
from benchmarks.results import Target

type Samples = Mapping[int, Mapping[str, Sequence[Sample]]]
"""Every round's sample, by concurrency and client."""

BUSIEST: Final = 64
_LEAST_OVER_HTTPX_AIOHTTP: Final = 1.2
_LEAST_OVER_STOCK_HTTPX: Final = 25.0
_LEAST_OVER_AIOHTTP: Final = 1.0
_MOST_P99_OVER_AIOHTTP: Final = {BRIDGE: 3.0, BRIDGE_API: 1.5}
_LEAST_GOODPUT: Final = 0.95
_MOST_CACHE_HIT: Final = 2_000.0
"""Nanoseconds."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that one run measured."""

    samples: Samples
    probes_answered: Mapping[str, int]
    """By client, of the probes after the cancelled requests."""
    layers: Sequence[Layer]
    token_requests: int
    goodput: Sequence[Goodput]
    function: WholeFunction

    def targets(self) -> list[Target]:
        """The targets; a ratio is taken within each round, and then the median of the rounds."""
        hit = next(layer.nanoseconds for layer in self.layers if layer.name == "token_cache_hit")
        asked = self.token_requests
        return [
            *self._pace(BRIDGE),
            *self._pace(BRIDGE_API),
            self._parity(),
            *(self._recovery(client) for client in (BRIDGE, BRIDGE_API)),
            self._goodput(),
            Target("token cache hit, µs", "at most 2", hit / 1000, hit <= _MOST_CACHE_HIT),
            Target(f"token requests for {COLD_CALLERS} cold callers", "1", asked, asked == 1),
        ]

    def _pace(self, ours: Client) -> Iterable[Target]:
        for other, least in (
            (HTTPX_AIOHTTP, _LEAST_OVER_HTTPX_AIOHTTP),
            (STOCK_HTTPX, _LEAST_OVER_STOCK_HTTPX),
        ):
            ratio = self.throughput_ratio(ours, other)
            name = f"{ours.title}: times the throughput of {other.title}"
            yield Target(name, f"at least {least:g}", ratio, ratio >= least)
        ratio = self.p99_ratio(ours, AIOHTTP)
        yield Target(
            f"{ours.title}: times the p99 of {AIOHTTP.title}",
            f"at most {_MOST_P99_OVER_AIOHTTP[ours]:g}",
            ratio,
            ratio <= _MOST_P99_OVER_AIOHTTP[ours],
        )

    def _parity(self) -> Target:
        ratio = self.throughput_ratio(BRIDGE_API, AIOHTTP)
        return Target(
            f"{BRIDGE_API.title}: times the throughput of {AIOHTTP.title}",
            f"at least {_LEAST_OVER_AIOHTTP:g}",
            ratio,
            ratio >= _LEAST_OVER_AIOHTTP,
        )

    def _recovery(self, ours: Client) -> Target:
        answered = self.probes_answered[ours.name]
        return Target(
            f"{ours.title}: probes answered after {CANCELLED:,} cancelled requests",
            f"{PROBES} of {PROBES}",
            answered,
            answered == PROBES,
        )

    def _goodput(self) -> Target:
        promised = [each for each in self.goodput if each.setting == PROMISED]
        least = min(each.shares[BRIDGE_API.name] for each in promised)
        loads = [each.load for each in promised]
        return Target(
            f"{BRIDGE_API.title}: answers in time of those that {PROMISED.title} allow,"
            f" at {min(loads):g} to {max(loads):g} times the load",
            f"at least {_LEAST_GOODPUT:g}",
            least,
            least >= _LEAST_GOODPUT,
        )

    def throughput_ratio(self, client: Client, other: Client, concurrency: int = BUSIEST) -> float:
        """How many times as many requests a second."""
        by_name = self.samples[concurrency]
        return median(
            a.requests_per_second / b.requests_per_second
            for a, b in zip(by_name[client.name], by_name[other.name], strict=True)
        )

    def p99_ratio(self, client: Client, other: Client, concurrency: int = BUSIEST) -> float:
        """How many times as long the slowest percent takes."""
        by_name = self.samples[concurrency]
        return median(
            a.p99_ms / b.p99_ms
            for a, b in zip(by_name[client.name], by_name[other.name], strict=True)
        )

    def as_json(self) -> dict[str, object]:
        """The figures, medians alone."""
        return {
            "targets": [asdict(target) for target in self.targets()],
            "clients": {
                client.name: {
                    "title": client.title,
                    "by_concurrency": {
                        str(concurrency): asdict(median_sample(by_name[client.name]))
                        for concurrency, by_name in self.samples.items()
                    },
                    "probes_answered": self.probes_answered[client.name],
                }
                for client in CLIENTS
            },
            "layers_nanoseconds": {layer.name: round(layer.nanoseconds) for layer in self.layers},
            "token_requests_for_64_cold_callers": self.token_requests,
            "goodput": [asdict(each) for each in self.goodput],
            "function": {
                "added_p50_ms": self.function.added_p50_ms,
                "added_p99_ms": self.function.added_p99_ms,
                "by_concurrency": {
                    str(concurrency): {name: asdict(sample) for name, sample in by_name.items()}
                    for concurrency, by_name in self.function.samples.items()
                },
            },
        }


def tables(figures: Figures) -> str:
    """The tables, in Markdown."""
    return "\n\n".join(
        [
            "### GETs of 1 kB of JSON, kept-alive connections\n\n" + _clients_table(figures),
            f"### At {BUSIEST}, and after {CANCELLED:,} cancelled requests\n\n"
            + _busiest_table(figures),
            "### Goodput of a slow API\n\n" + goodput_table(figures.goodput),
            "### The whole function\n\n" + _function_table(figures.function),
            "### What each layer costs a call\n\n" + _layers_table(figures.layers),
            "### Targets\n\n" + _targets_table(figures.targets()),
        ]
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    aligned = ["---", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, aligned, *rows))


def _clients_table(figures: Figures) -> str:
    return _table(
        ["client", *_sample_heads(figures.samples)],
        [
            [
                client.title,
                *_sample_cells(
                    median_sample(by_name[client.name]) for by_name in figures.samples.values()
                ),
            ]
            for client in CLIENTS
        ],
    )


def _busiest_table(figures: Figures) -> str:
    by_name = figures.samples[BUSIEST]
    return _table(
        [
            "client",
            "CPU µs a request",
            "times httpx-aiohttp",
            "times stock httpx",
            "p99, times aiohttp's",
            f"of {PROBES} probes",
        ],
        [
            [
                client.title,
                f"{median_sample(by_name[client.name]).cpu_microseconds:,.0f}",
                f"{figures.throughput_ratio(client, HTTPX_AIOHTTP):.2f}",
                f"{figures.throughput_ratio(client, STOCK_HTTPX):.1f}",
                f"{figures.p99_ratio(client, AIOHTTP):.1f}",
                str(figures.probes_answered[client.name]),
            ]
            for client in CLIENTS
        ],
    )


def _sample_heads(concurrencies: Iterable[int]) -> Iterable[str]:
    for concurrency in concurrencies:
        yield from (f"req/s at {concurrency}", "p50 / p99 ms")


def _sample_cells(samples: Iterable[Sample]) -> Iterable[str]:
    for sample in samples:
        yield f"{sample.requests_per_second:,.0f}"
        yield f"{sample.p50_ms:.2f} / {sample.p99_ms:.2f}"


def goodput_table(goodput: Iterable[Goodput]) -> str:
    """Answers in time, as a share of what the places could give."""
    return _table(
        ["places, answer, deadline", "load", *(client.title for client in GOODPUT_CLIENTS)],
        [
            [
                each.setting.title,
                f"{each.load:g}",
                *(f"{each.shares[client.name]:.0%}" for client in GOODPUT_CLIENTS),
            ]
            for each in goodput
        ],
    )


def _function_table(function: WholeFunction) -> str:
    head = ["way", *_sample_heads(function.samples)]
    rows = [
        [way.title, *_sample_cells(by_name[way.name] for by_name in function.samples.values())]
        for way in function.ways
    ]
    added = (
        f"\n\nAdded by the function, one caller: {function.added_p50_ms:.2f} ms at the median,"
        f" {function.added_p99_ms:.2f} ms at p99."
    )
    return _table(head, rows) + added


def _layers_table(layers: Sequence[Layer]) -> str:
    return _table(
        ["layer", "µs"], [[layer.title, f"{layer.nanoseconds / 1000:.2f}"] for layer in layers]
    )


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
