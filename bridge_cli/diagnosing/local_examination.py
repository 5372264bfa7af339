"""An examination from this machine, which ends in time whatever hangs."""

import asyncio
import queue
import threading
from collections.abc import Mapping
from typing import Final

from azure_function_app.doctor.examination import examine
from azure_function_app.doctor.report import Report
from shared.clock import SystemClock

_LIMIT_SECONDS: Final = 30.0
"""Far beyond what an examination takes, which bounds itself."""


class ExaminationError(Exception):
    """The examination itself failed, which is a fault of it."""


def examine_here(environment: Mapping[str, str]) -> Report:
    """Return the report on the app that these settings make, run from here.

    A name look-up that hangs cannot be stopped, and an event loop waits at its end for its threads;
    so the loop has a daemon thread, and nobody waits for its end.

    Raises:
        ExaminationError: it failed.

    """
    outcome: queue.SimpleQueue[Report | BaseException] = queue.SimpleQueue()

    async def run() -> None:
        outcome.put(await examine(environment, at="laptop", clock=SystemClock()))

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            outcome.put(error)

    threading.Thread(target=work, daemon=True, name="doctor").start()
    try:
        found = outcome.get(timeout=_LIMIT_SECONDS)
    except queue.Empty:
        raise ExaminationError("The examination did not end.") from None
    if isinstance(found, Report):
        return found
    raise ExaminationError(
        f"The examination failed ({type(found).__name__}); that is a fault of bridge doctor."
    ) from found
