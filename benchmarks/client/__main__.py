"""`python -m benchmarks.client`: measures, prints the tables, writes the JSON."""

import asyncio
import os
import platform
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.client.clients import CLIENTS, PATH
from benchmarks.client.goodput import SECONDS as GOODPUT_SECONDS
from benchmarks.client.goodput import measure_goodput
from benchmarks.client.layers import count_token_requests, measure_layers
from benchmarks.client.load import Sample, drive
from benchmarks.client.recovery import measure_recovery
from benchmarks.client.report import Figures, tables
from benchmarks.client.upstream import running_upstream
from benchmarks.client.whole_function import measure_whole_function
from benchmarks.options import build_parser
from benchmarks.results import write_results

_RESULTS: Final = Path(__file__).resolve().parents[1] / "results" / "client.json"
_PACKAGES: Final = ("aiohttp", "httpx", "httpx-aiohttp", "httpx2", "azure-functions-runtime")
_CONCURRENCIES: Final = (1, 16, 64)


class _Progress:
    """One line on standard error that says what is being measured."""

    def __init__(self) -> None:
        self._started = perf_counter()

    def show(self, text: str) -> None:
        seconds = perf_counter() - self._started
        line = f"[{seconds:4.0f} s] {text}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


async def _measure_clients(
    origin: str, rounds: int, seconds: float, progress: _Progress
) -> dict[int, dict[str, list[Sample]]]:
    samples: dict[int, dict[str, list[Sample]]] = {
        concurrency: {client.name: [] for client in CLIENTS} for concurrency in _CONCURRENCIES
    }
    for number in range(rounds):
        progress.show(f"clients, round {number + 1} of {rounds}")
        for concurrency in _CONCURRENCIES:
            # In turns, so that what else the machine does meets all of them alike.
            for client in CLIENTS:
                async with client.open(origin, concurrency) as get:
                    sample = await drive(partial(get, PATH), concurrency, seconds)
                samples[concurrency][client.name].append(sample)
    return samples


async def _measure(rounds: int, seconds: float, progress: _Progress) -> Figures:
    with running_upstream() as origin, tempfile.TemporaryDirectory() as folder:
        layers = await measure_layers(progress.show)
        token_requests = await count_token_requests()
        samples = await _measure_clients(origin, rounds, seconds, progress)
        probes_answered = {}
        for client in CLIENTS:
            progress.show(f"pool recovery, {client.title}")
            probes_answered[client.name] = await measure_recovery(client, origin)
        goodput = await measure_goodput(origin, GOODPUT_SECONDS, progress.show)
        function = await measure_whole_function(
            origin,
            Path(folder),
            rounds=rounds,
            seconds=seconds,
            concurrencies=_CONCURRENCIES,
            show=progress.show,
        )
    progress.end()
    return Figures(samples, probes_answered, layers, token_requests, goodput, function)


def main() -> int:
    """The exit code: 0, whether the targets were held or not."""
    parser = build_parser("benchmarks.client", "Measures the Azure client.", rounds=5)
    parser.add_argument(
        "--seconds", type=float, default=0.8, help="of each measurement; default: %(default)s"
    )
    options = parser.parse_args()
    figures = asyncio.run(_measure(options.rounds, options.seconds, _Progress()))
    print(tables(figures))
    run = {
        "date": options.date,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {package: version(package) for package in _PACKAGES},
        "rounds": options.rounds,
        "seconds": options.seconds,
    }
    write_results(options.output or _RESULTS, {"run": run, **figures.as_json()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
