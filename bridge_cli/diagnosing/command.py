"""`bridge doctor`: what can be asked for, and with what it ends."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bridge_cli.diagnosing.doctor_view import print_report, to_json
from bridge_cli.diagnosing.local_examination import examine_here
from bridge_cli.syncing.settings import load_app_environment
from emulator.functions_host.errors import FunctionsHostError

_EXIT_CODES: Final = {"well": 0, "ill": 1, "unsure": 3}


def doctor(
    *,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="FILE",
            help="A file such as the local.settings.json that `bridge up` writes, which then counts"
            " before the environment. By default the environment, and for what that does not set"
            " local.settings.json in this folder.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Examine the way from this app to the API, and name what is wrong and what to change.

    Exits with 0 if all is well, 1 if something is wrong, 2 for wrong usage, and 3 if nothing is
    wrong and something could not be checked.
    """
    try:
        environment = load_app_environment(settings)
    except FunctionsHostError as error:
        raise typer.BadParameter(str(error), param_hint="--settings") from None
    report = json.loads(examine_here(environment).to_json())
    if as_json:
        print(to_json(report))  # noqa: T201 - its output
    else:
        print_report(report, Console())
    sys.exit(_EXIT_CODES.get(report["verdict"], 1))
