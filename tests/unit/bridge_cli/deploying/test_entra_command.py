"""`bridge entra`: what it prints, and with what it ends; what it does, the local Graph tests."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from bridge_cli.deploying import entra_command
from bridge_cli.main import app
from deployment.clouds import DeployedLayer
from deployment.entra.errors import SignInError
from deployment.entra.registration import AZURE_CLI_CLIENT_ID
from deployment.errors import DeploymentError, RightsMissing
from deployment.parameters.bicep_parameters import Layer
from emulator.entra.graph.rights import WRITE_APPLICATIONS
from shared.routes import Role
from tests.support.graph import APP_ID_URI, NAME, ORIGIN, TENANT_ID, Tenant


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """An empty tenant, and an administrator who is signed in to it."""
    made = Tenant()
    client = httpx.Client

    def connect(**options: object) -> httpx.Client:
        made.http_options.append(options)
        return client(transport=httpx.MockTransport(made.send))

    monkeypatch.setattr(httpx, "Client", connect)
    monkeypatch.setattr(entra_command, "GRAPH_URLS", {"public": ORIGIN})
    sign_in(monkeypatch, made.token())
    return made


def sign_in(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Let the Azure CLI give this token."""
    monkeypatch.setattr(entra_command, "fetch_administrator_token", lambda _tenant_id: token)


def run(*arguments: str) -> Result:
    """The command's end and output."""
    return CliRunner().invoke(app, ["entra", "--tenant-id", TENANT_ID, *arguments])


def test_when_nothing_more_is_asked_then_it_shows_the_plan(tenant: Tenant) -> None:
    """Each difference as field, what it is and what it will be."""
    result = run()

    assert 0 == result.exit_code, result.output
    assert f"{NAME} differs" in result.stdout
    assert "application: api.requestedAccessTokenVersion: (nothing) -> 2" in result.stdout
    assert f"API_APP_ID_URI={APP_ID_URI}" in result.stdout
    assert [] == tenant.writes


def test_when_it_is_applied_then_the_next_plan_is_empty(tenant: Tenant) -> None:
    """What was done is said on stderr, what to configure on stdout."""
    identity = tenant.store.add_managed_identity("id").object_id
    developer = tenant.store.add_user("Dana")
    options = ("--principal-id", identity, "--developer", developer)

    applied = run("--apply", *options)
    planned = run("--plan", *options)

    assert 0 == applied.exit_code, applied.output
    assert "Assign Records.Read" in applied.stderr
    assert f"{NAME} is as it should be." in planned.stdout
    (application,) = tenant.store.applications.newest()
    assert f"API_CLIENT_ID={application['appId']}" in applied.stdout
    assert f"ALLOWED_CLIENT_IDS={AZURE_CLI_CLIENT_ID}" in planned.stdout
    assert f"DELEGATED_SCOPES=access_as_user={Role.READ}" in planned.stdout


def test_when_the_proxy_forwards_writes_then_the_identity_gets_both_roles(tenant: Tenant) -> None:
    """And else only the one."""
    identity = tenant.store.add_managed_identity("id").object_id

    run("--apply", "--principal-id", identity)
    result = run("--apply", "--principal-id", identity, "--writes", "--json")

    assert ["appRoleAssignments[Records.Write]"] == [
        difference["field"] for difference in json.loads(result.stdout)["differences"]
    ]


def test_when_json_is_asked_for_then_stdout_is_one_object(tenant: Tenant) -> None:
    """For programs: no client ID before there is one, and the differences as data."""
    planned = json.loads(run("--json").stdout)
    applied = json.loads(run("--apply", "--json").stdout)

    assert planned["api_client_id"] is None
    version = {"where": "application", "field": "api.requestedAccessTokenVersion"}
    assert {**version, "is": None, "will_be": 2} in planned["differences"]
    (application,) = tenant.store.applications.newest()
    assert (application["appId"], True) == (applied["api_client_id"], applied["is_applied"])


