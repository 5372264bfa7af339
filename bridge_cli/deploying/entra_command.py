"""`bridge entra`: the API's registration, shown or changed by an administrator of the tenant."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, cast

import httpx
import typer

from bridge_cli.complaint import complain
from bridge_cli.deploying.entra_view import error_to_json, plan_to_text, result_to_text, to_json
from deployment.entra.administrator import fetch_administrator_token
from deployment.entra.apply import apply_changes
from deployment.entra.az_lines import to_az_lines, to_shell
from deployment.entra.errors import EntraError, SignInError
from deployment.entra.graph_client import GRAPH_URLS, GraphClient
from deployment.entra.plan import plan_entra
from deployment.entra.registration import WantedRegistration
from shared.clock import SystemClock
from shared.routes import Role

_FAILED: Final = 1
_WAITS: Final = 3
"""Somebody else must do it: who may, says the message."""
_CLOUDS_FILE: Final = "clouds.json"


@dataclass(frozen=True, slots=True)
class _Directory:
    url: str
    token: str = field(repr=False)
    is_local: bool = False


def manage_registration(
    *,
    plans: Annotated[
        bool, typer.Option("--plan", help="Show what differs, and change nothing (the default).")
    ] = False,
    applies: Annotated[bool, typer.Option("--apply", help="Change what differs.")] = False,
    env: Annotated[str, typer.Option(metavar="NAME", help="The environment.")] = "dev",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The bridge's name, the prefix of every resource.")
    ] = "bridge",
    tenant_id: Annotated[str, typer.Option(metavar="ID", help="The tenant.")],
    cloud: Annotated[
        str, typer.Option(help="The Entra ID cloud: " + ", ".join(GRAPH_URLS) + ".")
    ] = "public",
    token_version: Annotated[
        int, typer.Option(min=1, max=2, help="The version of the API's access tokens.")
    ] = 2,
    principal_id: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="The object ID of the Function App's identity, which is assigned its roles.",
        ),
    ] = "",
    developer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="The object ID of a user who may read with their own sign-in."
        ),
    ] = None,
    writes: Annotated[
        bool,
        typer.Option(
            "--writes", help="Let the identity write too, because the proxy forwards writes."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of sentences.")
    ] = False,
    prints_az_lines: Annotated[
        bool,
        typer.Option("--az-lines", help="Print the same as `az` lines, with the files they read."),
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Work on the local Entra ID of `bridge clouds`.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="The folder of `bridge clouds`.")] = Path(
        ".bridge/clouds"
    ),
) -> None:
    """Show or change the API's registration in Entra ID, as an administrator of the tenant.

    It asks Microsoft Graph with the sign-in of the Azure CLI, looks first, and changes only what
    differs: registration, service principal, app roles and who is assigned them. What it did not
    make, it leaves and names. No pipeline may run --apply: the right to assign app roles is the
    right to give anybody anything.

    Exits with 0 if it is done or nothing is to do, with 3 if this sign-in lacks a right, and with 1
    otherwise.
    """
    if plans and applies:
        raise typer.BadParameter("--plan and --apply exclude each other.")
    if applies and prints_az_lines:
        raise typer.BadParameter("--az-lines are for reading: without --apply.")
    if cloud not in GRAPH_URLS:
        raise typer.BadParameter(f"--cloud is one of {', '.join(GRAPH_URLS)}.")
    registration = f"{name}-{env}-api"
    try:
        wanted = WantedRegistration(
            tenant_id=tenant_id,
            name=registration,
            app_id_uri=f"api://{tenant_id}/{registration}",
            token_version=cast("Literal[1, 2]", token_version),
            identity_principal_id=principal_id,
            identity_roles=frozenset(Role) if writes else frozenset({Role.READ}),
            developers=tuple(dict.fromkeys(developer or ())),
        )
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
    try:
        directory = _find_local(folder) if local else _sign_in(tenant_id, cloud)
        _work(wanted, directory, applies=applies, as_json=as_json, prints_az_lines=prints_az_lines)
    except EntraError as error:
        _fail(error, as_json=as_json)


def _work(
    wanted: WantedRegistration,
    directory: _Directory,
    *,
    applies: bool,
    as_json: bool,
    prints_az_lines: bool,
) -> None:
    # A company's proxy leads to Microsoft, and nowhere to this machine.
    with httpx.Client(trust_env=not directory.is_local) as http:
        graph = GraphClient(
            http, directory.url, directory.token, clock=SystemClock(), sleep=time.sleep
        )
        changes = plan_entra(graph, wanted)
        lines = to_az_lines(changes, directory.url) if prints_az_lines else None
        api_client_id = changes.api_client_id
        if applies:
            api_client_id = apply_changes(
                graph, changes, lambda purpose: typer.echo(purpose, err=True)
            )
    if as_json:
        typer.echo(to_json(wanted, changes, lines, api_client_id=api_client_id, is_applied=applies))
        return
    text = plan_to_text(wanted, changes, is_applied=applies)
    # What a shell is to read stands on stdout by itself.
    typer.echo(text, err=lines is not None)
    typer.echo(result_to_text(wanted, api_client_id), err=lines is not None)
    if lines is not None:
        typer.echo(to_shell(lines))


def _sign_in(tenant_id: str, cloud: str) -> _Directory:
    return _Directory(GRAPH_URLS[cloud], fetch_administrator_token(tenant_id))


def _find_local(folder: Path) -> _Directory:
    try:
        entra = json.loads((folder / _CLOUDS_FILE).read_text(encoding="utf-8"))["entra"]
        url, token = str(entra["graph_url"]), str(entra["administrator_token"])
        return _Directory(url, token, is_local=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise SignInError(
            "local_clouds_missing",
            f"There are no local clouds in {folder}: run `bridge clouds` and leave it running.",
        ) from None


def _fail(error: EntraError, *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(error_to_json(error.code, str(error)))
    complain(f"{error} ({error.code})")
    raise typer.Exit(_WAITS if error.code == "graph_right_missing" else _FAILED)
