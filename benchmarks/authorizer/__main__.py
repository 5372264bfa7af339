"""Measures the authorizer and its peers in one run on one core, and writes down what it found.

    python -m benchmarks.authorizer --date 2026-11-21

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
from benchmarks.authorizer.cold_start import measure_function_starts
from benchmarks.authorizer.comparison import (
    COMPARED_CONTENDERS,
    COMPARED_FUNCTIONS,
    Comparison,
    compare,
    print_comparisons,
)
from benchmarks.authorizer.contenders import (
    FLOORS,
    FUNCTIONS,
    HANDLERS,
    OTHER_BUNDLE,
    OUR_BUNDLE,
    STARTERS,
    VERIFIERS,
    Contender,
    alternate,
)
from benchmarks.authorizer.programs import (
    BenchmarkFailed,
    Programs,
    Start,
    Worker,
    build_bundle,
    build_node_programs,
    build_python_programs,
    find_programs,
)
from benchmarks.authorizer.report import Report, Samples, print_report, to_json
from benchmarks.authorizer.surroundings import describe_surroundings, measure_openssl
from benchmarks.options import build_parser
from shared.clock import Clock, SystemClock

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
        for contender in alternate(STARTERS, number):
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
    programs: Programs, contenders: Sequence[Contender], line_octets: int, rounds: int
) -> dict[Contender, Samples]:
    """Microseconds per decision, on tokens never seen before and on repeated ones."""
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
            for contender in alternate(contenders, number):
                worker = workers[contender]
                samples[contender].first_sight.append(worker.run(first, TOKENS_PER_ROUND))
                # What a cache has just dropped for the new tokens comes back in before it counts.
                worker.run(first, REPEATED_TOKENS)
                repeat = worker.run(first, REPEATED_TOKENS, loops[contender])
                samples[contender].repeat.append(repeat)
            _tell(f"  round {number + 1} of {rounds}")
    return samples


def _choose_core(wanted: int | None) -> int:
    if not hasattr(os, "sched_setaffinity"):
        raise BenchmarkFailed("this machine cannot pin a process to a core; run it on Linux")
    cores = os.sched_getaffinity(0)
    core = max(cores) if wanted is None else wanted
    if core not in cores:
        raise BenchmarkFailed(f"there is no core {core}; --core takes one of {sorted(cores)}")
    return core


def _prepare(programs: Programs, rounds: int, key_set_url: str, clock: Clock) -> int:
    """Write what all contenders read; how many octets a token's line has."""
    tokens = WARM_UP_TOKENS + rounds * TOKENS_PER_ROUND
    _tell(f"making {tokens:,} tokens")
    return material.write_material(programs.folder, tokens, int(clock.now()), key_set_url)


def measure(arguments: argparse.Namespace) -> Report:
    """Everything, in one run.

    Raises:
        BenchmarkFailed: something could not be measured.

    """
    core, clock = _choose_core(arguments.core), SystemClock()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        programs = find_programs(_ROOT, folder, arguments.node)
        _tell("building the programs")
        build_bundle(programs, _ROOT, OUR_BUNDLE)
        build_python_programs(programs)
        build_node_programs(programs)
        with _serving((folder / material.KEY_SET_FILE).read_bytes) as key_set_url:
            line_octets = _prepare(programs, arguments.rounds, key_set_url, clock)
            # Every process started from here on inherits it.
            os.sched_setaffinity(0, {core})
            _tell(f"measuring cold starts, {arguments.starts} rounds")
            functions = measure_function_starts(programs, FUNCTIONS, arguments.starts, clock)
            starts = measure_starts(programs, line_octets, arguments.starts)
            memory = measure_memory(programs, line_octets)
            _tell("measuring decisions")
            contenders = (*VERIFIERS, *HANDLERS, *FLOORS)
            samples = measure_decisions(programs, contenders, line_octets, arguments.rounds)
        openssl = measure_openssl()
        surroundings = describe_surroundings(programs)
    return Report(arguments.date, surroundings, samples, functions, starts, memory, openssl)


def compare_with(other: Path, arguments: argparse.Namespace) -> list[Comparison]:
    """This checkout's authorizer and another one's, in one run.

    Raises:
        BenchmarkFailed: something could not be measured.

    """
    core, clock = _choose_core(arguments.core), SystemClock()
    if not (other / "aws_authorizer").is_dir():
        raise BenchmarkFailed(f"{other} is no checkout of this project: it has no aws_authorizer")
    with TemporaryDirectory() as scratch:
        programs = find_programs(_ROOT, Path(scratch), with_peers=False)
        _tell("building both bundles")
        build_bundle(programs, _ROOT, OUR_BUNDLE)
        build_bundle(programs, other, OTHER_BUNDLE)
        build_python_programs(programs)
        line_octets = _prepare(programs, arguments.rounds, material.ISSUER, clock)
        os.sched_setaffinity(0, {core})
        _tell(f"measuring cold starts, {arguments.starts} rounds")
        starts = measure_function_starts(programs, COMPARED_FUNCTIONS, arguments.starts, clock)
        _tell("measuring decisions")
        samples = measure_decisions(programs, COMPARED_CONTENDERS, line_octets, arguments.rounds)
    return compare(samples, starts)


def _write(results: Path, document: object) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(document, indent=2) + "\n")
    _tell(f"written to {os.path.relpath(results)}")


def main() -> None:
    """Measure, print, write."""
    parser = build_parser("benchmarks.authorizer", __doc__.partition("\n")[0], rounds=15)
    parser.add_argument(
        "--starts", type=int, default=25, help="rounds of cold starts; default: %(default)s"
    )
    parser.add_argument("--core", type=int, help="the core to pin everything to; default: the last")
    parser.add_argument(
        "--node", type=Path, help="another Node.js than the one in the lock, 22 or later"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="measure another checkout's authorizer instead of the peers; written to --output only",
    )
    arguments = parser.parse_args()
    try:
        if arguments.against is not None:
            comparisons = compare_with(arguments.against.resolve(), arguments)
            print_comparisons(comparisons)
            if arguments.output is not None:
                document = [comparison._asdict() for comparison in comparisons]
                _write(arguments.output, {"date": arguments.date, "comparisons": document})
            return
        report = measure(arguments)
    except BenchmarkFailed as failure:
        raise SystemExit(f"The benchmark failed: {failure}") from failure
    print_report(report)
    _write(arguments.output or _RESULTS, to_json(report))


if __name__ == "__main__":
    main()
