"""`bridge explain`: its options, where token, contract and keys come from, and its exit status."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from aws_authorizer.bootstrap import build_contract
from aws_authorizer.explanation.explained_token import explain_token
from bridge_cli.complaint import complain
from bridge_cli.explaining.contract_source import (
    ContractSource,
    from_deployed_stack,
    from_environment,
    from_file,
    from_local_stack,
)
from bridge_cli.explaining.errors import ExplainError
from bridge_cli.explaining.explained_view import UNCERTAIN, Explained, print_explained, to_json
from bridge_cli.explaining.keys import build_remote_keys, load_keys
from bridge_cli.explaining.route_access import find_route, judge_route, list_routes
from bridge_cli.explaining.token_input import (
    STANDARD_INPUT,
    holds_token,
    is_token_like,
    obtain_token,
    read_token,
)
from emulator.functions_host.settings import LOCAL_SETTINGS
from shared.clock import SystemClock
from shared.routes import Route

_UP: Final = Path(".bridge/up")
_BRIDGE_TOML: Final = Path("bridge.toml")
_INTERRUPTED: Final = 130
_REFUSAL: Final = (
    "a token may not stand on the command line: it would stay in the shell's history, and other"
    " users of this machine see a program's arguments. Put it into a file and name that, or pipe it"
    " in: bridge explain - < token.txt"
)


class TokenlessGroup(TyperGroup):
    """All commands together: none takes a token as an argument, or repeats one in a message."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer hides its type
        """Return what is left of the arguments, those of the commands too, if none is a token."""
        if any(map(holds_token, args)):
            raise typer.BadParameter(f"{_REFUSAL} (token_on_command_line)")
        return super().parse_args(ctx, args)


class TokenlessCommand(TyperCommand):
    """A command that refuses a token among its arguments, and never repeats it in a message."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer hides its type
        """Return what is left of the arguments, if none of them looks like a token."""
        if any(map(is_token_like, args)):
            raise typer.BadParameter(f"{_REFUSAL} (token_on_command_line)")
        return super().parse_args(ctx, args)


def explain(  # noqa: PLR0913 - a command has an argument for each of its options
    *,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-]",
            help="A file that holds the token, or - for standard input. By default a token of the"
            " credential in use: what the Function App's settings name. Quotes, a header line and"
            " the Azure CLI's JSON around the token do not matter.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="FILE",
            help="The authorizer's settings: a JSON object of names and values, or one with"
            " Values, as local.settings.json.",
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The environment of bridge.toml whose deployed stack has the authorizer's"
            " settings.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="With --env: the bridge.toml, where it is another one.", show_default="bridge.toml"
        ),
    ] = None,
    is_local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="The stack that `bridge up` keeps running: its authorizer's settings and keys, and"
            " its Function App's credential.",
        ),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="With --local: that stack's folder.", show_default=str(_UP)),
    ] = None,
    app_settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Without a token: the Function App's settings, as `bridge sync --settings` takes"
            " them.",
        ),
    ] = None,
    key_set: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The tenant's keys as a JSON Web Key Set, in place of asking Entra ID.",
        ),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(
            metavar="'METHOD PATH'",
            help='Also say whether the policy opens this route, such as "GET /v1/records".',
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Say what the authorizer makes of a token, check by check, and what to change.

    It runs the Lambda's own checks, and goes on after the first that fails. The token is not shown,
    nor what it says about a person. Whether it has been revoked is not checked: only Entra ID
    knows.

    The token of the running stack's credential, then one that you have, against a deployed stack:

        bridge explain --local --route "GET /v1/records"

        az account get-access-token --scope api://<API>/.default | bridge explain - --env dev

    A token in a file, with the authorizer's settings from another one, without asking Entra ID:

        bridge explain token.txt --settings authorizer.json --key-set keys.json --json

    Exits with 0 if the token is let in, 1 if it is rejected (401), 2 for wrong options, 3 if its
    caller is denied everything, or the route (403), and 4 if that cannot be told: there is no
    token, no key set, or no usable settings.
    """
    _check_options(settings, env, file, is_local=is_local, folder=folder)
    if source is not None and app_settings is not None:
        raise typer.BadParameter(
            "it says whom to ask for a token, and one is given.", param_hint="--app-settings"
        )
    found = find_route(route) if route is not None else None
    if route is not None and found is None:
        raise typer.BadParameter(
            f"the API has no such route; it has {list_routes()}.", param_hint="--route"
        )
    stack = (folder or _UP) if is_local else None
    try:
        contract_source = _find_contract(settings, env, file, stack)
        explained = _explain(
            source, contract_source, app_settings or _local_app(stack), key_set, found
        )
    except ExplainError as error:
        _refuse(error, as_json=as_json)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    if as_json:
        print(to_json(explained))  # noqa: T201 - its output
    else:
        print_explained(explained, Console())
    sys.exit(explained.exit_status)


def _check_options(
    settings: Path | None,
    env: str | None,
    file: Path | None,
    *,
    is_local: bool,
    folder: Path | None,
) -> None:
    given = [
        name
        for name, is_given in (
            ("--settings", settings is not None),
            ("--env", env is not None or file is not None),
            ("--local", is_local),
        )
        if is_given
    ]
    if len(given) > 1:
        raise typer.BadParameter(
            f"{' and '.join(given)} both say where the authorizer's settings are: leave out one.",
            param_hint=given[-1],
        )
    if folder is not None and not is_local:
        raise typer.BadParameter("goes with --local only.", param_hint="--folder")


def _local_app(stack: Path | None) -> Path | None:
    return None if stack is None else stack / LOCAL_SETTINGS


def _find_contract(
    settings: Path | None, env: str | None, file: Path | None, stack: Path | None
) -> ContractSource:
    if settings is not None:
        return from_file(settings)
    if stack is not None:
        return from_local_stack(stack)
    if env is not None or file is not None:
        return from_deployed_stack(file or _BRIDGE_TOML, env)
    return from_environment()


def _explain(
    source: str | None,
    contract_source: ContractSource,
    app_settings: Path | None,
    key_set: Path | None,
    found: tuple[Route, str] | None,
) -> Explained:
    settings, clock = contract_source.settings, SystemClock()
    keys = load_keys(settings, key_set) if key_set else build_remote_keys(settings, clock)
    if source is None:
        token, token_origin = obtain_token(app_settings), "of the credential in use"
    else:
        token = read_token(source, sys.stdin)
        token_origin = "from standard input" if source == STANDARD_INPUT else f"in {source}"
    contract = build_contract(settings)
    explanation = explain_token(token, contract, keys, clock, api=settings.api)
    return Explained(
        explanation,
        None if found is None else judge_route(*found, explanation),
        token_origin,
        contract_origin=contract_source.origin,
        keys_origin=str(key_set or settings.api.cloud.key_set_url(explanation.closest.tenant_id)),
        kinds=len(contract.accepted),
    )


def _refuse(error: ExplainError, *, as_json: bool) -> NoReturn:
    if as_json:
        refusal = {"verdict": "undecided", "reason": error.code, "sentence": str(error)}
        print(json.dumps(refusal))  # noqa: T201 - its output
    else:
        first, *others = error.sentences
        complain(f"{first} ({error.code})")
        for sentence in others:
            complain(sentence)
    sys.exit(UNCERTAIN)
