"""`python -m benchmarks.sync`: measures, prints the tables, writes the JSON."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks.options import build_parser
from benchmarks.results import write_results
from benchmarks.sync.contenders import (
    BRIDGE,
    CONTENDERS,
    DLT,
    DLT_PYTHON,
    REPO_ROOT,
    BenchmarkFailed,
    Contender,
    Loads,
    Store,
    measure,
    new_sink,
)
from benchmarks.sync.instances import InstanceLoads, measure_instances
from benchmarks.sync.prices import compute_costs
from benchmarks.sync.report import Figures, Samples, tables
from benchmarks.sync.source import Source
from emulator.azurite import Azurite, AzuriteError, AzuritePrograms
from emulator.functions_host.errors import FunctionsHostError
from emulator.postgres import PostgresError
from shared.clock import SystemClock

_RESULTS: Final = Path(__file__).resolve().parents[1] / "results" / "sync.json"
_PACKAGES: Final = ("azure-data-tables", "httpx")
_SIZES: Final = (1_000, 28_403, 100_000)
_TABLE_SIZES: Final = (1_000, 28_403)
_FULL_SIZE: Final = 1_000_000

_STARTED: Final = perf_counter()


def _show(text: str) -> None:
    sys.stderr.write(f"[{perf_counter() - _STARTED:4.0f} s] {text}\n")
    sys.stderr.flush()


@contextmanager
def _running_azurite(folder: Path) -> Iterator[str]:
    azurite = Azurite.start(
        AzuritePrograms.under(REPO_ROOT / ".tools"), folder, clock=SystemClock(), sleep=time.sleep
    )
    try:
        yield azurite.table_url
    finally:
        azurite.stop()


def _in_turn(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """Return them, another one first in each round."""
    first = number % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def measure_store(
    store: Store,
    sizes: Sequence[int],
    *,
    contenders: Sequence[Contender],
    rounds: int,
    table_endpoint: str,
    show: Callable[[str], None] = _show,
) -> dict[int, dict[str, list[Loads]]]:
    """Return what each contender's loads took, by number of records, in interleaved rounds."""
    able = [contender for contender in contenders if store in contender.stores]
    samples: dict[int, dict[str, list[Loads]]] = {}
    for size in sizes:
        # Once is enough for a million, which takes minutes.
        times = 1 if size >= _FULL_SIZE else rounds
        samples[size] = {contender.name: [] for contender in able}
        with Source(size) as source:
            for number in range(times):
                for contender in _in_turn(able, number):
                    show(f"{store.label}, {size:,}, round {number + 1}: {contender.title}")
                    with new_sink(store, table_endpoint) as sink:
                        samples[size][contender.name].append(measure(contender, source, sink))
    return samples


def _warm_up(table_endpoint: str) -> None:
    with Source(_SIZES[0]) as source, new_sink(Store.TABLE, table_endpoint) as sink:
        measure(BRIDGE, source, sink)


def _records_per_second(samples: Samples) -> float | None:
    by_size = samples.get(Store.TABLE, {})
    if not by_size:
        return None
    size = max(by_size)
    return size / median(loads.first.seconds for loads in by_size[size][BRIDGE.name])


def _dlt_version() -> str:
    return subprocess.run(
        [DLT_PYTHON, "-c", "import importlib.metadata as m; print(m.version('dlt'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def main() -> int:
    """Return the exit code: 0, whether the targets were held or not; 1 if nothing was measured."""
    parser = build_parser("benchmarks.sync", "Measures the sync.", rounds=3)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=_SIZES,
        metavar="RECORDS",
        help="into SQLite; default: %(default)s",
    )
    parser.add_argument(
        "--table-sizes",
        type=int,
        nargs="*",
        default=_TABLE_SIZES,
        metavar="RECORDS",
        help="into Table Storage; default: %(default)s. Azurite takes longer for each record the"
        " more there are, which Table Storage does not.",
    )
    parser.add_argument(
        "--full", action="store_true", help=f"also {_FULL_SIZE:,} records into SQLite, once"
    )
    parser.add_argument("--without-dlt", action="store_true", help="leave dlt out")
    parser.add_argument(
        "--without-instances",
        action="store_true",
        help="leave out one function instance against four",
    )
    options = parser.parse_args()
    contenders = [each for each in CONTENDERS if not (options.without_dlt and each is DLT)]
    sizes = sorted({*options.sizes, _FULL_SIZE} if options.full else options.sizes)

    measured = partial(measure_store, contenders=contenders, rounds=options.rounds)
    samples: dict[Store, dict[int, dict[str, list[Loads]]]] = {}
    instances: InstanceLoads | None = None
    try:
        samples[Store.SQLITE] = measured(Store.SQLITE, sizes, table_endpoint="")
        if options.table_sizes:
            with tempfile.TemporaryDirectory() as folder, _running_azurite(Path(folder)) as url:
                _warm_up(url)
                samples[Store.TABLE] = measured(
                    Store.TABLE, sorted(options.table_sizes), table_endpoint=url
                )
        if not options.without_instances:
            instances = measure_instances(_show)
    except (BenchmarkFailed, AzuriteError, FunctionsHostError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1
    figures = Figures(samples, compute_costs(_records_per_second(samples)), instances)
    print(tables(figures))
    run = {
        "date": options.date,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {package: version(package) for package in _PACKAGES}
        | ({} if options.without_dlt else {"dlt": _dlt_version()}),
        "rounds": options.rounds,
    }
    write_results(options.output or _RESULTS, {"run": run, **figures.as_json()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
