"""The registration as data."""

import pytest

from aws_authorizer.settings import DELEGATED_SCOPES
from deployment.entra.registration import (
    AZURE_CLI_CLIENT_ID,
    DEVELOPER_SCOPE,
    authorizer_settings,
)
from shared.guid import is_guid
from shared.routes import PROTECTED_ROUTES, Role
from tests.support.graph import NAME, TENANT_ID, wanted_registration

IDENTITY = "0b1d0000-0000-4000-8000-000000000001"
DEVELOPER = "0b1d0000-0000-4000-8000-000000000002"


def test_when_routes_ask_for_roles_then_the_registration_declares_just_these() -> None:
    """The app roles come from the routes, so a new one reaches Entra ID."""
    declared = {role["value"] for role in wanted_registration().app_roles()}

    assert {route.role for route in PROTECTED_ROUTES} == declared == {*Role}


def test_when_it_is_made_twice_then_every_id_is_the_same() -> None:
    """A second run must find what the first one made; another environment has other IDs."""
    other = wanted_registration(name="x-api", app_id_uri=f"api://{TENANT_ID}/x-api")
    once, again = wanted_registration(), wanted_registration()

    assert once.app_roles() == again.app_roles()
    assert once.scope_id == again.scope_id
    ids = [r["id"] for w in (once, other) for r in w.app_roles()] + [once.scope_id, other.scope_id]
    assert 2 * len(Role) + 2 == len(set(ids))
    assert all(is_guid(entry) for entry in ids)


def test_when_nothing_more_is_said_then_the_identity_may_only_read() -> None:
    """Least rights: what the sync needs."""
    grants = wanted_registration(identity_principal_id=IDENTITY).grants()

    assert [(IDENTITY, Role.READ)] == [(grant.principal_id, grant.role) for grant in grants]


def test_when_there_are_no_developers_then_nothing_lets_a_user_in() -> None:
    """Neither a scope nor a pre-authorized application, and nothing for the authorizer."""
    wanted = wanted_registration()

    assert [] == wanted.scopes()
    assert [] == wanted.pre_authorized_applications()
    assert {"ALLOWED_CLIENT_IDS": "", "DELEGATED_SCOPES": ""} == authorizer_settings(wanted)


def test_when_a_developer_is_named_twice_then_one_role_is_assigned() -> None:
    """A second assignment would be refused as existing."""
    assert 1 == len(wanted_registration(developers=(DEVELOPER, DEVELOPER)).grants())


def test_when_there_are_developers_then_the_authorizer_is_told_what_their_scope_lends() -> None:
    """The value is one that the authorizer itself parses."""
    wanted = wanted_registration(developers=(DEVELOPER,), developer_roles=frozenset(Role))
    settings = authorizer_settings(wanted)

    assert AZURE_CLI_CLIENT_ID == settings["ALLOWED_CLIENT_IDS"]
    parsed = DELEGATED_SCOPES.parse(settings["DELEGATED_SCOPES"])
    assert {DEVELOPER_SCOPE: frozenset(Role)} == parsed


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant_id": "contoso.example"},
        {"identity_principal_id": "id-bridge-dev"},
        {"developers": ("dana@contoso.example",)},
        {"developers": ("0B1D0000-0000-4000-8000-00000000000A",)},
        {"app_id_uri": "api://bridge"},
        {"app_id_uri": f"api://{TENANT_ID}/{NAME}/"},
        {"name": "a'b", "app_id_uri": f"api://{TENANT_ID}/a'b"},
        {"name": "", "app_id_uri": f"api://{TENANT_ID}/"},
    ],
)
def test_when_a_value_would_break_out_of_an_address_then_it_is_refused(
    changes: dict[str, object],
) -> None:
    """They end in filters, paths and shell lines, so no other characters get in."""
    with pytest.raises(ValueError, match="is not"):
        wanted_registration(**changes)
