"""Cold starts as Lambda has them: each function under its platform's own runtime client.

A client takes tens of milliseconds for itself, so what counts is what an authorizer adds to it:
the same client is measured with a handler that does nothing, in the same rounds.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from threading import Thread
from typing import Final, NamedTuple

from benchmarks.authorizer import material
from benchmarks.authorizer.contenders import BARE_FUNCTIONS, Function, alternate
from benchmarks.authorizer.programs import BenchmarkFailed, Programs, Start, read_peak_mib
from benchmarks.authorizer.runtime_api import Posted, RuntimeApi
from shared.clock import Clock

_DEADLINE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 1.0
"""How often a silent process is looked at: too seldom to count."""

type FunctionStarts = Mapping[Function, Sequence[Start]]
"""Each function's starts, one a round."""


class _Invocation(NamedTuple):
    start: Start
    posted: Posted


def added_cpu_ms(starts: FunctionStarts, function: Function) -> float:
    """Return what the function adds to a bare one: the median of the rounds' differences."""
    return _added([s.cpu_ms for s in starts[function]], [s.cpu_ms for s in _bare(starts, function)])


def added_wall_ms(starts: FunctionStarts, function: Function) -> float:
    """Return the same by the clock."""
    return _added(
        [s.wall_ms for s in starts[function]], [s.wall_ms for s in _bare(starts, function)]
    )


def _bare(starts: FunctionStarts, function: Function) -> Sequence[Start]:
    return starts[BARE_FUNCTIONS[function.language]]


def _added(values: Sequence[float], to: Sequence[float]) -> float:
    return median(value - other for value, other in zip(values, to, strict=True))


def measure_function_starts(
    programs: Programs, functions: Sequence[Function], rounds: int, clock: Clock
) -> FunctionStarts:
    """Return the starts of every function, measured in turn.

    Before that, each that decides must let a good token in and refuse a forged one.

    Raises:
        BenchmarkFailed: a function does not answer, or answers wrongly.

    """
    with (programs.folder / material.TOKENS_FILE).open() as tokens:
        good = tokens.readline().strip()
    for function in functions:
        if function not in BARE_FUNCTIONS.values():
            forged = _invoke(programs, function, material.forge(good), clock).posted
            if forged.is_response or json.loads(forged.body)["errorMessage"] != "Unauthorized":
                raise BenchmarkFailed(f"{function.title} does not refuse a forged signature")
    starts: dict[Function, list[Start]] = {function: [] for function in functions}
    # The first round fills the file system's cache and does not count.
    for number in range(rounds + 1):
        for function in alternate(functions, number):
            start, posted = _invoke(programs, function, good, clock)
            _check_allow(function, posted)
            if number:
                starts[function].append(start)
    return starts


def _check_allow(function: Function, posted: Posted) -> None:
    is_bare = function in BARE_FUNCTIONS.values()
    answer = json.loads(posted.body)
    is_good = posted.is_response and (
        is_bare or answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    )
    if not is_good:
        raise BenchmarkFailed(f"{function.title} does not let a good token in: {answer}")


def _invoke(programs: Programs, function: Function, token: str, clock: Clock) -> _Invocation:
    """Start the function's process and take its answer to one event; the process ends there."""
    event = json.dumps(
        {
            "type": "TOKEN",
            "authorizationToken": f"Bearer {token}",
            "methodArn": material.METHOD_ARN,
        }
    )
    pids: Queue[int] = Queue()
    invocations: Queue[_Invocation] = Queue()

    def take(posted: Posted) -> None:
        wall_ms, pid = (time.perf_counter() - began) * 1e3, pids.get()
        invocations.put(_Invocation(Start(wall_ms, _read_cpu_ms(pid), read_peak_mib(pid)), posted))

    log = programs.folder / "function_log"
    deadline_ms = int((clock.now() + _DEADLINE_SECONDS) * 1e3)
    with _serving(RuntimeApi(event.encode(), deadline_ms, take)) as api, log.open("wb") as lines:
        launch = programs.launch(function, api.address)
        began = time.perf_counter()
        process = subprocess.Popen(
            launch.command,
            env=launch.environment,
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=subprocess.STDOUT,
        )
        pids.put(process.pid)
        try:
            while time.perf_counter() - began < _DEADLINE_SECONDS:
                # A process that ended may have posted before it did.
                has_ended = process.poll() is not None
                with suppress(Empty):
                    return invocations.get(timeout=_LOOK_SECONDS)
                if has_ended:
                    break
        finally:
            process.kill()
            process.wait()
    raise BenchmarkFailed(f"{function.title} gave no answer: {_last_line(log)}")


@contextmanager
def _serving(api: RuntimeApi) -> Iterator[RuntimeApi]:
    with api:
        # It looks so often whether it should end, which would else take half a second each time.
        serve = partial(api.serve_forever, poll_interval=0.01)
        Thread(target=serve, daemon=True).start()
        try:
            yield api
        finally:
            api.shutdown()


def _read_cpu_ms(pid: int) -> float:
    """Return what all threads of a process have used so far, those that ended included.

    Neither client starts a process of its own, whose time would be missing here.
    """
    # clock_getcpuclockid(3), which Python lacks: the kernel's MAKE_PROCESS_CPUCLOCK(pid, SCHED).
    return time.clock_gettime((~pid << 3) | 2) * 1e3


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
