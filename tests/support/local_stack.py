"""The local stack for tests: silent, with few records, in a folder of the test run's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from emulator.stack import LocalStack, start_stack
from emulator.stack_options import StackOptions

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
