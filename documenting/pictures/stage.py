"""A running local stack on which commands are shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge_cli.authorizer_settings import write_authorizer_settings
from bridge_cli.local_client import LocalCallError, LocalClient
from bridge_cli.up_page import write_settings_file
from bundling.errors import BundleError
from emulator.aws.deployment import DeploymentError
from emulator.aws.ministack import MinistackError
from emulator.entra.errors import EntraStartError
from emulator.functions_host.errors import FunctionsHostError
from emulator.preconditions import StackNotReadyError
from emulator.stack import LocalStack, start_stack
from emulator.stack_folder import FolderError
from emulator.stack_options import StackOptions
from emulator.stack_parts import Reporter

STAGE_ERRORS: Final = (
    BundleError,
    DeploymentError,
    EntraStartError,
    FolderError,
    FunctionsHostError,
    LocalCallError,
    MinistackError,
    StackNotReadyError,
)
"""What keeps a stack from starting, each with a sentence of its own."""

_RECORDS: Final = 500
FOLDER: Final = Path(".bridge/up")
"""Where `bridge up` would keep it, below the folder that the commands run in."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The stack, and who calls it."""

    stack: LocalStack
    client: LocalClient


@asynccontextmanager
async def open_stage(checkout: Path, folder: Path, reporter: Reporter) -> AsyncIterator[Stage]:
    """Give the block a stack with some records, its settings where `bridge up` writes them."""
    options = StackOptions(
        checkout=checkout,
        folder=folder / FOLDER,
        functions_host="emulated",
        record_limit=_RECORDS,
    )
    async with start_stack(options, reporter) as stack, LocalClient.to(stack) as client:
        write_settings_file(stack)
        write_authorizer_settings(stack)
        yield Stage(stack, client)
