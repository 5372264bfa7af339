"""Graph as the local Entra ID has it: rights, refusals, unique values, and what is seen when."""

import json
from typing import Any

import jwt
import pytest

from emulator.entra.directory import Directory
from emulator.entra.graph.rights import ADMINISTRATOR_RIGHTS, ASSIGN_ROLES, WRITE_APPLICATIONS
from emulator.entra.graph.service import GraphAnswer, GraphRequest
from emulator.entra.key_store import SigningKey
from emulator.entra.tenant_store import NO_ROLE
from shared.routes import Role
from tests.support.graph import ORIGIN, Tenant
from tests.support.local_entra import API, CLIENT, DIRECTORY

ROLE_ID = "11111111-0000-4000-8000-000000000001"
SCOPE_ID = "11111111-0000-4000-8000-000000000002"
ROLE = {
    "id": ROLE_ID,
    "value": "Records.Read",
    "displayName": "Read",
    "description": "Read",
    "isEnabled": True,
    "allowedMemberTypes": ["Application"],
}


def ask(
    tenant: Tenant,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
    query: dict[str, str] | None = None,
    **headers: str,
) -> GraphAnswer:
    """Graph's answer to an administrator, or to the bearer of the token."""
    bearer = f"Bearer {tenant.token() if token is None else token}"
    content = b"" if body is None else json.dumps(body).encode()
    return tenant.graph.answer(
        GraphRequest(
            method,
            f"/v1.0{path}",
            query or {},
            {"authorization": bearer, **headers},
            content,
            ORIGIN,
        )
    )


def error_of(answer: GraphAnswer) -> tuple[int, str]:
    """The status and the code of a refusal, which has the shape of Graph's."""
    assert answer.body is not None
    error = answer.body["error"]
    assert {"code", "message", "innerError"} <= error.keys()
    return answer.status, error["code"]


