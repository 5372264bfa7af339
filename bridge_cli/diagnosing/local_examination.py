"""An examination from this machine, which ends in time whatever hangs."""

import asyncio
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from azure_function_app.doctor.examination import examine
from azure_function_app.doctor.report import Report
from shared.clock import SystemClock

_LIMIT_SECONDS: Final = 30.0
"""Far beyond what an examination takes, which bounds itself."""
_CLOSING_SECONDS: Final = 0.5
"""How long connections and threads may take to close, once the report is there."""


class ExaminationError(Exception):
    """The examination itself failed, which is a fault of it."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A report, and what is left of its making."""

    report: Report
    hangs: bool
    """Whether a thread is left that Python would wait for at the end: a name look-up that hangs
    cannot be stopped."""


def examine_here(environment: Mapping[str, str]) -> Examined:
    """Return the report on the app that these settings make, run from here.

    The event loop has a daemon thread of its own, because a loop waits at its end for its threads.

    Raises:
        ExaminationError: it failed.

    """
    outcome: queue.SimpleQueue[Report | BaseException] = queue.SimpleQueue()
    before = set(threading.enumerate())

    async def run() -> None:
        outcome.put(await examine(environment, at="laptop", clock=SystemClock()))

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            outcome.put(error)

    examining = threading.Thread(target=work, daemon=True, name="doctor")
    examining.start()
    try:
        found = outcome.get(timeout=_LIMIT_SECONDS)
    except queue.Empty:
        raise ExaminationError("The examination did not end.") from None
    if not isinstance(found, Report):
        raise ExaminationError(
            f"The examination failed ({type(found).__name__}); that is a fault of bridge doctor."
        ) from found
    clock = SystemClock()
    end = clock.monotonic() + _CLOSING_SECONDS
    # What is listed but not yet started cannot be joined.
    left = {thread for thread in set(threading.enumerate()) - before if thread.is_alive()}
    for thread in left:
        thread.join(max(0.0, end - clock.monotonic()))
    # Daemon threads too: those of an executor are waited for all the same.
    return Examined(found, hangs=any(thread.is_alive() for thread in left))
