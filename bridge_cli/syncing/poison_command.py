"""`bridge sync poison`: what a person does with the items of the feed that were set aside."""

import json
from typing import Annotated, Final

import typer

from azure_function_app.bootstrap import Services
from azure_function_app.errors import CheckpointConflict
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.poison_replay import (
    ReplayOutcome,
    ReplayReport,
    drop_all_poison,
    replay_poison,
)
from bridge_cli.syncing.invocation import (
    JsonOption,
    LogOption,
    Result,
    SettingsOption,
    failure_to_json,
    finish,
    is_made,
    load_settings_or_exit,
    place_of,
)
from bridge_cli.syncing.poison_view import (
    entries_to_json,
    entries_to_text,
    kept_to_json,
    kept_to_text,
    replay_to_json,
    replay_to_text,
)
from bridge_cli.syncing.run_view import EXIT_CODES

_SOME_UNFIT: Final = 6
_STOPPED: Final = "Stopped. What was done before stays done; the command can be run again."

poison_app = typer.Typer(
    help="List, try again or drop what the sync has set aside, because it is no valid record.",
    no_args_is_help=True,
)


@poison_app.command("list")
def list_entries(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 100,
    after: Annotated[
        str, typer.Option(metavar="KEY", help="Begin after the item of this key.")
    ] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """List what is set aside, with the reason and the key of each item, and without its content.

    Exits with 0 if it could tell, and with 1 otherwise.
    """
    loaded = load_settings_or_exit(settings, as_json=as_json, shows_log=shows_log)

    async def work(services: Services) -> Result:
        found = []
        if is_made(loaded):
            # One more, to see whether there are more.
            found = list(await services.record_sink.list_poison(after=after, limit=limit + 1))
        to_text = entries_to_json if as_json else entries_to_text
        return Result(0, to_text(found[:limit], has_more=len(found) > limit))

    finish(loaded, work, as_json=as_json, when_stopped=_STOPPED)


@poison_app.command()
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The item's key, as `list` shows it.")],
    *,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """Show one item with its content, as it came from the feed.

    Exits with 0 if there is such an item, and with 1 otherwise.
    """
    loaded = load_settings_or_exit(settings, as_json=as_json, shows_log=shows_log)

    async def work(services: Services) -> Result:
        kept = await services.record_sink.get_poison(key) if is_made(loaded) else None
        if kept is None:
            return _unknown([key], as_json=as_json)
        return Result(0, (kept_to_json if as_json else kept_to_text)(kept))

    finish(loaded, work, as_json=as_json, when_stopped=_STOPPED)


@poison_app.command()
def replay(
    *,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """Try everything that is set aside again, by the rules of this version of the app.

    An item leaves when its record is in the store, or could change nothing there. The sync may go
    on meanwhile: an older version never replaces a newer one.

    Exits with 0 if nothing is left, with 6 if some are still unfit, with 4 if a new generation
    began meanwhile (run it again), and with 1 if the store could not be used.
    """
    loaded = load_settings_or_exit(settings, as_json=as_json, shows_log=shows_log)

    async def work(services: Services) -> Result:
        report = ReplayReport({})
        if is_made(loaded):
            try:
                report = await replay_poison(services.record_sink, services.checkpoints)
            except CheckpointConflict as error:
                return _superseded(error, as_json=as_json)
        code = _SOME_UNFIT if report.outcomes.get(ReplayOutcome.UNFIT) else 0
        return Result(code, (replay_to_json if as_json else replay_to_text)(report))

    finish(loaded, work, as_json=as_json, when_stopped=_STOPPED)


@poison_app.command()
def drop(  # noqa: PLR0913 - a command has an argument for each of its options
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", help="Items, as `list` shows them.")
    ] = None,
    *,
    drops_all: Annotated[bool, typer.Option("--all", help="Everything. Asks first.")] = False,
    reason: Annotated[
        str | None, typer.Option(help="With --all: only what is set aside for this very reason.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --all.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    shows_log: LogOption = False,
) -> None:
    """Forget items for good. The feed does not bring them again, unless everything is read again.

    Exits with 0 if all that was named is gone, with 1 if there is no such item or the store could
    not be used, and with 2 for wrong usage.
    """
    if drops_all == bool(keys):
        raise typer.BadParameter("Name the items to drop by their keys, or give --all.")
    if reason is not None and not drops_all:
        raise typer.BadParameter("--reason goes with --all.")
    loaded = load_settings_or_exit(settings, as_json=as_json, shows_log=shows_log)
    if drops_all and not yes:
        _confirm(place_of(loaded), reason, as_json=as_json)

    async def work(services: Services) -> Result:
        dropped, named = 0, list(dict.fromkeys(keys or ()))
        unknown = named
        if is_made(loaded):
            sink = services.record_sink
            if drops_all:
                dropped = await drop_all_poison(sink, reason=reason)
            unknown = [key for key in named if not await sink.drop_poison(key)]
            dropped += len(named) - len(unknown)
        if unknown:
            return _unknown(unknown, as_json=as_json, dropped=dropped)
        return Result(0, json.dumps({"dropped": dropped}) if as_json else f"Dropped {dropped:,}.")

    finish(loaded, work, as_json=as_json, when_stopped=_STOPPED)


def _confirm(place: str, reason: str | None, *, as_json: bool) -> None:
    if as_json:
        raise typer.BadParameter("With --json nobody is asked: give --yes beside --all.")
    what = "everything that is set aside" if reason is None else f"what is set aside for “{reason}”"
    typer.confirm(f"Drop {what} in {place}? It is kept nowhere else.", abort=True, err=True)


def _unknown(keys: list[str], *, as_json: bool, dropped: int = 0) -> Result:
    message = f"Not set aside: {', '.join(keys)}; `bridge sync poison list` shows what is."
    document = {"error_code": "poison_unknown", "message": message, "dropped": dropped}
    if as_json:
        return Result(1, json.dumps(document))
    return Result(1, f"Dropped {dropped:,}." if dropped else "", f"{message} (poison_unknown)")


def _superseded(error: CheckpointConflict, *, as_json: bool) -> Result:
    message = "A new generation began meanwhile: run this again."
    code = EXIT_CODES[SyncStatus.SUPERSEDED]
    if as_json:
        return Result(code, failure_to_json(SyncStatus.SUPERSEDED, error.code, message))
    return Result(code, "", f"{message} ({error.code})")