def make_api(tenant: Tenant, **fields: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new application with its service principal."""
    body = {"displayName": "api", "identifierUris": ["api://x"], "appRoles": [ROLE], **fields}
    application = ask(tenant, "POST", "/applications", body).body
    assert application
    principal = ask(tenant, "POST", "/servicePrincipals", {"appId": application["appId"]}).body
    assert principal
    return dict(application), dict(principal)


def assign(
    tenant: Tenant, principal_id: str, resource: dict[str, Any], **fields: str
) -> GraphAnswer:
    """Assign the role."""
    wanted = {"principalId": principal_id, "resourceId": resource["id"], "appRoleId": ROLE_ID}
    path = f"/servicePrincipals/{resource['id']}/appRoleAssignedTo"
    return ask(tenant, "POST", path, {**wanted, **fields})


@pytest.fixture
def tenant() -> Tenant:
    """An empty tenant."""
    return Tenant()


def test_when_the_version_is_not_said_then_it_is_null_which_means_1(tenant: Tenant) -> None:
    """Graph's default, and everybody's first 401."""
    application, _ = make_api(tenant)

    api = tenant.store.directory.find_api("api://x")
    assert application["api"]["requestedAccessTokenVersion"] is None
    assert api is not None
    assert 1 == api.requested_access_token_version
    assert not api.has_identity_type_claim


def test_when_a_service_principal_is_missing_then_there_are_no_tokens_for_the_api(
    tenant: Tenant,
) -> None:
    """An application is a blueprint; what tokens are for is its service principal."""
    ask(tenant, "POST", "/applications", {"displayName": "api", "identifierUris": ["api://x"]})

    assert tenant.store.directory.find_api("api://x") is None


@pytest.mark.parametrize(
    ("rights", "method", "path"),
    [
        ([], "GET", "/applications"),
        (["Application.Read.All"], "POST", "/applications"),
        (["Application.Read.All"], "PATCH", "/applications(uniqueName='x')"),
        ([WRITE_APPLICATIONS], "POST", "/servicePrincipals/{sp}/appRoleAssignedTo"),
        ([ASSIGN_ROLES], "POST", "/servicePrincipals/{sp}/appRoleAssignedTo"),
        ([WRITE_APPLICATIONS], "DELETE", "/servicePrincipals/{sp}/appRoleAssignedTo/x"),
        (["Application.Read.All"], "GET", "/users/x"),
        (["Application.Read.All"], "GET", "/directoryObjects/x"),
    ],
)
def test_when_a_right_is_missing_then_it_is_403(
    tenant: Tenant, rights: list[str], method: str, path: str
) -> None:
    """Assigning needs a right to read as well, as Microsoft's reference says."""
    _, principal = make_api(tenant)
    filled = path.replace("{sp}", principal["id"])

    answer = ask(tenant, method, filled, {"displayName": "x"}, token=tenant.token(rights))

    assert (403, "Authorization_RequestDenied") == error_of(answer)


def test_when_the_token_is_bad_then_it_is_401(tenant: Tenant) -> None:
    """None, nonsense, expired, for another API, or signed by another key."""
    claims = tenant.issuer.claims_for(CLIENT, api=API)
    good = jwt.decode(tenant.token(), options={"verify_signature": False})
    foreign = tenant.issuer.sign(good, key=SigningKey.generate(tenant.clock))
    other_api = tenant.issuer.sign(claims)

    for token in ("", "nonsense", "a.b.c", tenant.token(lifetime=0), foreign, other_api):
        answer = ask(tenant, "GET", "/applications", token=token)
        assert (401, "InvalidAuthenticationToken") == error_of(answer), token
    assert 200 == ask(tenant, "GET", "/applications", token=tenant.issuer.sign(good)).status


def test_when_an_unknown_address_is_asked_then_it_is_400_or_405(tenant: Tenant) -> None:
    """What is not learned is refused, not answered somehow."""
    for path in ("/groups", "/applications/x/owners", "/applications(name='x')", "/users(x='y')"):
        assert 400 == ask(tenant, "GET", path).status, path
    for method, path in [
        ("PUT", "/applications/x"),
        ("DELETE", "/applications/x"),
        ("GET", "/users"),
    ]:
        assert 405 == ask(tenant, method, path).status, path
    _, principal = make_api(tenant)
    put = ask(tenant, "PUT", f"/servicePrincipals/{principal['id']}/appRoleAssignedTo", {})
    assert 405 == put.status


@pytest.mark.parametrize(
    "expression",
    ["displayName eq 'api'", "identifierUris/any(u:u eq 'api://x')", "appId eq '{appId}'"],
)
def test_when_a_filter_is_known_then_it_finds_what_equals(tenant: Tenant, expression: str) -> None:
    """Without regard to case."""
    application, _ = make_api(tenant)
    ask(tenant, "POST", "/applications", {"displayName": "other"})
    query = {"$filter": expression.replace("{appId}", application["appId"].upper())}

    page = ask(tenant, "GET", "/applications", query=query).body

    assert page is not None
    assert ["api"] == [found["displayName"] for found in page["value"]]


@pytest.mark.parametrize(
    "expression", ["startswith(displayName,'a')", "notes eq 'x'", "identifierUris/any(u:v eq 'x')"]
)
def test_when_a_filter_is_unknown_then_it_is_refused(tenant: Tenant, expression: str) -> None:
    """An empty list would be a lie."""
    answer = ask(tenant, "GET", "/applications", query={"$filter": expression})

    assert (400, "Request_UnsupportedQuery") == error_of(answer)
    by_number = ask(tenant, "GET", "/applications", query={"$top": "some"})
    assert (400, "Request_UnsupportedQuery") == error_of(by_number)


def test_when_fields_are_selected_then_only_these_come(tenant: Tenant) -> None:
    """`$select` on an object; a role says where it is defined when it is read."""
    application, _ = make_api(tenant)
    path = f"/applications/{application['id']}"

    whole = ask(tenant, "GET", path).body or {}

    appId = {"appId": application["appId"]}  # noqa: N806 - the field's own name
    assert appId == ask(tenant, "GET", path, query={"$select": "appId"}).body
    assert "Application" == whole["appRoles"][0]["origin"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"appId": "x"}, "read-only"),
        ({"nickname": "x"}, "nickname"),
        ({"uniqueName": "y"}, "immutable"),
        ({"signInAudience": "Everybody"}, "signInAudience"),
        ({"api": {"requestedAccessTokenVersion": 3}}, "requestedAccessTokenVersion"),
        ({"appRoles": [{**ROLE, "id": "one"}]}, "GUID"),
        ({"appRoles": [{**ROLE, "origin": "Application"}]}, "origin"),
        ({"appRoles": [ROLE, {**ROLE, "id": SCOPE_ID}]}, "duplicate"),
        ({"appRoles": [ROLE, ROLE]}, "duplicate"),
        ({"appRoles": []}, "disabled first"),
        ({"appRoles": [{**ROLE, "value": "Records.Write"}]}, "disabled first"),
        ({"appRoles": [{**ROLE, "allowedMemberTypes": ["User"]}]}, "disabled first"),
        (
            {
                "api": {
                    "oauth2PermissionScopes": [{"id": SCOPE_ID, "value": "x", "isEnabled": True}],
                    "preAuthorizedApplications": [
                        {"appId": "cli", "delegatedPermissionIds": [SCOPE_ID]}
                    ],
                }
            },
            "cannot be found in the AppPermissions",
        ),
    ],
)
def test_when_an_update_is_not_allowed_then_graph_says_why(
    tenant: Tenant, body: dict[str, object], said: str
) -> None:
    """And nothing is changed."""
    ask(
        tenant,
        "PATCH",
        "/applications(uniqueName='x')",
        {"displayName": "api", "appRoles": [ROLE]},
        prefer="create-if-missing",
    )
    before = tenant.store.applications.newest()

    answer = ask(tenant, "PATCH", "/applications(uniqueName='x')", body)

    assert 400 == answer.status
    assert said in str(answer.body)
    assert before == tenant.store.applications.newest()


