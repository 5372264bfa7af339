"""From an empty tenant to tokens that the authorizer takes, over real sockets."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from aws_authorizer.bootstrap import Authorizer, build_authorizer
from aws_authorizer.handler import authorize
from aws_authorizer.key_set_fetch import FetchedKeySet
from aws_authorizer.settings import load_settings
from deployment.entra.apply import apply_changes
from deployment.entra.az_lines import to_az_lines, to_shell
from deployment.entra.changes import Changes
from deployment.entra.errors import GraphError
from deployment.entra.graph_client import GraphClient
from deployment.entra.plan import plan_entra
from deployment.entra.registration import WantedRegistration, authorizer_settings
from emulator.entra.directory import Directory
from emulator.entra.errors import EntraRefusal
from emulator.entra.graph.rights import WRITE_APPLICATIONS
from emulator.entra.local_entra import LocalEntra
from shared.clock import SystemClock
from shared.reasons import Reason
from shared.routes import Role
from tests.support.azure_cli import PYTHON
from tests.support.events import rest_token_event
from tests.support.fake_clock import FakeClock
from tests.support.graph import APP_ID_URI, NAME, TENANT_ID, wanted_registration
from tests.support.local_entra import running_local_entra

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def entra(tmp_path: Path) -> Iterator[LocalEntra]:
    """An empty tenant."""
    with running_local_entra(tmp_path, Directory.empty(TENANT_ID)) as running:
        yield running


@contextmanager
def graph_of(entra: LocalEntra, token: str | None = None) -> Iterator[GraphClient]:
    """A client with an administrator's rights."""
    token = token or entra.administrator_token()
    with httpx.Client() as http:
        yield GraphClient(http, entra.graph_url, token, clock=SystemClock(), sleep=time.sleep)


def register(entra: LocalEntra, wanted: WantedRegistration, token: str | None = None) -> str:
    """Register the API; its client ID."""
    with graph_of(entra, token) as graph:
        return apply_changes(graph, plan_entra(graph, wanted))


def plan(entra: LocalEntra, wanted: WantedRegistration) -> Changes:
    """What differs now."""
    with graph_of(entra) as graph:
        return plan_entra(graph, wanted)


def identity_token(entra: LocalEntra, client_id: str) -> httpx.Response:
    """What the managed identity endpoint answers."""
    query = {"api-version": "2019-08-01", "resource": APP_ID_URI, "client_id": client_id}
    header = {"X-IDENTITY-HEADER": entra.identity_header}
    return httpx.get(entra.identity_endpoint, params=query, headers=header)


