"""Entra ID as a rollout asks it: what is done, and whose turn it is where it cannot be."""

import httpx
import pytest

from bridge_cli.deploying.graph_tenant import GraphTenant
from deployment.entra.errors import SignInError
from deployment.errors import DeploymentError, NotSignedIn, RightsMissing
from emulator.entra.graph.rights import WRITE_APPLICATIONS
from tests.support.bridge_files import SMALL, environment_of
from tests.support.graph import ORIGIN, TENANT_ID, Tenant

ENVIRONMENT = environment_of(SMALL.replace("11111111-1111-4111-8111-111111111111", TENANT_ID))


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """An empty tenant behind every HTTP client."""
    made, client = Tenant(), httpx.Client

    def connect(**options: object) -> httpx.Client:
        made.http_options.append(options)
        return client(transport=httpx.MockTransport(made.send))

    monkeypatch.setattr(httpx, "Client", connect)
    return made


def graph_of(tenant: Tenant, token: str = "") -> GraphTenant:
    """The tenant for somebody with that token; for its administrator without one."""
    return GraphTenant(ORIGIN, lambda: token or tenant.token(), tenant.clock, tenant.clock.advance)


def test_when_what_differs_is_applied_then_nothing_differs(tenant: Tenant) -> None:
    """What was looked at before had no registration."""
    identity = tenant.store.add_managed_identity("id-bridge-dev").object_id
    graph = graph_of(tenant)

    before = graph.inspect(ENVIRONMENT, identity)
    applied = graph.apply(ENVIRONMENT, identity, lambda _line: None)
    after = graph.inspect(ENVIRONMENT, identity)

    assert ("", True) == (before.api_client_id, bool(before.differences))
    assert () == after.differences
    assert applied.api_client_id == after.api_client_id


def test_when_graph_is_on_this_machine_then_no_proxy_is_asked(tenant: Tenant) -> None:
    """A company's proxy leads to Microsoft, and nowhere to this machine."""
    graph_of(tenant).inspect(ENVIRONMENT, "")

    assert [{"trust_env": False}] == tenant.http_options


def test_when_a_right_is_missing_then_the_step_waits_for_who_has_it(tenant: Tenant) -> None:
    """An application developer may not assign roles."""
    identity = tenant.store.add_managed_identity("id-bridge-dev").object_id
    graph = graph_of(tenant, tenant.token([WRITE_APPLICATIONS]))

    with pytest.raises(RightsMissing) as refused:
        graph.apply(ENVIRONMENT, identity, lambda _line: None)

    assert "graph_right_missing" == refused.value.code


def test_when_the_sign_in_is_over_then_nobody_is_signed_in(tenant: Tenant) -> None:
    """Graph does not take the token any more."""
    token = tenant.token(lifetime=60)
    tenant.clock.advance(3600)

    with pytest.raises(NotSignedIn) as refused:
        graph_of(tenant, token).inspect(ENVIRONMENT, "")

    assert "graph_sign_in_needed" == refused.value.code


def test_when_nobody_can_sign_in_then_the_reason_is_passed_on(tenant: Tenant) -> None:
    """The Azure CLI is not there, say."""

    def refuse() -> str:
        raise SignInError("az_missing", "Install the Azure CLI.")

    with pytest.raises(NotSignedIn, match="Install the Azure CLI") as refused:
        GraphTenant(ORIGIN, refuse, tenant.clock).inspect(ENVIRONMENT, "")

    assert "az_missing" == refused.value.code


def test_when_graph_refuses_what_we_ask_then_it_is_a_failure(tenant: Tenant) -> None:
    """A principal that is not there is nobody else's turn."""
    with pytest.raises(DeploymentError) as failed:
        graph_of(tenant).apply(
            ENVIRONMENT, "0b1d0000-0000-4000-8000-0000000000ff", lambda _line: None
        )

    assert not isinstance(failed.value, NotSignedIn | RightsMissing)
    assert failed.value.code.startswith(("entra_", "graph_"))
