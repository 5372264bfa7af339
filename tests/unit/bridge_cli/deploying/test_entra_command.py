"""`bridge entra`: what it prints, and with what it ends; what it does, the local Graph tests."""

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from bridge_cli.deploying import entra_command
from bridge_cli.main import app
from deployment.entra.errors import SignInError
from deployment.entra.registration import AZURE_CLI_CLIENT_ID
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