def claims_in(token: str) -> dict[str, Any]:
    """The claims, unverified."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def authorizer_of(
    entra: LocalEntra, lines: list[str], api_client_id: str, **settings: str
) -> Authorizer:
    """The authorizer, told the API's IDs and the tenant's local authority."""

    def fetch() -> FetchedKeySet:
        url = f"{entra.authority}/{TENANT_ID}/discovery/v2.0/keys"
        return FetchedKeySet(httpx.get(url).content, None)

    environment = {
        "ENTRA_TENANT_ID": TENANT_ID,
        "ENTRA_AUTHORITY": entra.authority,
        "API_CLIENT_ID": api_client_id,
        "API_APP_ID_URI": APP_ID_URI,
        **settings,
    }
    return build_authorizer(
        load_settings(environment),
        clock=SystemClock(),
        write=lines.append,
        build_fetch=lambda _url, _seconds: fetch,
    )


def decide(authorizer: Authorizer, token: str) -> Any:
    """The policy for a call with that token."""
    return authorize(authorizer, rest_token_event(f"Bearer {token}"), "request-1")


def reason_of(lines: list[str]) -> object:
    """The reason of the last decision."""
    return [json.loads(line) for line in lines][-1].get("reason")


def test_when_an_empty_tenant_is_registered_then_the_identity_is_let_in(entra: LocalEntra) -> None:
    """All fields together: audience, issuer, version and role."""
    identity = entra.add_managed_identity("id-bridge-dev")
    client_id = register(entra, wanted_registration(identity_principal_id=identity.object_id))
    token = identity_token(entra, identity.client_id).json()["access_token"]
    settings = {"ALLOWED_CLIENT_IDS": identity.client_id}

    policy = decide(authorizer_of(entra, [], client_id, **settings), token)

    assert ("2.0", client_id, [Role.READ], "app") == tuple(
        claims_in(token)[name] for name in ("ver", "aud", "roles", "idtyp")
    )
    assert identity.object_id == policy["context"]["object_id"]


def test_when_the_token_version_is_left_out_then_the_first_call_is_401(entra: LocalEntra) -> None:
    """Everybody's first 401: a default registration issues v1.0 tokens, and the log says so."""
    identity = entra.add_managed_identity("id-bridge-dev")
    headers = {"Authorization": f"Bearer {entra.administrator_token()}"}
    graph = f"{entra.graph_url}/v1.0"
    body = {"displayName": NAME, "identifierUris": [APP_ID_URI], "signInAudience": "AzureADMyOrg"}
    made = httpx.post(f"{graph}/applications", json=body, headers=headers).json()
    httpx.post(f"{graph}/servicePrincipals", json={"appId": made["appId"]}, headers=headers)
    token = identity_token(entra, identity.client_id).json()["access_token"]
    lines: list[str] = []

    with pytest.raises(Exception, match=r"^Unauthorized$"):
        decide(
            authorizer_of(entra, lines, made["appId"], ALLOWED_CLIENT_IDS=identity.client_id),
            token,
        )

    assert made["api"]["requestedAccessTokenVersion"] is None
    assert "1.0" == claims_in(token)["ver"]
    assert Reason.UNACCEPTED_VERSION == reason_of(lines)


def test_when_a_developer_is_named_then_their_own_sign_in_reads(entra: LocalEntra) -> None:
    """The scope, the pre-authorization, the assignment and the authorizer's settings together."""
    developer = entra.add_user("Dana")
    wanted = wanted_registration(developers=(developer,))
    client_id = register(entra, wanted)
    token = entra.developer_token(developer, APP_ID_URI)

    policy = decide(authorizer_of(entra, [], client_id, **authorizer_settings(wanted)), token)

    assert "access_as_user" == claims_in(token)["scp"]
    assert developer == policy["context"]["object_id"]


def test_when_a_user_is_not_named_then_they_get_no_token(entra: LocalEntra) -> None:
    """Assignment required holds for people too."""
    register(entra, wanted_registration(developers=(entra.add_user("Dana"),)))

    with pytest.raises(EntraRefusal) as refused:
        entra.developer_token(entra.add_user("Sam"), APP_ID_URI)

    assert 50105 == refused.value.code


def test_when_no_developer_is_named_then_the_azure_cli_gets_no_token(entra: LocalEntra) -> None:
    """There is no scope that it is pre-authorized for."""
    register(entra, wanted_registration())

    with pytest.raises(EntraRefusal) as refused:
        entra.developer_token(entra.add_user("Dana"), APP_ID_URI)

    assert 65001 == refused.value.code


def test_when_nothing_is_registered_then_nobody_gets_a_token(entra: LocalEntra) -> None:
    """An empty tenant knows no API of ours."""
    identity = entra.add_managed_identity("id-bridge-dev")
    response = identity_token(entra, identity.client_id)

    assert 500 == response.status_code
    assert "AADSTS500011" in response.text
    with pytest.raises(EntraRefusal):
        entra.developer_token(entra.add_user("Dana"), APP_ID_URI)


def test_when_a_role_comes_after_the_first_token_then_azures_cache_hides_it(
    tmp_path: Path,
) -> None:
    """For a day. So the roles are assigned before the Function App's first start."""
    clock = FakeClock(now=SystemClock().now())
    with running_local_entra(
        tmp_path, Directory.empty(TENANT_ID), clock=clock, caches_identity_tokens=True
    ) as entra:
        identity = entra.add_managed_identity("id-bridge-dev")
        reader = wanted_registration(identity_principal_id=identity.object_id)
        register(entra, reader)
        first = identity_token(entra, identity.client_id).json()
        both = frozenset(Role)
        register(
            entra,
            wanted_registration(identity_principal_id=identity.object_id, identity_roles=both),
        )

        soon = identity_token(entra, identity.client_id).json()
        clock.advance(86_400)
        later = identity_token(entra, identity.client_id).json()

    assert first == soon
    assert [Role.READ] == claims_in(soon["access_token"])["roles"]
    assert sorted(Role) == claims_in(later["access_token"])["roles"]


