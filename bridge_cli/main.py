"""The `bridge` command: parses what was asked, calls it, and maps errors to exit codes."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from aws_backend.table_layout import MAX_SHARDS
from bridge_cli import settings_table
from bridge_cli.authorizer_settings import write_authorizer_settings
from bridge_cli.complaint import complain
from bridge_cli.console.server import (
    CONSOLE_PORT,
    ConsoleError,
    check_console_port,
    serve_console,
)
from bridge_cli.demo import run_demo
from bridge_cli.demo_report import print_tables, to_json
from bridge_cli.deploying.clouds_command import keep_clouds
from bridge_cli.deploying.deploy_command import deploy
from bridge_cli.deploying.entra_command import manage_registration
from bridge_cli.deploying.smoke_command import smoke
from bridge_cli.diagnosing.command import doctor
from bridge_cli.explaining.command import TokenlessCommand, TokenlessGroup, explain
from bridge_cli.feed_command import feed_app
from bridge_cli.importing.command import import_file
from bridge_cli.local_client import LocalCallError
from bridge_cli.progress import progress_on
from bridge_cli.sync_run import SyncFailedError
from bridge_cli.syncing.command import sync_app
from bridge_cli.tracing.command import trace
from bridge_cli.up_page import places_of, print_up_page, write_settings_file
from bundling.errors import BundleError
from deployment.aws_account import PreflightError, inspect_account
from emulator.aws.deployment import DeploymentError
from emulator.aws.ministack import MinistackError
from emulator.azurite import AzuriteError
from emulator.entra.errors import EntraStartError
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import HostKind
from emulator.preconditions import StackNotReadyError, check_schedule
from emulator.stack import start_stack
from emulator.stack_folder import FolderError
from emulator.stack_options import RecordStore, StackOptions
from emulator.tenant import LocalCredentialKind
from shared.clock import SystemClock

_CHECKOUT: Final = Path(__file__).resolve().parents[1]
_FAILED: Final = 1
_EXPECTED_ERRORS: Final = (
    AzuriteError,
    BundleError,
    DeploymentError,
    EntraStartError,
    FunctionsHostError,
    LocalCallError,
    MinistackError,
    SyncFailedError,
)
_EVERY_MINUTE: Final = "0 * * * * *"

app = typer.Typer(
    cls=TokenlessGroup,
    help="Code in Azure calls an API in AWS, on your laptop. Nothing leaves the loopback address,"
    " except what `preflight` asks AWS, what `feed` changes there, what `entra` and `deploy` ask"
    " and change, and what `sync`, `import`, `smoke`, `doctor` and `explain` are pointed at.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sync_app, name="sync")
app.command("import")(import_file)
app.add_typer(feed_app, name="feed")
app.command("entra")(manage_registration)
app.command("smoke")(smoke)
app.command("doctor")(doctor)
app.command("deploy")(deploy)
app.command("clouds")(keep_clouds)
app.command("explain", cls=TokenlessCommand)(explain)
app.command("trace")(trace)


def _read_schedule(expression: str) -> str:
    try:
        check_schedule(expression)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
    return expression


FunctionsPort = Annotated[
    int,
    typer.Option(
        min=0, max=65535, metavar="PORT", help="Port of the Function App; 0 takes a free one."
    ),
]
AwsPort = Annotated[
    int, typer.Option(min=0, max=65535, metavar="PORT", help="Port of AWS; 0 takes a free one.")
]
EntraPort = Annotated[
    int,
    typer.Option(min=0, max=65535, metavar="PORT", help="Port of Entra ID; 0 takes a free one."),
]
CredentialOption = Annotated[
    LocalCredentialKind,
    typer.Option(
        metavar="KIND",
        help="How the Function App proves to Entra ID who it is: "
        + ", ".join(credential.value for credential in LocalCredentialKind)
        + ".",
    ),
]
HostOption = Annotated[
    HostKind,
    typer.Option(
        metavar="KIND",
        help="What runs the Function App: core-tools (`func start`), emulated (our own host around"
        " Microsoft's worker library), or auto (the first where it is installed).",
    ),
]
FolderOption = Annotated[
    Path,
    typer.Option(
        help="Where logs, records and keys go, for one stack at a time. Emptied at each start, if a"
        " stack made it."
    ),
]


@app.command()
def demo(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
    credential: CredentialOption = LocalCredentialKind.MANAGED_IDENTITY,
    functions_host: HostOption = "emulated",
    functions_port: FunctionsPort = 0,
    aws_port: AwsPort = 0,
    entra_port: EntraPort = 0,
    folder: FolderOption = Path(".bridge/demo"),
) -> None:
    """Run the whole bridge once, show what it does, and stop it again.

    Some 28,000 real records travel from DynamoDB through API Gateway, token, authorizer and retries
    into SQLite; three changes follow them; a full repeat changes nothing; a proxied call is
    answered; the signing key is rotated; and seven bad calls are refused, each for its own reason.

    Exits with 0 if all of that held, and with 1 otherwise.
    """
    options = StackOptions(
        checkout=_CHECKOUT,
        folder=folder,
        functions_port=functions_port,
        aws_port=aws_port,
        entra_port=entra_port,
        functions_host=functions_host,
        credential=credential,
    )

    async def run() -> int:
        clock = SystemClock()
        with progress_on(Console(stderr=True)) as reporter:
            async with start_stack(options, reporter, clock) as stack:
                report = await run_demo(stack, reporter, clock)
        if as_json:
            print(to_json(report))  # noqa: T201 - the one line that programs read
        else:
            print_tables(report, Console())
        for problem in report.problems:
            complain(problem)
        return _FAILED if report.problems else 0

    _run(run, folder)


@app.command()
def up(
    *,
    credential: CredentialOption = LocalCredentialKind.MANAGED_IDENTITY,
    functions_host: HostOption = "auto",
    functions_port: FunctionsPort = 7071,
    aws_port: AwsPort = 4566,
    entra_port: EntraPort = 8400,
    record_store: Annotated[
        RecordStore,
        typer.Option(
            help="Where the Function App keeps records and checkpoint: in a file, or in Table"
            " Storage on Azurite (run `make azurite` once)."
        ),
    ] = "sqlite",
    schedule: Annotated[
        str,
        typer.Option(
            callback=_read_schedule,
            help="When the sync timer fires: six NCRONTAB fields, in UTC (second minute hour day"
            ' month day-of-week), such as "0 */5 * * * *".',
        ),
    ] = _EVERY_MINUTE,
    sync_fan_out: Annotated[
        bool,
        typer.Option(
            "--sync-fan-out",
            help="Sync shard by shard, by messages in a storage queue on Azurite (run"
            " `make azurite` once), in place of one run over the whole feed.",
        ),
    ] = False,
    without_records: Annotated[
        bool,
        typer.Option(
            "--without-records",
            help="Leave the table empty, for `bridge import`, in place of the world's airports.",
        ),
    ] = False,
    shards: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_SHARDS,
            metavar="N",
            help="How many shards the change feed of the airports gets: more take more writes a"
            " second, by as many writers at once.",
        ),
    ] = 1,
    console_port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Port of the local console, the page that shows the calls; 0 takes a free one.",
        ),
    ] = CONSOLE_PORT,
    no_console: Annotated[
        bool, typer.Option("--no-console", help="Serve no local console.")
    ] = False,
    folder: FolderOption = Path(".bridge/up"),
) -> None:
    """Keep the whole bridge running until Ctrl-C, and print its URLs.

    The local console, the first of them, is a page: it shows calls while they happen, and has
    buttons that break things, so that each promise is seen to hold.

    The sync timer fires every minute. Ready-made curl lines, with fresh tokens, show every way in.
    The Function App's settings are in `local.settings.json` in the folder, for `bridge sync`, and
    the authorizer's in `authorizer.settings.json`, for `bridge explain --local`.

    Exits with 0 after Ctrl-C, and with 1 if it could not start.
    """
    options = StackOptions(
        checkout=_CHECKOUT,
        folder=folder,
        functions_port=functions_port,
        aws_port=aws_port,
        entra_port=entra_port,
        functions_host=functions_host,
        credential=credential,
        record_store=record_store,
        schedule=schedule,
        sync_fan_out=sync_fan_out,
        imports_records=not without_records,
        feed_shards=shards,
    )

    async def run() -> int:
        if not no_console:
            check_console_port(console_port)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        with progress_on(Console(stderr=True)) as reporter:
            stack_is_up = contextlib.AsyncExitStack()
            stack = await stack_is_up.enter_async_context(start_stack(options, reporter))
        async with stack_is_up:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stopped.set)
            write_settings_file(stack)
            write_authorizer_settings(stack)
            console_url = None
            if not no_console:
                console_url = await stack_is_up.enter_async_context(
                    serve_console(stack, places_of(stack), SystemClock(), port=console_port)
                )
            print_up_page(stack, Console(), console_url)
            await stopped.wait()
            Console(stderr=True).print("Stopping.")
        return 0

    _run(run, folder)


@app.command()
def preflight(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of sentences.")
    ] = False,
    region: Annotated[
        str,
        typer.Option(
            envvar="AWS_REGION",
            help="The AWS region to look at, unless your AWS configuration says it.",
        ),
    ] = "",
    profile: Annotated[
        str, typer.Option(help="The profile of your AWS configuration to sign in with.")
    ] = "",
) -> None:
    """Look at your AWS account before the first deployment, and say which parameters it needs.

    It signs in as the AWS command line does, reads three settings and changes nothing.

    Exits with 0 if it could tell, and with 1 otherwise.
    """
    try:
        found = inspect_account(region=region or None, profile=profile or None)
    except PreflightError as error:
        complain(str(error))
        sys.exit(_FAILED)
    print(found.to_json() if as_json else found.to_text())  # noqa: T201 - its output


@app.command()
def settings(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of Markdown tables.")
    ] = False,
) -> None:
    """List every setting of every deployable: what it is for, what is expected, its default.

    Exits with 0.
    """
    print(settings_table.to_json() if as_json else settings_table.to_markdown())  # noqa: T201 - its output


def _run(run: Callable[[], Coroutine[object, object, int]], folder: Path) -> None:
    """Return the run's exit code; an expected error prints one sentence, and where to read more."""
    try:
        code = asyncio.run(run())
    except StackNotReadyError as error:
        for problem in error.problems:
            complain(f"{problem.sentence} ({problem.code})")
        code = _FAILED
    except (ConsoleError, FolderError) as error:
        complain(f"{error} ({error.code})")
        code = _FAILED
    except _EXPECTED_ERRORS as error:
        complain(str(error))
        complain(f"The logs are in {folder / 'logs'}.")
        code = _FAILED
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def main() -> None:
    """Run the command line."""
    app()
