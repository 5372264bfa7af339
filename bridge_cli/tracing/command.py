"""`bridge trace`: one call of the local stack, from its logs."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bridge_cli.complaint import complain
from bridge_cli.tracing.advice import is_well
from bridge_cli.tracing.call_view import WIDTH, calls_to_json, print_call, print_list
from bridge_cli.tracing.local_logs import LOGS, MOST_CALLS, LocalLogs

_LISTED: Final = 20


def trace(
    any_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="The x-request-id or x-amzn-requestid of an answer, a decision_id, a trace ID or a"
            " whole traceparent. Without it the newest calls are listed.",
            show_default=False,
        ),
    ] = None,
    *,
    folder: Annotated[
        Path, typer.Option(help="The folder of the stack whose logs are read.")
    ] = Path(".bridge/up"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
) -> None:
    """Show a call as a sequence: who did what, how long it took, and why it was refused.

    It reads what the parts of a local stack have logged, whether the stack still runs or not; a log
    of any size, of which the newest part counts. Every part's lines name the call's trace, so they
    are found by whichever ID is at hand. An answer of the authorizer that API Gateway had kept is
    shown as such, with the call for which it was given. docs/tracing.md says how to ask the clouds
    the same.

    Exits with 0 if the call went well, 1 if it was refused or failed or is not in the logs, and 2
    for wrong usage.
    """
    log_folder = folder / "logs"
    if not any((log_folder / name).exists() for name in LOGS):
        complain(f"There are no logs in {log_folder}: start `bridge up`, or name its --folder.")
        sys.exit(1)
    logs = LocalLogs(log_folder)
    logs.read_new()
    console = Console(width=WIDTH, highlight=False)
    if any_id is None:
        calls = logs.calls()[-_LISTED:]
        if as_json:
            print(calls_to_json(calls))  # noqa: T201 - the command's output
        else:
            print_list(calls, console)
        return
    found = logs.find_all(any_id)
    if as_json:
        print(calls_to_json(found))  # noqa: T201 - the command's output
    if not found:
        complain(
            f"None of the newest calls in {log_folder} has this ID; up to {MOST_CALLS} are kept."
            " `bridge trace` lists them."
        )
        sys.exit(1)
    if not as_json:
        for number, call in enumerate(reversed(found)):
            if number:
                console.rule()
            print_call(call, console)
    sys.exit(0 if all(map(is_well, found)) else 1)