def test_when_the_first_request_comes_too_early_then_its_refusal_is_not_kept(
    tmp_path: Path,
) -> None:
    """Assignment required turns a day without a role into an error that ends with the role."""
    empty = Directory.empty(TENANT_ID)
    with running_local_entra(tmp_path, empty, caches_identity_tokens=True) as entra:
        identity = entra.add_managed_identity("id-bridge-dev")
        register(entra, wanted_registration())
        early = identity_token(entra, identity.client_id)
        register(entra, wanted_registration(identity_principal_id=identity.object_id))
        later = identity_token(entra, identity.client_id)

    assert 500 == early.status_code
    assert "AADSTS501051" in early.text
    assert [Role.READ] == claims_in(later.json()["access_token"])["roles"]


def test_when_changes_are_seen_late_then_the_registration_completes(tmp_path: Path) -> None:
    """Over real sockets and the machine's clock."""
    with running_local_entra(tmp_path, Directory.empty(TENANT_ID), replication_delay=0.4) as entra:
        identity = entra.add_managed_identity("id-bridge-dev")
        wanted = wanted_registration(identity_principal_id=identity.object_id)

        register(entra, wanted)

        time.sleep(0.5)
        assert plan(entra, wanted).is_empty


def test_when_the_sign_in_lacks_a_right_then_graph_says_so(entra: LocalEntra) -> None:
    """Over the wire, as `bridge entra` shows it."""
    token = entra.administrator_token(rights=[WRITE_APPLICATIONS])
    identity = entra.add_managed_identity("id-bridge-dev")
    wanted = wanted_registration(identity_principal_id=identity.object_id)

    with pytest.raises(GraphError, match="Privileged Role Administrator"):
        register(entra, wanted, token)


def test_when_the_az_lines_are_run_then_the_registration_is_the_same(
    entra: LocalEntra, tmp_path: Path
) -> None:
    """By a shell and the real Azure CLI; only its sign-in is ours."""
    identity = entra.add_managed_identity("id-bridge-dev")
    wanted = wanted_registration(
        identity_principal_id=identity.object_id, developers=(entra.add_user("Dana"),)
    )
    script = to_shell(to_az_lines(plan(entra, wanted), entra.graph_url))
    _write_az(tmp_path / "az", entra.administrator_token())

    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}{os.pathsep}{os.defpath}",
            "HOME": str(tmp_path),
            "AZURE_CONFIG_DIR": str(tmp_path / "config"),
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert plan(entra, wanted).is_empty


def _write_az(path: Path, token: str) -> None:
    """An `az` that is the real one, signed in to the local Graph."""
    path.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "line = sys.argv[1:]\n"
        f"header = 'Authorization=Bearer {token}'\n"
        "at = line.index('--headers') + 1 if '--headers' in line else len(line)\n"
        "line[at:at] = [header] if '--headers' in line else ['--headers', header]\n"
        f"python = {str(PYTHON)!r}\n"
        "os.execv(python, [python, '-m', 'azure.cli', *line, '--skip-authorization-header'])\n"
    )
    path.chmod(0o700)


@pytest.mark.parametrize(
    ("header", "body", "status"),
    [("wrong", "{}", 401), ("right", "[]", 400), ("right", "no json", 400)],
)
async def test_when_a_developers_token_is_asked_for_wrongly_then_there_is_none(
    entra: LocalEntra, header: str, body: str, status: int
) -> None:
    """A page in a browser reaches loopback too, and does not know the secret."""
    secret = entra.identity_header if header == "right" else header
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            entra.developer_token_url, content=body, headers={"X-IDENTITY-HEADER": secret}
        )

    assert status == answer.status_code
    assert "access_token" not in answer.text
