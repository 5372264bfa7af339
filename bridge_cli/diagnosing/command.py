"""`bridge doctor`: what can be asked for, and with what it ends."""

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from azure_function_app.doctor.report import Report
from bridge_cli.complaint import complain
from bridge_cli.deploying.smoke_command import read_keys
from bridge_cli.diagnosing.decisions import (
    CloudWatchDecisions,
    LogUnreadableError,
    decision_of,
    needs_the_log,
    read_file,
    with_decision,
)
from bridge_cli.diagnosing.deployed_app import DeployedAppError, check_url, fetch_report
from bridge_cli.diagnosing.doctor_view import print_report, to_json
from bridge_cli.diagnosing.local_examination import ExaminationError, Examined, examine_here
from bridge_cli.syncing.settings import load_app_environment
from emulator.functions_host.errors import FunctionsHostError

_EXIT_CODES: Final = {"well": 0, "ill": 1, "unsure": 3}
_FAILED: Final = 1


def doctor(  # noqa: PLR0913 - a command has an argument for each of its options
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
    url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Ask a deployed Function App to examine itself, in place of examining from here:"
            " https://APP.azurewebsites.net. Needs --keys.",
        ),
    ] = "",
    keys: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="That app's keys as `az functionapp keys list` prints them; - reads them from"
            " standard input, so that no file has to hold them.",
        ),
    ] = "",
    authorizer_log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The lambda.log of the local stack: where the API refuses without a word, the"
            " authorizer's reason is taken from there.",
        ),
    ] = None,
    stack_name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The CloudFormation stack, whose authorizer's log in CloudWatch is read in the"
            " same way, with your own AWS sign-in.",
        ),
    ] = "",
    region: Annotated[str, typer.Option(envvar="AWS_REGION", help="The stack's AWS region.")] = "",
    profile: Annotated[
        str, typer.Option(help="The profile of your AWS configuration to sign in with.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Examine the way from the Function App to the API, and name what is wrong and what to change.

    It has the app's own settings, credential, transport and store, and takes less than five
    seconds: it checks the settings, asks for a token and compares it with the contract, reads the
    issuer's documents and the API's metadata, makes one real call that changes nothing, and writes
    to the store a row that it deletes again. What follows from another failure is not called one.

    It shows no token, no secret and nothing about a person.

    Exits with 0 if all is well, 1 if something is wrong, 2 for wrong usage, and 3 if nothing is
    wrong and something could not be checked.
    """
    hangs = False
    if url or keys:
        _refuse_beside_url(url, keys, settings, authorizer_log, stack_name)
        members = _of_deployed_app(url, keys)
    else:
        examined = _examine(settings)
        hangs = examined.hangs
        report = _explained(examined.report, authorizer_log, stack_name, region, profile)
        members = json.loads(report.to_json())
    if as_json:
        print(to_json(members))  # noqa: T201 - its output
    else:
        print_report(members, Console())
    code = _EXIT_CODES.get(str(members["verdict"]), _FAILED)
    if hangs:
        # Python would wait for a name look-up that hangs, which cannot be stopped.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _refuse_beside_url(
    url: str, keys: str, settings: Path | None, authorizer_log: Path | None, stack_name: str
) -> None:
    if not url or not keys:
        raise typer.BadParameter("--url and --keys belong together.", param_hint="--url")
    if settings is not None or authorizer_log is not None or stack_name:
        raise typer.BadParameter(
            "the app examines itself by its own settings: leave out --settings, --authorizer-log"
            " and --stack-name.",
            param_hint="--url",
        )


def _of_deployed_app(url: str, keys: str) -> Mapping[str, Any]:
    try:
        checked = check_url(url)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--url") from None
    master = read_keys(keys).master
    if master is None:
        raise typer.BadParameter("there is no master key among them.", param_hint="--keys")
    try:
        return fetch_report(checked, master)
    except DeployedAppError as error:
        complain(str(error))
        sys.exit(_FAILED)


def _examine(settings: Path | None) -> Examined:
    # Without any handler, the Azure SDK's warnings would go to standard error, as they are.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        environment = load_app_environment(settings)
    except FunctionsHostError as error:
        raise typer.BadParameter(str(error), param_hint="--settings") from None
    try:
        return examine_here(environment)
    except ExaminationError as error:
        complain(str(error))
        sys.exit(_FAILED)


def _explained(
    report: Report, file: Path | None, stack_name: str, region: str, profile: str
) -> Report:
    """Return the report with the authorizer's own reason, if a log is to be read and has one."""
    if report.call is None or not needs_the_log(report) or not (file or stack_name):
        return report
    try:
        decisions = (
            read_file(file)
            if file is not None
            else CloudWatchDecisions(stack_name, region or None, profile or None).read(report.call)
        )
    except LogUnreadableError as error:
        complain(str(error))
        return report
    return with_decision(report, decision_of(report.call, decisions))
