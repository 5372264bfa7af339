"""Measures the authorizer and its peers in one run on one core, and writes down what it found.

    python -m benchmarks.authorizer.run --date 2026-11-21

What is measured, and how, is in `docs/benchmarks.md`.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.authorizer import material
from benchmarks.authorizer.contenders import FLOORS, HANDLERS, STARTERS, VERIFIERS, Contender
from benchmarks.authorizer.programs import (
    BenchmarkFailed,
    Programs,
    Start,
    Worker,
    build_programs,
    find_programs,
)
from benchmarks.authorizer.report import Report, Samples, print_report, to_json
from benchmarks.authorizer.surroundings import describe_surroundings, measure_openssl
from shared.clock import SystemClock

_ROOT: Final = Path(__file__).parents[2]
_RESULTS: Final = _ROOT / "benchmarks" / "results" / "authorizer.json"

WARM_UP_TOKENS: Final = 2_000
"""Decided on before anything counts, so that Node.js has compiled what is hot."""
TOKENS_PER_ROUND: Final = 800
REPEATED_TOKENS: Final = 16
"""As many callers as a warm function may have."""
REPEAT_MICROSECONDS: Final = 50_000
"""How long a round of repeats lasts, however quick the contender is."""
MEMORY_TOKENS: Final = 2_000
"""After how many different tokens the memory is read again: more than any cache here holds."""


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _serving(read_key_set: Callable[[], bytes]) -> Iterator[str]:
    """The URL of a key set on the loopback interface, for those that can only fetch one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = read_key_set()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


def measure_starts(
    programs: Programs, line_octets: int, rounds: int
) -> dict[Contender, list[Start]]:
    """Fresh process to first decision, one contender after the other in each round."""
    starts: dict[Contender, list[Start]] = {contender: [] for contender in STARTERS}
    # The first round fills the file system's cache and does not count.
    for number in range(rounds + 1):
        for contender in STARTERS:
            with Worker(programs, contender, line_octets) as worker:
                if number:
                    starts[contender].append(worker.start)
    return starts


def measure_memory(programs: Programs, line_octets: int) -> dict[Contender, float]:
    """The most memory that each has held after many different tokens, in MiB."""
    peaks = {}
    for contender in STARTERS:
        with Worker(programs, contender, line_octets) as worker:
            for first in range(0, MEMORY_TOKENS, 100):
                worker.run(first, 100)
            peaks[contender] = worker.peak_mib()
    return peaks


def measure_decisions(
    programs: Programs, line_octets: int, rounds: int
) -> dict[Contender, Samples]:
    """Microseconds per decision, on tokens never seen before and on repeated ones."""
    contenders: Sequence[Contender] = (*VERIFIERS, *HANDLERS, *FLOORS)
    samples = {contender: Samples([], []) for contender in contenders}
    with ExitStack() as stack:
        workers, loops = {}, {}
        for contender in contenders:
            worker = stack.enter_context(Worker(programs, contender, line_octets))
            worker.check_refusal()
            worker.run(0, WARM_UP_TOKENS)
            worker.run(0, REPEATED_TOKENS, 200)
            microseconds = worker.run(0, REPEATED_TOKENS, 20) * REPEATED_TOKENS
            workers[contender] = worker
            loops[contender] = max(1, round(REPEAT_MICROSECONDS / microseconds))
        for number in range(rounds):
            first = WARM_UP_TOKENS + number * TOKENS_PER_ROUND
            for contender, worker in workers.items():
                samples[contender].first_sight.append(worker.run(first, TOKENS_PER_ROUND))
                # What a cache has just dropped for the new tokens comes back in before it counts.
                worker.run(first, REPEATED_TOKENS)
                repeat = worker.run(first, REPEATED_TOKENS, loops[contender])
                samples[contender].repeat.append(repeat)
            _tell(f"  round {number + 1} of {rounds}")
    return samples


def measure(arguments: argparse.Namespace) -> Report:
    """Everything, in one run.

    Raises:
        BenchmarkFailed: something could not be measured.

    """
    if not hasattr(os, "sched_setaffinity"):
        raise BenchmarkFailed("this machine cannot pin a process to a core; run it on Linux")
    cores = os.sched_getaffinity(0)
    core = max(cores) if arguments.core is None else arguments.core
    if core not in cores:
        raise BenchmarkFailed(f"there is no core {core}; --core takes one of {sorted(cores)}")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        programs = find_programs(_ROOT, folder, arguments.node)
        _tell("building the programs")
        build_programs(programs, _ROOT)
        with _serving((folder / material.KEY_SET_FILE).read_bytes) as key_set_url:
            tokens = WARM_UP_TOKENS + arguments.rounds * TOKENS_PER_ROUND
            _tell(f"making {tokens:,} tokens")
            now = int(SystemClock().now())
            line_octets = material.write_material(folder, tokens, now, key_set_url)
            # Every process started from here on inherits it.
            os.sched_setaffinity(0, {core})
            _tell(f"measuring cold starts, {arguments.starts} rounds")
            starts = measure_starts(programs, line_octets, arguments.starts)
            memory = measure_memory(programs, line_octets)
            _tell("measuring decisions")
            samples = measure_decisions(programs, line_octets, arguments.rounds)
        openssl = measure_openssl()
        surroundings = describe_surroundings(programs)
    return Report(arguments.date, surroundings, samples, starts, memory, openssl)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", required=True, help="the day to note in the results")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of decisions")
    parser.add_argument("--starts", type=int, default=15, help="rounds of cold starts")
    parser.add_argument("--core", type=int, help="the core to pin everything to")
    parser.add_argument("--node", type=Path, help="another Node.js than the one in the lock")
    parser.add_argument("--into", type=Path, default=_RESULTS, help="the file for the results")
    arguments = parser.parse_args()
    try:
        report = measure(arguments)
    except BenchmarkFailed as failure:
        raise SystemExit(f"The benchmark failed: {failure}") from failure
    results: Path = arguments.into
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(to_json(report), indent=2) + "\n")
    print_report(report)
    _tell(f"written to {os.path.relpath(results)}")


if __name__ == "__main__":
    main()
