"""The local tenant."""

import stat
from pathlib import Path

import pytest

from emulator.entra.directory import MICROSOFT_GRAPH
from emulator.tenant import LocalCredentialKind, LocalTenant, build_local_tenant
from shared.routes import Role
from tests.support.fake_clock import FakeClock

AUTHORITY = "http://127.0.0.1:8400"


@pytest.fixture
def tenant(tmp_path: Path) -> LocalTenant:
    """The tenant, its credential files in the test's folder."""
    return build_local_tenant(tmp_path, AUTHORITY, FakeClock())


def test_when_the_tenant_is_built_then_each_credential_kind_has_its_settings(
    tenant: LocalTenant,
) -> None:
    """No kind is left without."""
    assert set(LocalCredentialKind) == set(tenant.settings_by_credential)


def test_when_callers_must_be_refused_then_each_has_one_thing_wrong(tenant: LocalTenant) -> None:
    """One lacks the role alone, the other its place on the list alone."""
    allowed = tenant.allowed_client_ids

    assert tenant.without_role.client_id in allowed
    assert not tenant.without_role.roles
    assert tenant.unknown_client.client_id not in allowed
    assert Role.READ in tenant.unknown_client.roles


def test_when_credentials_are_written_then_their_owner_alone_may_read_them(
    tenant: LocalTenant, tmp_path: Path
) -> None:
    """Private keys and assertions are secrets on a laptop too."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert tenant.service_principal.certificates
    assert {"service-principal.pem": 0o600, "federated-token": 0o600} == modes


def test_when_two_tenants_are_built_then_they_share_no_secret(tmp_path: Path) -> None:
    """Secrets are made anew, while the IDs stay what pages and commands say."""
    first, second = (
        build_local_tenant(tmp_path / name, AUTHORITY, FakeClock()) for name in ("a", "b")
    )

    assert first.editor.client_id == second.editor.client_id
    assert first.editor.secrets != second.editor.secrets


def test_when_graph_is_named_as_the_api_then_there_is_a_token_for_it_as_in_any_tenant(
    tenant: LocalTenant,
) -> None:
    """Which is how a token for the wrong API is got by mistake."""
    assert MICROSOFT_GRAPH == tenant.directory.find_api("https://graph.microsoft.com")