def test_when_api_is_updated_then_all_of_it_is_replaced(tenant: Tenant) -> None:
    """The harsher of two readings, so that a client sends the whole."""
    application, _ = make_api(tenant, api={"requestedAccessTokenVersion": 2})
    body: dict[str, object] = {"api": {"knownClientApplications": []}}

    ask(tenant, "PATCH", f"/applications/{application['id']}", body)

    (after,) = tenant.store.applications.newest()
    assert after["api"]["requestedAccessTokenVersion"] is None


def test_when_a_unique_value_is_taken_then_it_is_a_conflict(tenant: Tenant) -> None:
    """The URI in any case; the service principal of an application."""
    _, principal = make_api(tenant)

    taken = ask(
        tenant, "POST", "/applications", {"displayName": "b", "identifierUris": ["API://X"]}
    )
    twice = ask(tenant, "POST", "/servicePrincipals", {"appId": principal["appId"]})

    assert (400, "Request_BadRequest") == error_of(taken)
    assert "ObjectConflict" in str(taken.body)
    assert (409, "Request_MultipleObjectsWithSameKeyValue") == error_of(twice)


def test_when_an_object_is_made_if_missing_then_it_is_made_once(tenant: Tenant) -> None:
    """201, then 204, as Microsoft's reference says; without the wish it is 404."""
    path = "/applications(uniqueName='x')"
    body = {"displayName": "api"}

    answers = [
        ask(tenant, "PATCH", path, body).status,
        ask(tenant, "PATCH", path, body, prefer="create-if-missing").status,
        ask(tenant, "PATCH", path, body, prefer="create-if-missing").status,
    ]

    assert [404, 201, 204] == answers
    assert 1 == len(tenant.store.applications.newest())


def test_when_an_application_has_no_name_or_body_then_it_is_400(tenant: Tenant) -> None:
    """A display name is required, and a JSON object."""
    assert 400 == ask(tenant, "POST", "/applications", {}).status
    assert 400 == ask(tenant, "POST", "/applications", [1]).status
    assert 400 == ask(tenant, "POST", "/applications").status


def test_when_a_role_is_assigned_then_it_is_in_the_list_and_in_tokens(tenant: Tenant) -> None:
    """Until it is taken away."""
    _, principal = make_api(tenant)
    identity = tenant.store.add_managed_identity("id")
    path = f"/servicePrincipals/{principal['id']}/appRoleAssignedTo"

    made = assign(tenant, identity.object_id, principal).body or {}
    listed = ask(tenant, "GET", path).body or {}
    api = tenant.store.directory.find_api("api://x")
    removed = ask(tenant, "DELETE", f"{path}/{made['id']}")
    later = tenant.store.directory.find_api("api://x")

    assert [made] == listed["value"]
    assert api is not None
    assert {Role.READ} == api.roles_of(identity)
    assert 204 == removed.status
    assert later is not None
    assert frozenset() == later.roles_of(identity)
    assert 404 == ask(tenant, "DELETE", f"{path}/{made['id']}").status


def test_when_a_role_is_assigned_wrongly_then_graph_says_why(tenant: Tenant) -> None:
    """An unknown principal, another resource, an unknown or unfit role, or twice."""
    _, principal = make_api(tenant)
    identity = tenant.store.add_managed_identity("id").object_id
    user = tenant.store.add_user("Dana")

    said = {
        "unknown principal": assign(tenant, "nobody", principal),
        "another resource": assign(tenant, identity, principal, resourceId=identity),
        "unknown role": assign(tenant, identity, principal, appRoleId=SCOPE_ID),
        "not for users": assign(tenant, user, principal),
    }
    first = assign(tenant, identity, principal)
    again = assign(tenant, identity, principal)

    assert "Not a valid reference update" in str(said["unknown principal"].body)
    assert "Not a valid reference update" in str(said["another resource"].body)
    assert "was not found on application" in str(said["unknown role"].body)
    assert "was not found on application" in str(said["not for users"].body)
    assert (201, 400) == (first.status, again.status)
    assert "already exists" in str(again.body)


