"""What each command of `bridge sync` begins and ends with: settings, services, exit codes."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Final, NamedTuple, NoReturn, assert_never

import typer

from azure_function_app.bootstrap import Services, ServicesPerLoop
from azure_function_app.errors import BridgeError, TokenRefused
from azure_function_app.settings import PostgresSettings, Settings, SqliteSettings, TableSettings
from azure_function_app.sync.checkpoint_store import SyncStatus
from bridge_cli.complaint import complain
from bridge_cli.syncing.settings import load_app_settings
from bridge_cli.syncing.starting_point import StartingPointError
from emulator.functions_host.errors import FunctionsHostError
from shared.clock import SystemClock
from shared.log import JsonLines
from shared.settings_reader import SettingsError

INTERRUPTED: Final = 130
STOPPED_RUN: Final = (
    "Stopped. What was checkpointed before stays done, and the next run goes on from there."
)

SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        metavar="FILE",
        help="A file such as the local.settings.json that `bridge up` writes, which then counts"
        " before the environment. By default the environment, and for what that does not set"
        " local.settings.json in this folder, as with `func start`.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of sentences.")
]
LogOption = Annotated[
    bool, typer.Option("--log", help="Write the Function App's log lines to standard error.")
]


class Result(NamedTuple):
    """With what a command ends; it is shown when the progress is off the screen."""

    code: int
    output: str
    complaint: str | None = None


def load_settings_or_exit(file: Path | None, *, as_json: bool, shows_log: bool) -> Settings:
    """Return the settings; where they are not usable, say why and exit."""
    _configure_logging(shows_log=shows_log)
    try:
        return load_app_settings(file)
    except FunctionsHostError as error:
        exit_failed("settings_file_invalid", [str(error)], as_json=as_json)
    except SettingsError as error:
        problems = [f"{problem}." for problem in error.problems]
        hint = "Set this in the environment or in a local.settings.json (--settings FILE)."
        exit_failed(error.code, [*problems, hint], as_json=as_json)


def _configure_logging(*, shows_log: bool) -> None:
    # Without any handler, logging would print warnings by itself.
    handler: logging.Handler = logging.NullHandler()
    if shows_log:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logging.getLogger("azure_function_app").setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)


def finish(
    settings: Settings,
    work: Callable[[Services], Coroutine[object, object, Result]],
    *,
    as_json: bool,
    when_stopped: str = STOPPED_RUN,
) -> NoReturn:
    """Do the work with the Function App's services, and exit with its code."""
    # It closes what it has built when nobody holds it any more.
    app = ServicesPerLoop(lambda: settings, SystemClock())

    async def run() -> Result:
        with app.tracer.serving(app.tracer.new_request_id()):
            return await work(await app.get())

    try:
        result = asyncio.run(run())
    except BridgeError as error:
        exit_failed(error.code, [explain(error)], as_json=as_json)
    except StartingPointError as error:
        exit_failed(error.code, [f"{error} ({error.code})"], as_json=as_json)
    except KeyboardInterrupt:
        exit_failed("cancelled", [when_stopped], as_json=as_json, code=INTERRUPTED)
    if result.output:
        _print(result.output)
    if result.complaint:
        complain(result.complaint)
    sys.exit(result.code)


def exit_failed(error_code: str, messages: list[str], *, as_json: bool, code: int = 1) -> NoReturn:
    """Say why there is no result, and exit."""
    if as_json:
        _print(failure_to_json(SyncStatus.FAILED, error_code, " ".join(messages)))
    else:
        for message in messages:
            complain(message)
    sys.exit(code)


def failure_to_json(status: SyncStatus, error_code: str, message: str) -> str:
    """Return as one line of JSON what ended the command."""
    return json.dumps({"status": status, "error_code": error_code, "message": message})


def explain(error: BridgeError) -> str:
    """Return what went wrong, with its code, and what to do where that is known."""
    sentence = f"{error} ({error.code})"
    advice = error.evidence.get("advice") if isinstance(error, TokenRefused) else None
    return f"{sentence} What to do: {advice}." if advice else sentence


def is_made(settings: Settings) -> bool:
    """Return whether there is a store to look into: opening a SQLite file would make it."""
    store = settings.checkpoint_store
    return not isinstance(store, SqliteSettings) or Path(store.path).exists()


def place_of(settings: Settings) -> str:
    """Return where the store is, as its setting says it."""
    match settings.checkpoint_store:
        case SqliteSettings(path=path):
            return path
        case TableSettings(endpoint=endpoint):
            return endpoint
        case PostgresSettings(host=host, port=port, database=database):
            return f"{host}:{port}/{database}"
        case other:
            assert_never(other)


def _print(text: str) -> None:
    print(text)  # noqa: T201 - the command's output
