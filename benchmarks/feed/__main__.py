"""`python -m benchmarks.feed`: measures, prints the tables, writes the JSON."""

import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.feed.report import MOST_SHARDS, MOST_WRITERS, Figures, tables
from benchmarks.feed.writing import Load, Written, write_in_real_time, write_virtually
from benchmarks.options import build_parser
from benchmarks.results import write_results
from tests.support.dynamodb_model.service import Limits
from tests.support.dynamodb_model.weather import Latencies

_RESULTS: Final = Path(__file__).resolve().parents[1] / "results" / "feed.json"
_SHARDS: Final = (1, 4, MOST_SHARDS)
_WRITERS: Final = (1, 8, MOST_WRITERS)
_RECORDS: Final = 2_000


def main() -> int:
    """The exit code: 0, whether the targets were held or not."""
    parser = build_parser("benchmarks.feed", "Measures the change feed's writers.", rounds=3)
    parser.add_argument(
        "--seconds",
        type=float,
        default=6.0,
        help="of each measurement, by the model's clock; default: %(default)s",
    )
    options = parser.parse_args()
    rounds: dict[tuple[int, int], list[Written]] = {
        (shards, writers): [] for shards in _SHARDS for writers in _WRITERS
    }
    throttled: dict[tuple[int, int], list[Written]] = {
        (shards, MOST_WRITERS): [] for shards in _SHARDS
    }
    for number in range(options.rounds):
        for (shards, writers), results in rounds.items():
            sys.stderr.write(f"round {number + 1}: {shards} shards, {writers} writers\n")
            load = Load(writers, shards, options.seconds, _RECORDS)
            results.append(write_virtually(load, number + 1))
            if writers == MOST_WRITERS:
                throttled[shards, writers].append(
                    write_virtually(load, number + 1, limits=Limits())
                )
    real_time = write_in_real_time(Load(1, 1, min(3.0, options.seconds), _RECORDS), 1)
    figures = Figures(rounds, throttled, real_time)
    print(tables(figures))
    run = {
        "date": options.date,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "rounds": options.rounds,
        "virtual_seconds": options.seconds,
        "records": _RECORDS,
        "latency_medians": asdict(Latencies()),
        "limits_of_a_partition_key": asdict(Limits()),
    }
    write_results(options.output or _RESULTS, {"run": run, **figures.as_json()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
