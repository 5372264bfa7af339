"""`bridge sync` and its subcommands: what can be asked for, and with what each ends."""

from collections.abc import Mapping, Sequence
from copy import replace
from itertools import count
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from azure_function_app.bootstrap import Services
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError, CheckpointConflict, FeedMissing
from azure_function_app.fan_out.plan import NO_FEED_ANY_MORE
from azure_function_app.settings import Settings
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    CheckpointStore,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.record_view import HeldVersion
from azure_function_app.sync.sync_job import SyncJob
from bridge_cli.syncing.dry_run import preview_run
from bridge_cli.syncing.invocation import (
    JsonOption,
    LogOption,
    Result,
    SettingsOption,
    explain,
    failure_to_json,
    finish,
    is_made,
    load_settings_or_exit,
    place_of,
)
from bridge_cli.syncing.poison_command import poison_app
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
from bridge_cli.syncing.starting_point import (
    Start,
    StartingPoint,
    begin_at,
    check_cursor,
    load_present,
    load_shards,
    move_checkpoint,
    move_plan,
)
from bridge_cli.syncing.watched_source import OnPage, WatchedShards, WatchedSource

sync_app = typer.Typer(
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
sync_app.add_typer(poison_app, name="poison")


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
    accepts: Annotated[
        bool,
        typer.Option(
            "--accept-deletions",
            help="Let the sweep that is held mark as deleted what the new feed lacks. The word is"
            " for this generation only.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --reset.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """Run the Function App's sync job once, from here, into the store that its settings name.

    With SYNC_FAN_OUT on it plans and reads the shards itself, one after the other, without a queue.

    It has the same settings, the same checkpoint and the same fence as the timer's runs: of two
    that overlap, one goes on and the other ends as superseded. Ctrl-C ends it like any failure:
    what was checkpointed stays done, and the next run goes on from there.

    Exits with 0 if the end of the feed was reached (complete), 1 if the run failed or could not
    begin, 2 for wrong usage, 3 if its time was up first (paused: run it again), 4 if another run
    took over (superseded), 5 if more would be deleted than may be unasked, so that nothing was
    (held: --accept-deletions), and 130 after Ctrl-C.
    """
    if context.invoked_subcommand is not None:
        _refuse_own_options(context, context.invoked_subcommand)
        return
    point = _starting_point(
        full=full, reset=reset, from_cursor=from_cursor, accepts=accepts, dry_run=dry_run
    )
    loaded = load_settings_or_exit(settings, as_json=as_json, shows_log=shows_log)
    if point.start is Start.GENERATION and not (dry_run or yes):
        _confirm_reset(loaded, as_json=as_json)

    async def work(services: Services) -> Result:
        with showing_progress(
            Console(stderr=True), services.sync_job.clock, is_shown=not as_json
        ) as on_page:
            if dry_run:
                return await _preview(services, loaded, point, on_page, as_json=as_json)
            return await _run_once(services, point, on_page, as_json=as_json)

    finish(loaded, work, as_json=as_json)


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
    loaded = load_settings_or_exit(settings, as_json=as_json, shows_log=shows_log)

    async def work(services: Services) -> Result:
        checkpoint = BEGINNING
        runs: Sequence[SyncReport] = ()
        shards: Mapping[int, Checkpoint] | None = None
        if is_made(loaded):
            checkpoint = await services.checkpoints.load()
            runs = await services.checkpoints.load_reports()
            if services.sharded_sync is not None:
                shards = await load_shards(services.checkpoints, checkpoint.generation)
        to_text = state_to_json if as_json else state_to_text
        return Result(0, to_text(place_of(loaded), checkpoint, runs, shards))

    finish(loaded, work, as_json=as_json)


async def _run_once(
    services: Services, point: StartingPoint, on_page: OnPage, *, as_json: bool
) -> Result:
    run_id = str(uuid4())
    try:
        report = await _report_of(services, point, on_page, run_id)
    except CheckpointConflict as error:
        message = (
            "Another run moved the checkpoint at the same moment: try again when it has ended."
        )
        code = EXIT_CODES[SyncStatus.SUPERSEDED]
        if as_json:
            return Result(code, failure_to_json(SyncStatus.SUPERSEDED, error.code, message))
        return Result(code, "", f"{message} Nothing was changed. ({error.code})")
    except BridgeError as error:
        saved = await _saved_report(services.checkpoints, run_id)
        if saved is None:
            raise
        code, message = EXIT_CODES[saved.status], explain(error)
        if as_json:
            return Result(code, report_to_json(saved, message=message))
        return Result(code, report_to_text(saved), message)
    to_text = report_to_json if as_json else report_to_text
    return Result(EXIT_CODES[report.status], to_text(report))


async def _report_of(
    services: Services, point: StartingPoint, on_page: OnPage, run_id: str
) -> SyncReport:
    job = _watched(services.sync_job, on_page, run_id)
    sharded_sync = services.sharded_sync
    if sharded_sync is None:
        await move_checkpoint(job, services.checkpoints, services.record_view, point)
        return await job.run()
    await move_plan(job, services.checkpoints, services.record_view, point)
    numbers = count(1)
    return await replace(
        sharded_sync,
        source=WatchedShards(sharded_sync.source, on_page),
        # Each shard's run has a report of its own.
        new_run_id=lambda: f"{run_id}.{next(numbers)}",
    ).run_here()


async def _preview(
    services: Services, settings: Settings, point: StartingPoint, on_page: OnPage, *, as_json: bool
) -> Result:
    job = _watched(services.sync_job, on_page, "dry-run")
    view = services.record_view if is_made(settings) else _NothingHeld()
    await check_cursor(job, point)
    present = await load_present(services.checkpoints, view) if is_made(settings) else BEGINNING
    start = await begin_at(point, present, view)
    if services.sharded_sync is not None:
        # Shards that stand at different places are compared as a whole, from the beginning.
        deadline = Deadline.after(job.page_seconds, job.clock)
        listing = await services.sharded_sync.source.shards(deadline=deadline)
        if listing is None and present != BEGINNING:
            raise FeedMissing(NO_FEED_ANY_MORE)
        feed = listing.feed if listing else ""
        is_other = present != BEGINNING and present.cursor not in {"", feed}
        start = replace(start, cursor="")
        if is_other and not start.is_rereading:
            start = replace(start, generation=start.generation + 1, is_rereading=True)
    preview = await preview_run(job, view, start)
    to_text = preview_to_json if as_json else preview_to_text
    return Result(EXIT_CODES[preview.status], to_text(preview))


def _watched(job: SyncJob, on_page: OnPage, run_id: str) -> SyncJob:
    return replace(job, source=WatchedSource(job.source, on_page), new_run_id=lambda: run_id)


def _starting_point(
    *, full: bool, reset: bool, from_cursor: str | None, accepts: bool, dry_run: bool
) -> StartingPoint:
    if accepts and dry_run:
        raise typer.BadParameter(
            "--dry-run says how many would be deleted, and accepts nothing: leave out"
            " --accept-deletions."
        )
    chosen = [
        point
        for is_chosen, point in (
            (full, StartingPoint(Start.BEGINNING)),
            (reset, StartingPoint(Start.GENERATION)),
            (from_cursor is not None, StartingPoint(Start.CURSOR, from_cursor or "")),
            (accepts, StartingPoint(Start.HELD_SWEEP)),
        )
        if is_chosen
    ]
    if len(chosen) > 1:
        raise typer.BadParameter(
            "Choose one of --full, --reset and --from, or --accept-deletions: a run begins once."
        )
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
        f"Read everything again into {place_of(settings)}, and in the end mark as deleted what the"
        " source lacks?",
        abort=True,
        err=True,
    )


async def _saved_report(checkpoints: CheckpointStore, run_id: str) -> SyncReport | None:
    """Return the report that this very run has saved, if it could."""
    try:
        reports = await checkpoints.load_reports()
    except BridgeError:
        return None
    return next((report for report in reports if report.run_id.partition(".")[0] == run_id), None)


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
