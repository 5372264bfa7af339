"""`bridge sync` and its subcommands: what can be asked for, and with what each ends."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from copy import replace
from pathlib import Path
from typing import Annotated, Final, NamedTuple, NoReturn, assert_never
from uuid import uuid4

import typer
from rich.console import Console

from azure_function_app.bootstrap import Services, ServicesPerLoop
from azure_function_app.errors import BridgeError, CheckpointConflict, TokenRefused
from azure_function_app.settings import Settings, SqliteSettings, TableSettings
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    CheckpointStore,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.record_view import HeldVersion
from azure_function_app.sync.sync_job import SyncJob
from bridge_cli.complaint import complain
from bridge_cli.syncing.dry_run import preview_run
from bridge_cli.syncing.run_progress import showing_progress
from bridge_cli.syncing.run_view import (
    EXIT_CODES,
    preview_to_json,
    preview_to_text,
    report_to_json,
    report_to_text,
    state_to_json,
    state_to_text,
)
from bridge_cli.syncing.settings import load_app_settings
from bridge_cli.syncing.starting_point import (
    Start,
    StartingPoint,
    StartingPointError,
    check_cursor,
    load_present,
    move_checkpoint,
)
from bridge_cli.syncing.watched_source import OnPage, WatchedSource
from emulator.functions_host.errors import FunctionsHostError
from shared.clock import SystemClock
from shared.log import JsonLines
from shared.settings_reader import SettingsError

_INTERRUPTED: Final = 130

sync_app = typer.Typer(
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
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


@sync_app.callback(invoke_without_command=True)
def sync(  # noqa: PLR0913 - a command has an argument for each of its options
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Only say what a run would change: no record, no checkpoint and no report is"
            " written.",
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Read everything again from the beginning. What is held in the same version stays"
            " as it is, and nothing is deleted.",
        ),
    ] = False,
    reset: Annotated[
        bool,
        typer.Option(
            "--reset",
            help="Begin a new generation: read everything again, replace everything, and in the end"
            " mark as deleted what the source lacks. Asks first.",
        ),
    ] = False,
    from_cursor: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="CURSOR",
            help="Go on from this cursor, once the API has taken it. Changes between it and the"
            " checkpoint are skipped, or read again.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --reset.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """Run the Function App's sync job once, from here, into the store that its settings name.

    It has the same settings, the same checkpoint and the same fence as the timer's runs: of two
    that overlap, one goes on and the other ends as superseded. Ctrl-C ends it like any failure:
    what was checkpointed stays done, and the next run goes on from there.

    Exits with 0 if the end of the feed was reached (complete), 1 if the run failed or could not
    begin, 2 for wrong usage, 3 if its time was up first (paused: run it again), 4 if another run
    took over (superseded), and 130 after Ctrl-C.
    """
    if context.invoked_subcommand is not None:
        _refuse_own_options(context, context.invoked_subcommand)
        return
    point = _starting_point(full=full, reset=reset, from_cursor=from_cursor)
    loaded = _load(settings, as_json=as_json, shows_log=shows_log)
    if point.start is Start.GENERATION and not (dry_run or yes):
        _confirm_reset(loaded, as_json=as_json)

    async def work(services: Services) -> _Result:
        with showing_progress(
            Console(stderr=True), services.sync_job.clock, is_shown=not as_json
        ) as on_page:
            if dry_run:
                return await _preview(services, loaded, point, on_page, as_json=as_json)
            return await _run_once(services, point, on_page, as_json=as_json)

    _finish(loaded, work, as_json=as_json)


@sync_app.command()
def status(
    *,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """Show the checkpoint, the runs that the store remembers, and when one last succeeded.

    It only looks, and calls no API. Exits with 0 if it could tell, and with 1 otherwise.
    """
    loaded = _load(settings, as_json=as_json, shows_log=shows_log)

    async def work(services: Services) -> _Result:
        checkpoint = BEGINNING
        runs: Sequence[SyncReport] = ()
        if _is_made(loaded):
            checkpoint = await services.checkpoints.load()
            runs = await services.checkpoints.load_reports()
        to_text = state_to_json if as_json else state_to_text
        return _Result(0, to_text(_place(loaded), checkpoint, runs))

    _finish(loaded, work, as_json=as_json)


class _Result(NamedTuple):
    """With what a command ends; it is shown when the progress is off the screen."""

    code: int
    output: str
    complaint: str | None = None


async def _run_once(
    services: Services, point: StartingPoint, on_page: OnPage, *, as_json: bool
) -> _Result:
    run_id = str(uuid4())
    job = _watched(services.sync_job, on_page, run_id)
    try:
        await move_checkpoint(job, services.checkpoints, services.record_view, point)
        report = await job.run()
    except CheckpointConflict as error:
        message = (
            "Another run moved the checkpoint at the same moment: try again when it has ended."
        )
        code = EXIT_CODES[SyncStatus.SUPERSEDED]
        if as_json:
            return _Result(code, _failure_to_json(SyncStatus.SUPERSEDED, error.code, message))
        return _Result(code, "", f"{message} Nothing was changed. ({error.code})")
    except BridgeError as error:
        saved = await _saved_report(services.checkpoints, run_id)
        if saved is None:
            raise
        code, message = EXIT_CODES[saved.status], _explain(error)
        if as_json:
            return _Result(code, report_to_json(saved, message=message))
        return _Result(code, report_to_text(saved), message)
    to_text = report_to_json if as_json else report_to_text
    return _Result(EXIT_CODES[report.status], to_text(report))


async def _preview(
    services: Services, settings: Settings, point: StartingPoint, on_page: OnPage, *, as_json: bool
) -> _Result:
    job = _watched(services.sync_job, on_page, "dry-run")
    view = services.record_view if _is_made(settings) else _NothingHeld()
    await check_cursor(job, point)
    present = await load_present(services.checkpoints, view) if _is_made(settings) else BEGINNING
    preview = await preview_run(job, view, point.applied_to(present))
    to_text = preview_to_json if as_json else preview_to_text
    return _Result(EXIT_CODES[preview.status], to_text(preview))


def _watched(job: SyncJob, on_page: OnPage, run_id: str) -> SyncJob:
    return replace(job, source=WatchedSource(job.source, on_page), new_run_id=lambda: run_id)


def _starting_point(*, full: bool, reset: bool, from_cursor: str | None) -> StartingPoint:
    chosen = [
        point
        for is_chosen, point in (
            (full, StartingPoint(Start.BEGINNING)),
            (reset, StartingPoint(Start.GENERATION)),
            (from_cursor is not None, StartingPoint(Start.CURSOR, from_cursor or "")),
        )
        if is_chosen
    ]
    if len(chosen) > 1:
        raise typer.BadParameter("Choose one of --full, --reset and --from: a run begins once.")
    return chosen[0] if chosen else StartingPoint()


def _refuse_own_options(context: typer.Context, subcommand: str) -> None:
    """Raise UsageError if an option stands before the subcommand, which would not hear of it."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"{parameter.opts[0]} is before `{subcommand}`: put it after, as in"
                f" `bridge sync {subcommand} {parameter.opts[0]}`, if `{subcommand}` has it."
            )


