"""What every contender's program says on its last line: what the load took.

Imports nothing but the standard library, because every contender's environment runs it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

# As long as a real one: some 1,300 characters travel with each request.
MADE_UP_TOKEN = f"{'h' * 100}.{'p' * 858}.{'s' * 342}"


@contextmanager
def measured() -> Iterator[None]:
    """Measure what is done within, from the first connection to the last one closed.

    What it took to import the libraries does not count, their memory does.
    """
    before, started = os.times(), perf_counter()
    yield
    seconds, after = perf_counter() - started, os.times()
    cpu = (after.user + after.system) - (before.user + before.system)
    children = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    print(
        json.dumps(
            {"seconds": seconds, "cpu_seconds": cpu + children, "peak_mib": _read_peak_mib()}
        )
    )


def _read_peak_mib() -> float:
    # Not ru_maxrss: a process inherits that of the one that started it (getrusage(2)).
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024
