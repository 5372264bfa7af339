"""What differs from the wanted registration, and what is done about it."""

from copy import deepcopy
from typing import Any

import pytest

from deployment.entra.apply import apply_changes
from deployment.entra.changes import Changes
from deployment.entra.errors import RegistrationRefused
from deployment.entra.plan import plan_entra
from deployment.entra.registration import (
    AZURE_CLI_CLIENT_ID,
    DEVELOPER_SCOPE,
    WantedRegistration,
)
from emulator.entra.directory import ApiRegistration
from emulator.entra.errors import GraphRefusal
from shared.entra import TokenVersion
from shared.routes import Role
from tests.support.graph import APP_ID_URI, NAME, TENANT_ID, Tenant, wanted_registration


def plan(tenant: Tenant, wanted: WantedRegistration) -> Changes:
    """The plan, made by an administrator."""
    return plan_entra(tenant.client(), wanted)


def apply(tenant: Tenant, wanted: WantedRegistration) -> str:
    """The plan, made and done; the API's client ID."""
    client = tenant.client()
    return apply_changes(client, plan_entra(client, wanted))


def api_of(tenant: Tenant) -> ApiRegistration:
    """The API as tokens show it."""
    api = tenant.store.directory.find_api(APP_ID_URI)
    assert api is not None
    return api


def application_of(tenant: Tenant) -> dict[str, Any]:
    """The application object of the API."""
    (found,) = (a for a in tenant.store.applications.newest() if a["displayName"] == NAME)
    return deepcopy(dict(found))