def _confirm_reset(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        raise typer.BadParameter("With --json nobody is asked: give --yes beside --reset.")
    typer.confirm(
        f"Read everything again into {_place(settings)}, and in the end mark as deleted what the"
        " source lacks?",
        abort=True,
        err=True,
    )


def _load(file: Path | None, *, as_json: bool, shows_log: bool) -> Settings:
    """Return the settings; where they are not usable, say why and exit."""
    _configure_logging(shows_log=shows_log)
    try:
        return load_app_settings(file)
    except FunctionsHostError as error:
        _exit_failed("settings_file_invalid", [str(error)], as_json=as_json)
    except SettingsError as error:
        problems = [f"{problem}." for problem in error.problems]
        hint = "Set this in the environment or in a local.settings.json (--settings FILE)."
        _exit_failed(error.code, [*problems, hint], as_json=as_json)


def _configure_logging(*, shows_log: bool) -> None:
    # Without any handler, logging would print warnings by itself.
    handler: logging.Handler = logging.NullHandler()
    if shows_log:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logging.getLogger("azure_function_app").setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)


def _finish(
    settings: Settings,
    work: Callable[[Services], Coroutine[object, object, _Result]],
    *,
    as_json: bool,
) -> NoReturn:
    """Do the work with the Function App's services, and exit with its code."""
    # It closes what it has built when nobody holds it any more.
    app = ServicesPerLoop(lambda: settings, SystemClock())

    async def run() -> _Result:
        return await work(await app.get())

    try:
        result = asyncio.run(run())
    except BridgeError as error:
        _exit_failed(error.code, [_explain(error)], as_json=as_json)
    except StartingPointError as error:
        _exit_failed(error.code, [f"{error} ({error.code})"], as_json=as_json)
    except KeyboardInterrupt:
        message = (
            "Stopped. What was checkpointed before stays done, and the next run goes on from there."
        )
        _exit_failed("cancelled", [message], as_json=as_json, code=_INTERRUPTED)
    if result.output:
        _print(result.output)
    if result.complaint:
        complain(result.complaint)
    sys.exit(result.code)


def _exit_failed(error_code: str, messages: list[str], *, as_json: bool, code: int = 1) -> NoReturn:
    if as_json:
        _print(_failure_to_json(SyncStatus.FAILED, error_code, " ".join(messages)))
    else:
        for message in messages:
            complain(message)
    sys.exit(code)


def _failure_to_json(status: SyncStatus, error_code: str, message: str) -> str:
    return json.dumps({"status": status, "error_code": error_code, "message": message})


async def _saved_report(checkpoints: CheckpointStore, run_id: str) -> SyncReport | None:
    """Return the report that this very run has saved, if it could."""
    try:
        reports = await checkpoints.load_reports()
    except BridgeError:
        return None
    return next((report for report in reports if report.run_id == run_id), None)


def _explain(error: BridgeError) -> str:
    sentence = f"{error} ({error.code})"
    advice = error.evidence.get("advice") if isinstance(error, TokenRefused) else None
    return f"{sentence} What to do: {advice}." if advice else sentence


class _NothingHeld:
    """What a store that has not been made yet holds."""

    async def held_versions(self, _record_ids: Sequence[str]) -> Mapping[str, HeldVersion]:
        """Return nothing."""
        return {}

    async def count_live(self, *, before: int) -> int:  # noqa: ARG002 - the protocol names it
        """Return 0."""
        return 0

    async def newest_generation(self) -> int:
        """Return 0."""
        return 0


def _is_made(settings: Settings) -> bool:
    """Whether there is a store to look into: opening a SQLite file would make it."""
    store = settings.checkpoint_store
    return not isinstance(store, SqliteSettings) or Path(store.path).exists()


def _place(settings: Settings) -> str:
    match settings.checkpoint_store:
        case SqliteSettings(path=path):
            return path
        case TableSettings(endpoint=endpoint):
            return endpoint
        case other:
            assert_never(other)


def _print(text: str) -> None:
    print(text)  # noqa: T201 - the command's output
