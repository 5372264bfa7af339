"""Drives a client as hard as it goes, so many requests at a time, and tells how fast it went."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Final

_WARM_UP_PER_WORKER: Final = 2
_WARM_UP_LEAST: Final = 50


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run measured."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_microseconds: float
    """Of this process, a request: what the client costs, however busy the machine is besides."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that so large a share of the ordered values does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def drive(call: Callable[[], Awaitable[None]], concurrency: int, seconds: float) -> Sample:
    """The sample of so many callers, each of whom calls again as soon as it has its answer."""
    await _warm_up(call, concurrency)
    # A collection that one client's garbage made due must not fall into another one's run.
    gc.collect()
    latencies: list[float] = []
    cpu_before = process_time()
    started = perf_counter()
    ends = started + seconds

    async def caller() -> None:
        begun = perf_counter()
        while begun < ends:
            await call()
            now = perf_counter()
            latencies.append(now - begun)
            begun = now

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    elapsed = perf_counter() - started
    cpu = process_time() - cpu_before
    latencies.sort()
    return Sample(
        requests_per_second=len(latencies) / elapsed,
        p50_ms=percentile(latencies, 0.50) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
        cpu_microseconds=cpu / len(latencies) * 1_000_000,
    )


async def _warm_up(call: Callable[[], Awaitable[None]], concurrency: int) -> None:
    async def caller() -> None:
        for _ in range(max(_WARM_UP_PER_WORKER, _WARM_UP_LEAST // concurrency)):
            await call()

    await asyncio.gather(*(caller() for _ in range(concurrency)))


def median_sample(samples: Sequence[Sample]) -> Sample:
    """Each figure's own median over the rounds."""
    return Sample(
        median(sample.requests_per_second for sample in samples),
        median(sample.p50_ms for sample in samples),
        median(sample.p99_ms for sample in samples),
        median(sample.cpu_microseconds for sample in samples),
    )
