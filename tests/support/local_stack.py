"""The local stack for tests: silent, with few records, in a folder of the test run's own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from emulator.functions_host.process import FunctionsHostProcess, start_functions_host
from emulator.stack import LocalStack, start_stack
from emulator.stack_options import StackOptions, function_app_python

CHECKOUT: Final = Path(__file__).parents[2]
RECORD_COUNT: Final = 600
"""More than one page of the change feed."""


class SilentReporter:
    """Shows nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""


@asynccontextmanager
async def running_stack(folder: Path, **options: object) -> AsyncIterator[LocalStack]:
    """The stack on free ports, with few records unless the options say otherwise."""
    defaults: dict[str, object] = {
        "checkout": CHECKOUT,
        "folder": folder,
        "functions_host": "emulated",
        "record_limit": RECORD_COUNT,
    }
    chosen = StackOptions(**(defaults | options))  # type: ignore[arg-type]  # checked by the dataclass's own types at its use
    async with start_stack(chosen, SilentReporter()) as stack:
        yield stack


@asynccontextmanager
async def another_function_app(
    stack: LocalStack, name: str, settings: Mapping[str, str]
) -> AsyncIterator[FunctionsHostProcess]:
    """A second Function App beside the stack's, with these settings over the first one's.

    It takes a free port, keeps records of its own, and logs to `<name>.log`.
    """
    own = {"SQLITE_PATH": str(stack.folder / f"{name}.sqlite3")}
    functions = await start_functions_host(
        CHECKOUT,
        python=function_app_python(CHECKOUT),
        port=0,
        environment={**stack.function_settings, **own, **settings},
        log_file=stack.log_folder / f"{name}.log",
        kind="emulated",
        held_open=(stack.lock,),
    )
    try:
        yield functions
    finally:
        await asyncio.to_thread(functions.stop)