def by_value(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Roles or scopes by their values."""
    return {entry["value"]: entry for entry in entries}


def bend(tenant: Tenant, **changes: object) -> None:
    """Change the application as somebody would by hand."""
    tenant.store.applications.put({**application_of(tenant), **changes})


@pytest.fixture
def tenant() -> Tenant:
    """An empty tenant."""
    return Tenant()


@pytest.fixture
def wanted(tenant: Tenant) -> WantedRegistration:
    """An environment with an identity and a developer of that tenant."""
    return wanted_registration(
        identity_principal_id=tenant.store.add_managed_identity("id-bridge-dev").object_id,
        developers=(tenant.store.add_user("Dana"),),
    )


def test_when_the_tenant_is_empty_then_a_plan_shows_every_field_and_changes_nothing(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """A plan only reads."""
    fields = {difference.field for difference in plan(tenant, wanted).differences}

    assert {
        "uniqueName",
        "displayName",
        "signInAudience",
        "identifierUris",
        "optionalClaims.accessToken",
        "api.requestedAccessTokenVersion",
        "appRoles[Records.Read]",
        "appRoles[Records.Write]",
        f"api.oauth2PermissionScopes[{DEVELOPER_SCOPE}]",
        "api.preAuthorizedApplications",
        "appRoleAssignmentRequired",
        "appRoleAssignments[Records.Read]",
    } == fields
    assert [] == tenant.writes


def test_when_it_is_applied_then_tokens_are_as_the_authorizer_wants_them(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Version 2, assignment required, `idtyp`, and the role for the identity and the developer."""
    client_id = apply(tenant, wanted)

    api = api_of(tenant)
    assert client_id == api.client_id
    assert TokenVersion.V2 == api.token_version
    assert api.is_assignment_required
    assert api.has_identity_type_claim
    assert {
        (wanted.identity_principal_id, Role.READ),
        (wanted.developers[0], Role.READ),
    } == set(api.assignments or ())


def test_when_it_is_applied_again_then_nothing_is_written(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """The second run finds no difference."""
    client_id = apply(tenant, wanted)
    tenant.requests.clear()

    again = plan(tenant, wanted)

    assert again.is_empty
    assert () == again.steps
    assert client_id == again.api_client_id == apply(tenant, wanted)
    assert [] == tenant.writes


def test_when_it_is_killed_after_any_request_then_the_next_run_completes_it() -> None:
    """Whatever was done stays done, and the end is the same."""
    whole = Tenant()
    apply(
        whole,
        wanted_registration(
            identity_principal_id=whole.store.add_managed_identity("id").object_id,
            developers=(whole.store.add_user("Dana"),),
        ),
    )
    writes = len(whole.writes)

    assert 5 <= writes
    for survived in range(writes):
        tenant = Tenant()
        wanted = wanted_registration(
            identity_principal_id=tenant.store.add_managed_identity("id").object_id,
            developers=(tenant.store.add_user("Dana"),),
        )
        client = tenant.client()
        changes = plan_entra(client, wanted)
        calls = [step for step in changes.steps if hasattr(step, "body")]
        last = calls[survived]
        cut = changes.steps[: changes.steps.index(last)]
        apply_changes(client, Changes(changes.differences, cut, (), changes.known))

        apply(tenant, wanted)

        assert plan(tenant, wanted).is_empty
        assert 2 == len(api_of(tenant).assignments or ())


def test_when_somebody_changed_a_field_then_only_that_one_is_written(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Looks first, changes only what differs."""
    apply(tenant, wanted)
    bend(tenant, signInAudience="AzureADMultipleOrgs")
    tenant.requests.clear()

    changes = plan(tenant, wanted)
    apply(tenant, wanted)

    assert [("signInAudience", "AzureADMultipleOrgs", "AzureADMyOrg")] == [
        (d.field, d.found, d.wanted) for d in changes.differences
    ]
    (write,) = (request for request in tenant.requests if request.method != "GET")
    assert b'{"signInAudience": "AzureADMyOrg"}' == write.body


def test_when_the_token_version_is_not_said_then_it_becomes_2(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Null means version 1: everybody's first 401. Old tokens live on, and the plan says so."""
    apply(tenant, wanted)
    known = ["22222222-0000-4000-8000-000000000009"]
    api = {**application_of(tenant)["api"], "knownClientApplications": known}
    bend(tenant, api={**api, "requestedAccessTokenVersion": None})
    assert TokenVersion.V1 == api_of(tenant).token_version

    changes = plan(tenant, wanted)
    apply(tenant, wanted)

    assert [("api.requestedAccessTokenVersion", None, 2)] == [
        (d.field, d.found, d.wanted) for d in changes.differences
    ]
    assert any("ACCEPTED_TOKEN_VERSIONS" in notice for notice in changes.notices)
    assert TokenVersion.V2 == api_of(tenant).token_version
    assert api == application_of(tenant)["api"]


def test_when_version_1_is_wanted_then_it_is_said(tenant: Tenant) -> None:
    """A tenant that must keep v1.0 tokens gets them by name, not by silence."""
    apply(tenant, wanted_registration(token_version=1))

    assert 1 == application_of(tenant)["api"]["requestedAccessTokenVersion"]
    assert plan(tenant, wanted_registration(token_version=1)).is_empty


def test_when_somebody_added_something_then_it_stays_and_is_said(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """What it did not make, it never takes away."""
    apply(tenant, wanted)
    before = application_of(tenant)
    role = {
        "id": "11111111-0000-4000-8000-000000000001",
        "value": "Reports.Read",
        "displayName": "Reports",
        "description": "Reports",
        "isEnabled": True,
        "allowedMemberTypes": ["User"],
    }
    claims = {"accessToken": [{"name": "email"}], "idToken": [{"name": "upn"}]}
    scope = {
        "id": "11111111-0000-4000-8000-000000000002",
        "value": "Reports.View",
        "type": "User",
        "isEnabled": True,
    }
    other: dict[str, object] = {"appId": "22222222-0000-4000-8000-000000000001"}
    other["delegatedPermissionIds"] = [scope["id"]]
    bend(
        tenant,
        appRoles=[role, *before["appRoles"]],
        optionalClaims=claims,
        identifierUris=["api://other/uri", APP_ID_URI],
        api={
            **before["api"],
            "oauth2PermissionScopes": [scope, *before["api"]["oauth2PermissionScopes"]],
            "preAuthorizedApplications": [other, *before["api"]["preAuthorizedApplications"]],
            "knownClientApplications": ["22222222-0000-4000-8000-000000000009"],
        },
    )

    changes = plan(tenant, wanted)
    apply(tenant, wanted)

    after = application_of(tenant)
    assert role in after["appRoles"]
    assert ["email", "idtyp"] == [c["name"] for c in after["optionalClaims"]["accessToken"]]
    assert claims["idToken"] == after["optionalClaims"]["idToken"]
    assert ["api://other/uri", APP_ID_URI] == after["identifierUris"]
    assert scope in after["api"]["oauth2PermissionScopes"]
    assert other in after["api"]["preAuthorizedApplications"]
    assert ["22222222-0000-4000-8000-000000000009"] == after["api"]["knownClientApplications"]
    notices = " ".join(changes.notices)
    assert all(name in notices for name in ("Reports.Read", "Reports.View", "api://other/uri"))
    assert plan(tenant, wanted).is_empty


def test_when_a_role_is_gone_from_the_code_then_it_is_disabled_and_then_removed(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Graph refuses to remove one that is enabled, or that a replica still takes for enabled."""
    apply(tenant, wanted)
    old = {
        "id": wanted.role_id("Records.Purge"),
        "value": "Records.Purge",
        "displayName": "Purge",
        "description": "Purge",
        "isEnabled": True,
        "allowedMemberTypes": ["Application"],
    }
    bend(tenant, appRoles=[*application_of(tenant)["appRoles"], old])

    changes = plan(tenant, wanted)

    def disturb(purpose: str) -> None:
        if purpose.startswith("Change"):
            said = "Permission (scope or role) cannot be deleted or updated unless disabled first."
            tenant.graph.refuse_next(
                GraphRefusal(400, "CannotDeleteOrUpdateEnabledEntitlement", said)
            )

    apply_changes(tenant.client(), changes, disturb)

    assert [1.0] == tenant.waits
    assert [("appRoles[Records.Purge]", "enabled, for Application", None)] == [
        (d.field, d.found, d.wanted) for d in changes.differences
    ]
    assert {*Role} == by_value(application_of(tenant)["appRoles"]).keys()


def test_when_the_removal_of_a_role_is_killed_halfway_then_the_next_run_removes_it(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """A role of ours that is disabled and not in the code is on its way out."""
    apply(tenant, wanted)
    old = {
        "id": wanted.role_id("Records.Purge"),
        "value": "Records.Purge",
        "displayName": "Purge",
        "description": "Purge",
        "isEnabled": False,
        "allowedMemberTypes": ["Application"],
    }
    bend(tenant, appRoles=[*application_of(tenant)["appRoles"], old])

    apply(tenant, wanted)

    assert {*Role} == by_value(application_of(tenant)["appRoles"]).keys()


def test_when_a_role_was_made_by_hand_then_it_keeps_its_id(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Who follows the page by hand first gets the same registration, with IDs of their own."""
    apply(tenant, wanted)
    roles = by_value(application_of(tenant)["appRoles"])
    made = {**roles[Role.READ], "id": "33333333-0000-4000-8000-000000000001"}
    bend(tenant, appRoles=[made, roles[Role.WRITE]])

    apply(tenant, wanted)

    assert made == by_value(application_of(tenant)["appRoles"])[Role.READ]
    assert (wanted.identity_principal_id, Role.READ) in (api_of(tenant).assignments or ())


def test_when_a_role_does_not_allow_users_then_it_is_disabled_for_the_change_and_said(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """An enabled role cannot be changed, and tokens that are issued meanwhile lack it."""
    apply(tenant, wanted)
    roles = [
        {**role, "allowedMemberTypes": ["Application"]}
        for role in application_of(tenant)["appRoles"]
    ]
    bend(tenant, appRoles=roles)

    changes = plan(tenant, wanted)
    apply(tenant, wanted)

    assert ["appRoles[Records.Read]"] == [d.field for d in changes.differences]
    assert any("stop the Function App" in notice for notice in changes.notices)
    after = by_value(application_of(tenant)["appRoles"])
    assert ["Application", "User"] == after[Role.READ]["allowedMemberTypes"]
    assert after[Role.READ]["isEnabled"]
    assert ["Application"] == after[Role.WRITE]["allowedMemberTypes"]


def test_when_a_developer_is_named_later_then_no_role_changes(tenant: Tenant) -> None:
    """Roles allow users from the start, so that no live role is ever disabled for it."""
    apply(tenant, wanted_registration())
    developer = tenant.store.add_user("Dana")

    changes = plan(tenant, wanted_registration(developers=(developer,)))

    assert not [d for d in changes.differences if d.field.startswith("appRoles[")]
    assert not [step for step in changes.steps if "Disable" in step.purpose]


def test_when_no_developer_is_left_then_the_azure_cli_is_let_in_no_more(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """The scope and the pre-authorization that it made go; the assignment is named."""
    apply(tenant, wanted)
    alone = wanted_registration(identity_principal_id=wanted.identity_principal_id)

    changes = plan(tenant, alone)
    apply(tenant, alone)

    api = application_of(tenant)["api"]
    assert [] == api["oauth2PermissionScopes"]
    assert [] == api["preAuthorizedApplications"]
    assert any(wanted.developers[0] in notice for notice in changes.notices)
    assert plan(tenant, alone).is_empty


def test_when_the_azure_cli_is_let_in_for_something_else_too_then_that_stays(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Only our own scope comes and goes."""
    apply(tenant, wanted)
    api = application_of(tenant)["api"]
    scope = {"id": "11111111-0000-4000-8000-000000000002", "value": "Else", "isEnabled": True}
    shared: dict[str, object] = {"appId": AZURE_CLI_CLIENT_ID}
    shared["delegatedPermissionIds"] = [scope["id"], wanted.scope_id]
    scopes = [scope, *api["oauth2PermissionScopes"]]
    bend(
        tenant,
        api={**api, "oauth2PermissionScopes": scopes, "preAuthorizedApplications": [shared]},
    )
    assert plan(tenant, wanted).is_empty

    apply(tenant, wanted_registration(identity_principal_id=wanted.identity_principal_id))

    after = application_of(tenant)["api"]["preAuthorizedApplications"]
    assert [{**shared, "delegatedPermissionIds": [scope["id"]]}] == after


def test_when_somebody_else_is_assigned_a_role_then_the_plan_says_how_to_take_it_away(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """It is left, because it may be meant; the line that removes it is ready."""
    apply(tenant, wanted)
    stranger = tenant.store.add_user("Sam")
    apply(tenant, wanted_registration(developers=(stranger,)))

    (notice,) = (n for n in plan(tenant, wanted).notices if stranger in n)

    (assignment,) = (a for a in tenant.store.assignments.newest() if a["principalId"] == stranger)
    assert "Records.Read" in notice
    assert f"/appRoleAssignedTo/{assignment['id']}" in notice


def test_when_assignment_is_not_required_then_it_becomes_so(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Else every application of the tenant gets a token for the API, without roles."""
    apply(tenant, wanted)
    (principal,) = (p for p in tenant.store.service_principals.newest() if p["displayName"] == NAME)
    tenant.store.service_principals.put({**principal, "appRoleAssignmentRequired": False})

    changes = plan(tenant, wanted)
    apply(tenant, wanted)

    assert [("service principal", "appRoleAssignmentRequired", False, True)] == [
        (d.where, d.field, d.found, d.wanted) for d in changes.differences
    ]
    assert api_of(tenant).is_assignment_required


def test_when_the_application_has_the_uri_but_no_unique_name_then_it_is_adopted(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """As after following the page by hand."""
    client_id = apply(tenant, wanted)
    bend(tenant, uniqueName=None)

    changes = plan(tenant, wanted)

    assert ["uniqueName"] == [d.field for d in changes.differences]
    assert client_id == apply(tenant, wanted)
    assert NAME == application_of(tenant)["uniqueName"]


def make_application(tenant: Tenant, **fields: object) -> dict[str, Any]:
    """An application that somebody else registered."""
    made = {
        "id": "app-2",
        "appId": "44444444-0000-4000-8000-000000000001",
        "displayName": "Other",
        "uniqueName": None,
        "signInAudience": "AzureADMyOrg",
        "identifierUris": [],
        "api": {},
        "appRoles": [],
        "optionalClaims": None,
        **fields,
    }
    tenant.store.applications.put(made)
    return made


def test_when_two_applications_have_the_name_then_it_refuses_and_names_both(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Display names are not unique in Entra ID, so one of the two is not ours."""
    client_id = apply(tenant, wanted)
    other = make_application(tenant, displayName=NAME)
    tenant.requests.clear()

    with pytest.raises(RegistrationRefused, match=other["appId"]) as refused:
        plan(tenant, wanted)

    assert "entra_two_applications" == refused.value.code
    assert client_id in str(refused.value)
    assert [] == tenant.writes


def test_when_another_application_has_the_uri_then_it_refuses_and_names_both(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Ours has lost its URI to another one."""
    client_id = apply(tenant, wanted)
    bend(tenant, identifierUris=[])
    make_application(tenant, identifierUris=[APP_ID_URI])

    with pytest.raises(RegistrationRefused, match=client_id) as refused:
        plan(tenant, wanted)

    assert "entra_two_applications" == refused.value.code


def test_when_the_only_application_has_just_the_name_then_it_refuses(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """It may be anybody's; the line that makes it ours is ready."""
    other = make_application(tenant, displayName=NAME)

    with pytest.raises(RegistrationRefused, match=f"az ad app update --id {other['appId']}") as no:
        plan(tenant, wanted)

    assert "entra_application_not_ours" == no.value.code


def test_when_the_application_is_kept_under_another_unique_name_then_it_refuses(
    tenant: Tenant, wanted: WantedRegistration
) -> None:
    """Another tool made it and would change it back."""
    make_application(tenant, uniqueName="terraform-made", identifierUris=[APP_ID_URI])

    with pytest.raises(RegistrationRefused, match="terraform-made") as refused:
        plan(tenant, wanted)

    assert "entra_application_not_ours" == refused.value.code


@pytest.mark.parametrize("kind", ["nobody", "service principal"])
def test_when_a_developer_is_no_user_of_the_tenant_then_it_refuses(
    tenant: Tenant, kind: str
) -> None:
    """A client ID, or the object ID of an application, is a likely mistake."""
    identity = tenant.store.add_managed_identity("id")
    ids = {"nobody": identity.client_id, "service principal": identity.object_id}

    with pytest.raises(RegistrationRefused, match=ids[kind]) as refused:
        plan(tenant, wanted_registration(developers=(ids[kind],)))

    assert "entra_unknown_developer" == refused.value.code
    assert [] == tenant.writes


def test_when_the_identity_is_not_in_the_directory_then_the_plan_says_so(tenant: Tenant) -> None:
    """It may be new, or a client ID by mistake."""
    identity = tenant.store.add_managed_identity("id")

    changes = plan(tenant, wanted_registration(identity_principal_id=identity.client_id))

    assert any(identity.client_id in notice for notice in changes.notices)


def test_when_nothing_but_the_tenant_is_known_then_the_api_is_registered(tenant: Tenant) -> None:
    """The identity may come later: then only its assignment is missing."""
    apply(tenant, wanted_registration())
    identity = tenant.store.add_managed_identity("id").object_id

    changes = plan(tenant, wanted_registration(identity_principal_id=identity))

    assert ["appRoleAssignments[Records.Read]"] == [d.field for d in changes.differences]
    assert TENANT_ID in APP_ID_URI
