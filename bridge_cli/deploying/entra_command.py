"""`bridge entra`: the API's registration, shown or changed by an administrator of the tenant."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, Self, cast

import httpx
import typer

from bridge_cli.complaint import complain
from bridge_cli.deploying.clouds_file import CLOUDS_FILE, read_local_clouds
from bridge_cli.deploying.entra_view import error_to_json, plan_to_text, result_to_text, to_json
from bridge_cli.deploying.local_profile import LocalClouds, local_environment
from bridge_cli.deploying.real_clouds import real_clouds
from deployment.bridge_file import load_bridge_file
from deployment.clouds import AzureCloud
from deployment.contradictions import check_bridge_file
from deployment.entra.administrator import fetch_administrator_token
from deployment.entra.apply import apply_changes
from deployment.entra.az_lines import to_az_lines, to_shell
from deployment.entra.errors import EntraError, SignInError
from deployment.entra.graph_client import GRAPH_URLS, GraphClient
from deployment.entra.plan import plan_entra
from deployment.entra.registration import WantedRegistration
from deployment.errors import DeploymentError
from deployment.parameters.bicep_parameters import Layer
from deployment.parameters.derived_settings import wanted_registration
from deployment.parameters.template_parameters import load_template_parameters
from shared.clock import SystemClock
from shared.routes import Role

_FAILED: Final = 1
_WAITS: Final = 3
"""Somebody else must do it: who may, says the message."""
_WAITING_CODES: Final = ("graph_right_missing", "entra_identity_unknown")
_CHECKOUT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class _Directory:
    url: str
    fetch_token: Callable[[], str]
    is_local: bool = False

    @classmethod
    def of(cls, tenant_id: str, cloud: str) -> Self:
        """Return the tenant in Microsoft's cloud."""
        return cls(GRAPH_URLS[cloud], lambda: fetch_administrator_token(tenant_id))


def manage_registration(
    *,
    plans: Annotated[
        bool, typer.Option("--plan", help="Show what differs, and change nothing (the default).")
    ] = False,
    applies: Annotated[bool, typer.Option("--apply", help="Change what differs.")] = False,
    env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment; needed where there are several."),
    ] = None,
    file: Annotated[Path, typer.Option(help="What says the wanted registration.")] = Path(
        "bridge.toml"
    ),
    principal_id: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="The object ID of the Function App's identity, which is assigned its roles."
            " Without it, Azure is asked.",
        ),
    ] = "",
    tenant_id: Annotated[
        str,
        typer.Option(
            metavar="ID",
            help="The tenant, for who has no bridge.toml. The following options belong to it.",
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The bridge's name, the prefix of every resource.")
    ] = "bridge",
    cloud: Annotated[
        str, typer.Option(help="The Entra ID cloud: " + ", ".join(GRAPH_URLS) + ".")
    ] = "public",
    token_version: Annotated[
        int, typer.Option(min=1, max=2, help="The version of the API's access tokens.")
    ] = 2,
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
    folder: Annotated[Path, typer.Option(help="With --local: the folder of those clouds.")] = Path(
        ".bridge/clouds"
    ),
) -> None:
    """Show or change the API's registration in Entra ID, as an administrator of the tenant.

    It asks Microsoft Graph with the sign-in of the Azure CLI, looks first, and changes only what
    differs: registration, service principal, app roles and who is assigned them. What it did not
    make, it leaves and names. No pipeline may run --apply: the right to assign app roles is the
    right to give anybody anything.

    Exits with 0 if it is done or nothing is to do, with 3 if it waits for somebody else, who has
    the right or the identity, and with 1 otherwise.
    """
    if plans and applies:
        raise typer.BadParameter("--plan and --apply exclude each other.")
    if applies and prints_az_lines:
        raise typer.BadParameter("--az-lines are for reading: without --apply.")
    if cloud not in GRAPH_URLS:
        raise typer.BadParameter(f"--cloud is one of {', '.join(GRAPH_URLS)}.")
    try:
        if tenant_id:
            directory = _find_local(folder) if local else _Directory.of(tenant_id, cloud)
            wanted = WantedRegistration(
                tenant_id=tenant_id,
                name=(registration := f"{name}-{env or 'dev'}-api"),
                app_id_uri=f"api://{tenant_id}/{registration}",
                token_version=cast("Literal[1, 2]", token_version),
                identity_principal_id=principal_id,
                identity_roles=frozenset(Role) if writes else frozenset({Role.READ}),
                developers=tuple(developer or ()),
            )
        else:
            clouds = folder if local else None
            wanted, directory = _read(file, env, principal_id, clouds, applies=applies)
        _work(wanted, directory, applies=applies, as_json=as_json, prints_az_lines=prints_az_lines)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
    except (EntraError, DeploymentError) as error:
        _fail(error, as_json=as_json)


def _read(
    file: Path, env: str | None, principal_id: str, folder: Path | None, *, applies: bool
) -> tuple[WantedRegistration, "_Directory"]:
    """Return what the file asks for, and where; with a folder, in the clouds of this machine."""
    declared = load_template_parameters(_CHECKOUT)
    bridge_file = load_bridge_file(file)
    check_bridge_file(bridge_file, declared)
    environment = bridge_file.environment(env)
    if folder is None:
        entra = environment.entra
        directory = _Directory.of(entra.tenant_id, entra.cloud)
        azure = real_clouds(environment, declared, _CHECKOUT).azure
    else:
        local = read_local_clouds(folder)
        environment = local_environment(environment, local)
        directory = _find_local(folder)
        azure = LocalClouds(local, environment, declared, _CHECKOUT).all().azure
    if not principal_id:
        principal_id = _find_identity(azure, must_be_known=applies)
    return wanted_registration(environment, principal_id), directory


def _find_identity(azure: AzureCloud, *, must_be_known: bool) -> str:
    """Return the object ID of the Function App's identity; empty where nobody knows it."""
    why = "the step azure-foundation has not been done"
    try:
        if layer := azure.find_layer(Layer.FOUNDATION):
            return layer.outputs.get("identityPrincipalId", "")
    except DeploymentError as error:
        why = f"Azure does not tell this sign-in ({error.code})"
    sentence = (
        f"The Function App's identity is not known, because {why}: give its object ID by"
        " --principal-id."
    )
    if must_be_known:
        raise EntraError("entra_identity_unknown", sentence)
    complain(sentence)
    return ""


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
        token = directory.fetch_token()
        graph = GraphClient(http, directory.url, token, clock=SystemClock(), sleep=time.sleep)
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


def _find_local(folder: Path) -> _Directory:
    try:
        entra = json.loads((folder / CLOUDS_FILE).read_text(encoding="utf-8"))["entra"]
        url, token = str(entra["graph_url"]), str(entra["administrator_token"])
        return _Directory(url, lambda: token, is_local=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise SignInError(
            "local_clouds_missing",
            f"There are no local clouds in {folder}: run `bridge clouds` and leave it running.",
        ) from None


def _fail(error: EntraError | DeploymentError, *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(error_to_json(error.code, str(error)))
    complain(f"{error} ({error.code})")
    raise typer.Exit(_WAITS if error.code in _WAITING_CODES else _FAILED)
