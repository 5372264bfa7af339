"""`bridge clouds`: empty clouds on this machine, for a rehearsal of the deployment."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bridge_cli.complaint import complain
from bridge_cli.progress import progress_on
from emulator.aws.ministack import MinistackError
from emulator.azure.errors import LocalAzureError
from emulator.azurite import AzuriteError
from emulator.clouds import CloudsOptions, LocalClouds, start_clouds
from emulator.entra.errors import EntraStartError
from emulator.preconditions import StackNotReadyError
from emulator.stack_folder import FolderError

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_FAILED: Final = 1
_INTERRUPTED: Final = 130
_EXPECTED_ERRORS: Final = (AzuriteError, EntraStartError, LocalAzureError, MinistackError)

Port = Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes a free one.")]


def keep_clouds(
    *,
    folder: Annotated[
        Path,
        typer.Option(
            help="Where logs, keys and packages go, for one set of clouds at a time. Emptied at"
            " each start, if the bridge made it."
        ),
    ] = Path(".bridge/clouds"),
    entra_port: Port = 0,
    aws_port: Port = 0,
    azure_port: Port = 0,
) -> None:
    """Keep empty local clouds running until Ctrl-C, for a rehearsal of the deployment.

    Entra ID without a registration, AWS without a stack, Azure without a resource:
    `bridge deploy --local` finds them by `clouds.json` in the folder. What is deployed there is
    gone when they end.

    Exits with 0 after Ctrl-C, and with 1 if they could not start.
    """
    options = CloudsOptions(
        checkout=_CHECKOUT,
        folder=folder,
        entra_port=entra_port,
        aws_port=aws_port,
        azure_port=azure_port,
    )
    try:
        asyncio.run(_keep_until_stopped(options))
    except StackNotReadyError as error:
        for problem in error.problems:
            complain(f"{problem.sentence} ({problem.code})")
        sys.exit(_FAILED)
    except FolderError as error:
        complain(f"{error} ({error.code})")
        sys.exit(_FAILED)
    except _EXPECTED_ERRORS as error:
        complain(str(error))
        complain(f"The logs are in {folder / 'logs'}.")
        sys.exit(_FAILED)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


async def _keep_until_stopped(options: CloudsOptions) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    with progress_on(Console(stderr=True)) as reporter:
        clouds_are_up = contextlib.AsyncExitStack()
        clouds = await clouds_are_up.enter_async_context(start_clouds(options, reporter))
    async with clouds_are_up:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        _print_places(clouds, Console())
        await stopped.wait()
        Console(stderr=True).print("Stopping.")


def _print_places(clouds: LocalClouds, console: Console) -> None:
    for name, place in (
        ("Entra ID", clouds.entra.authority),
        ("AWS", clouds.aws.endpoint_url),
        ("Azure", clouds.azure.url),
        ("where they are", str(clouds.clouds_file)),
        ("logs", str(clouds.folder / "logs")),
    ):
        # Never wrapped or cut: it is there to be copied.
        console.print(f"{name:14} {place}", soft_wrap=True, highlight=False)
    console.print(
        "Deploy to them: bridge deploy --local --env dev. Ctrl-C ends them, with all of it."
    )