def test_when_az_lines_are_asked_for_then_stdout_is_a_script(tenant: Tenant) -> None:
    """The differences are on stderr, so that stdout can be read by a shell."""
    result = run("--az-lines")
    as_json = json.loads(run("--az-lines", "--json").stdout)

    assert result.stdout.startswith("set -eu")
    assert f"{NAME} differs" in result.stderr
    assert ["az"] * 3 == [line["arguments"][0] for line in as_json["az_lines"]]
    assert [] == tenant.writes


@pytest.mark.parametrize("as_json", [False, True])
def test_when_a_right_is_missing_then_it_ends_with_3(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> None:
    """Somebody else must do the rest; the code is in the JSON too."""
    identity = tenant.store.add_managed_identity("id").object_id
    sign_in(monkeypatch, tenant.token([WRITE_APPLICATIONS]))

    result = run("--apply", "--principal-id", identity, *(["--json"] if as_json else []))

    assert 3 == result.exit_code
    assert "graph_right_missing" in result.stderr
    if as_json:
        assert "graph_right_missing" == json.loads(result.stdout)["error"]["code"]


def test_when_nobody_is_signed_in_then_it_ends_with_1(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence and the code."""

    def refuse(_tenant_id: str) -> str:
        raise SignInError("az_sign_in_needed", "Sign in first.")

    monkeypatch.setattr(entra_command, "fetch_administrator_token", refuse)

    result = run("--apply")

    assert (1, "") == (result.exit_code, result.stdout)
    assert "Sign in first. (az_sign_in_needed)" in result.stderr
    assert [] == tenant.requests


@pytest.mark.parametrize(
    "arguments",
    [
        ("--plan", "--apply"),
        ("--apply", "--az-lines"),
        ("--cloud", "germany"),
        ("--principal-id", "id-bridge-dev"),
        ("--name", "Bridge"),
        ("--token-version", "3"),
    ],
)
def test_when_it_is_called_wrongly_then_it_ends_with_2(
    tenant: Tenant, arguments: tuple[str, ...]
) -> None:
    """Before anything is asked."""
    assert 2 == run(*arguments).exit_code
    assert [] == tenant.requests


def test_when_local_clouds_are_meant_then_their_file_says_where_they_are(
    tenant: Tenant, tmp_path: Path
) -> None:
    """The same code, with the token of the local administrator."""
    entra = {"graph_url": ORIGIN, "administrator_token": tenant.token()}
    (tmp_path / "clouds.json").write_text(json.dumps({"entra": entra}))

    result = run("--apply", "--local", "--folder", str(tmp_path))

    assert 0 == result.exit_code, result.output
    assert 1 == len(tenant.store.applications.newest())
    assert [{"trust_env": False}] == tenant.http_options


BRIDGE_TOML = f"""
name = "bridge"
[entra]
tenant_id = "{TENANT_ID}"
[azure]
subscription_id = "22222222-2222-4222-8222-222222222222"
region = "westeurope"
[aws]
account_id = "123456789012"
region = "eu-west-1"
[environments.dev]
"""
SECOND = "[environments.prod]\n"
WRITES = '[environments.dev.settings]\nPROXY_FORWARDS = "read_and_write"\n'


@dataclass
class FoundAzure:
    """Azure, where the foundation is deployed, or not, or not to be seen."""

    found: str | DeploymentError | None

    @property
    def azure(self) -> "FoundAzure":
        """As `Clouds` has it."""
        return self

    def find_layer(self, layer: Layer) -> DeployedLayer | None:
        """The foundation, with the identity among its outputs."""
        assert Layer.FOUNDATION == layer
        if isinstance(self.found, DeploymentError):
            raise self.found
        return self.found and DeployedLayer("digest", {"identityPrincipalId": self.found})  # type: ignore[return-value]  # None where there is none


@pytest.fixture
def run_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """The command with a bridge.toml and an Azure."""

    def run_it(
        *arguments: str, content: str = BRIDGE_TOML, azure: str | DeploymentError | None = None
    ) -> Result:
        file = tmp_path / "bridge.toml"
        file.write_text(content)
        monkeypatch.setattr(entra_command, "real_clouds", lambda *_: FoundAzure(azure))
        return CliRunner().invoke(app, ["entra", "--file", str(file), *arguments])

    return run_it


def test_when_there_is_a_bridge_toml_then_it_says_everything(
    tenant: Tenant, run_by_file: Callable[..., Result]
) -> None:
    """And Azure says who the identity is."""
    identity = tenant.store.add_managed_identity("id").object_id

    result = run_by_file("--apply", azure=identity)

    assert 0 == result.exit_code, result.output
    (assignment,) = tenant.store.assignments.newest()
    assert identity == assignment["principalId"]
    assert f"{NAME} is as it should be." in run_by_file(azure=identity).stdout


def test_when_the_proxy_of_bridge_toml_forwards_writes_then_the_identity_may_write(
    tenant: Tenant, run_by_file: Callable[..., Result]
) -> None:
    """The same words as the Function App's setting."""
    identity = tenant.store.add_managed_identity("id").object_id

    run_by_file("--apply", "--principal-id", identity, content=BRIDGE_TOML + WRITES)

    assert 2 == len(tenant.store.assignments.newest())


@pytest.mark.parametrize("azure", [None, RightsMissing("azure_rights", "No.")])
def test_when_nobody_knows_the_identity_then_only_a_plan_goes_on(
    tenant: Tenant,
    run_by_file: Callable[..., Result],
    azure: DeploymentError | None,
) -> None:
    """A registration without its one caller would look done."""
    planned = run_by_file(azure=azure)
    applied = run_by_file("--apply", azure=azure)

    assert 0 == planned.exit_code
    assert "--principal-id" in planned.stderr
    assert 3 == applied.exit_code
    assert "entra_identity_unknown" in applied.stderr
    assert [] == tenant.writes


@pytest.mark.parametrize(
    ("arguments", "content", "code"),
    [
        ((), BRIDGE_TOML + SECOND, "environment_unnamed"),
        (("--env", "test"), BRIDGE_TOML, "environment_unknown"),
        ((), "name = 'Bridge'", "bridge_file_invalid"),
    ],
)
def test_when_bridge_toml_does_not_say_it_then_nothing_is_asked(
    tenant: Tenant,
    run_by_file: Callable[..., Result],
    arguments: tuple[str, ...],
    content: str,
    code: str,
) -> None:
    """One sentence, with the code."""
    result = run_by_file(*arguments, content=content)

    assert 1 == result.exit_code
    assert code in result.stderr
    assert [] == tenant.requests


def test_when_bridge_toml_is_rehearsed_then_the_local_tenant_gets_it(
    tenant: Tenant, run_by_file: Callable[..., Result], tmp_path: Path
) -> None:
    """Its own tenant's ID, and none of the real tenant's people."""
    entra = {"graph_url": ORIGIN, "administrator_token": tenant.token(), "tenant_id": TENANT_ID}
    entra["authority"] = ORIGIN
    clouds = {
        "entra": entra,
        "aws": {"endpoint_url": ORIGIN},
        "azure": {"url": ORIGIN, "subscription_id": "s"},
    }
    (tmp_path / "clouds.json").write_text(json.dumps(clouds))
    identity = tenant.store.add_managed_identity("id").object_id

    result = run_by_file(
        *("--apply", "--local", "--folder", str(tmp_path), "--principal-id", identity)
    )

    assert 0 == result.exit_code, result.output
    assert 1 == len(tenant.store.assignments.newest())


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"entra": {}}'])
def test_when_there_are_no_local_clouds_then_it_says_how_to_start_them(
    tenant: Tenant, tmp_path: Path, content: str | None
) -> None:
    """No file, or one that is not whole."""
    if content is not None:
        (tmp_path / "clouds.json").write_text(content)

    result = run("--local", "--folder", str(tmp_path))

    assert 1 == result.exit_code
    assert "local_clouds_missing" in result.stderr
    assert [] == tenant.requests


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--az-lines",), ("--apply",)])
def test_when_it_prints_then_the_token_is_not_in_it(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """An administrator's token would open the whole tenant."""
    token = tenant.token()
    sign_in(monkeypatch, token)

    result = run(*arguments)

    assert 0 == result.exit_code
    assert token not in result.output + result.stderr
