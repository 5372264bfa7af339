"""A program that reads one page of an API's change feed, and says what that took.

Its arguments: the API's address, and the seconds that the call may take. It prints the error's
code, the peak of its memory in MiB, and its CPU seconds.
"""

import asyncio
import json
import resource
import secrets
import sys
import time
from pathlib import Path

from azure_function_app.call_trace import Tracer
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError
from azure_function_app.sync.change_feed import ChangeFeed
from shared.clock import SystemClock
from tests.support.calling import real_api

LAST_RESORT_BYTES = 2 * 1024**3
"""Of address space, so that code without a bound harms nobody else on the machine."""


def peak_mib() -> float:
    """The most memory that this process has held.

    `getrusage` counts what the parent held when it forked.
    """
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        if line.startswith("VmHWM:")
    )
    return int(line.split()[1]) / 1024


async def main(url: str, seconds: float) -> None:
    """Read once."""
    code = None
    started = time.process_time()
    async with real_api(url) as api:
        try:
            clock = SystemClock()
            deadline = Deadline.after(seconds, clock)
            await ChangeFeed(api, clock, Tracer(secrets.token_hex)).changes(
                "", limit=1_000, deadline=deadline
            )
        except BridgeError as error:
            code = error.code
        except MemoryError:
            code = "memory_error"
    report = {
        "code": code,
        "peak_mib": peak_mib(),
        "cpu_seconds": time.process_time() - started,
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (LAST_RESORT_BYTES, LAST_RESORT_BYTES))
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