def test_when_an_assignment_has_no_role_then_it_lets_in_without_one(tenant: Tenant) -> None:
    """Entra ID's default access: a token, and no roles in it."""
    _, principal = make_api(tenant)
    identity = tenant.store.add_managed_identity("id")
    assign(tenant, identity.object_id, principal, appRoleId=NO_ROLE)

    api = tenant.store.directory.find_api("api://x")

    assert api is not None
    assert api.is_assigned(identity)
    assert frozenset() == api.roles_of(identity)


def test_when_people_are_looked_up_then_each_list_knows_its_own() -> None:
    """Users by their own address; anything by `directoryObjects`, which says what it is."""
    tenant = Tenant()
    user = tenant.store.add_user("Dana")
    identity = tenant.store.add_managed_identity("id").object_id

    kinds = [
        (ask(tenant, "GET", f"/directoryObjects/{found}").body or {})["@odata.type"]
        for found in (user, identity)
    ]

    assert ["#microsoft.graph.user", "#microsoft.graph.servicePrincipal"] == kinds
    assert "Dana" == (ask(tenant, "GET", f"/users/{user}").body or {})["displayName"]
    assert 404 == ask(tenant, "GET", f"/users/{identity}").status


def test_when_a_change_is_not_replicated_then_nobody_sees_it() -> None:
    """Readers, assignments, service principals and tokens alike; unique values hold at once."""
    tenant = Tenant(replication_delay=10.0)
    body = {"displayName": "api", "identifierUris": ["api://x"], "appRoles": [ROLE]}
    made = ask(tenant, "POST", "/applications", body).body or {}
    identity = tenant.store.add_managed_identity("id")
    path = f"/applications/{made['id']}"

    unseen = [
        ask(tenant, "GET", path).status,
        ask(tenant, "PATCH", path, {"displayName": "b"}).status,
        ask(tenant, "POST", "/servicePrincipals", {"appId": made["appId"]}).status,
        ask(tenant, "POST", "/applications", body).status,
        ask(tenant, "GET", f"/servicePrincipals/{identity.object_id}").status,
    ]
    no_identity = tenant.store.directory.user_assigned
    tenant.clock.advance(10.0)

    assert [404, 404, 400, 400, 404] == unseen
    assert () == no_identity
    assert 200 == ask(tenant, "GET", path).status
    assert (identity,) == tenant.store.directory.user_assigned


def test_when_an_object_changes_often_then_old_versions_are_forgotten() -> None:
    """A tenant that runs for days holds no more than one."""
    tenant = Tenant()
    application, _ = make_api(tenant)
    for number in range(50):
        path = f"/applications/{application['id']}"
        ask(tenant, "PATCH", path, {"displayName": f"{number}"})

    ask(tenant, "GET", "/applications")

    assert [1] == [len(versions) for versions in tenant.store.applications._versions.values()]


def test_when_an_identity_is_added_twice_then_it_is_the_same_one(tenant: Tenant) -> None:
    """A deployment that is repeated makes no second one."""
    first = tenant.store.add_managed_identity("id", "/subscriptions/s/id")

    assert first == tenant.store.add_managed_identity("id", "/subscriptions/s/id")
    assert first != tenant.store.add_managed_identity("id", "/subscriptions/s/other")


def test_when_a_tenant_is_not_empty_then_graph_shows_what_it_has() -> None:
    """Its API and its callers' roles, so that tokens say the same as before."""
    tenant = Tenant(DIRECTORY)

    api = tenant.store.directory.find_api(API.app_id_uri)

    assert api is not None
    assert CLIENT.roles == api.roles_of(CLIENT)
    assert API.app_roles == api.app_roles
    assert tenant.store.directory.api is not None
    assert API.client_id == tenant.store.directory.api.client_id


def test_when_a_tenant_is_empty_then_it_has_microsofts_own_apis_and_no_other() -> None:
    """Graph and Storage are in every tenant."""
    directory = Tenant(Directory.empty("x")).store.directory

    assert "https://graph.microsoft.com" == directory.api.app_id_uri
    assert ["https://storage.azure.com", "https://monitor.azure.com"] == [
        api.app_id_uri for api in directory.other_apis
    ]
    assert ADMINISTRATOR_RIGHTS
