"""Compares the registration in the directory with the wanted one; changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from deployment.entra.application_plan import plan_application
from deployment.entra.changes import (
    API_CLIENT_ID,
    API_PRINCIPAL_ID,
    Call,
    Changes,
    Lookup,
)
from deployment.entra.draft import Draft
from deployment.entra.errors import RegistrationRefused
from deployment.entra.graph_client import GraphClient, Waiting
from deployment.entra.registration import (
    Grant,
    WantedRegistration,
)

type GraphObject = Mapping[str, Any]

_NEW: Final[GraphObject] = {}
_PEOPLE: Final = ("#microsoft.graph.user", "#microsoft.graph.group")


def plan_entra(graph: GraphClient, wanted: WantedRegistration) -> Changes:
    """Return what differs and what would be done about it.

    Raises:
        GraphError: the directory cannot be read.
        RegistrationRefused: two applications have the name or the URI, the one that has it is
            somebody else's, or a developer is not in the tenant.

    """
    draft = Draft(graph, wanted)
    application = _find_application(graph, wanted)
    final_roles = plan_application(draft, application)
    service_principal = _plan_service_principal(draft, application)
    _plan_grants(draft, service_principal, final_roles)
    return Changes(
        tuple(draft.differences), tuple(draft.steps), tuple(draft.notices), dict(draft.known)
    )


def _find_application(graph: GraphClient, wanted: WantedRegistration) -> GraphObject:
    """Return the application that is ours, or nothing where there is none."""
    by_key = graph.find(f"/applications(uniqueName='{wanted.name}')")
    by_uri = graph.list_all(
        "/applications", {"$filter": f"identifierUris/any(u:u eq '{wanted.app_id_uri}')"}
    )
    by_name = graph.list_all("/applications", {"$filter": f"displayName eq '{wanted.name}'"})
    ours = [{**by_key, "uniqueName": wanted.name}] if by_key else []
    candidates = {entry["id"]: entry for entry in (*by_name, *by_uri, *ours)}
    if len(candidates) > 1:
        listed = "; ".join(_name(entry) for entry in candidates.values())
        raise RegistrationRefused(
            "entra_two_applications",
            f"More than one application has the name {wanted.name} or the URI {wanted.app_id_uri}:"
            f" {listed}. Rename or delete all but one.",
        )
    if not candidates:
        return _NEW
    (found,) = candidates.values()
    if found.get("uniqueName") not in (None, wanted.name):
        raise RegistrationRefused(
            "entra_application_not_ours",
            f"{_name(found)} has the URI or the name, and belongs to something else: its uniqueName"
            f" is {found['uniqueName']}. Choose another name in bridge.toml.",
        )
    if not by_key and not by_uri:
        raise RegistrationRefused(
            "entra_application_not_ours",
            f"{_name(found)} has the name, but not the URI, so it may be anybody's. If it is yours:"
            f" az ad app update --id {found['appId']} --identifier-uris {wanted.app_id_uri}",
        )
    return found


def _name(application: GraphObject) -> str:
    return f"{application['displayName']!r} ({application['appId']})"


def _plan_service_principal(draft: Draft, application: GraphObject) -> GraphObject:
    """Plan the API's service principal, and return the one that is there."""
    found: GraphObject = _NEW
    if application:
        found = draft.graph.find(f"/servicePrincipals(appId='{application['appId']}')") or _NEW
    is_required = found.get("appRoleAssignmentRequired")
    if draft.compare("service principal", "appRoleAssignmentRequired", is_required, wanted=True):
        draft.steps.append(
            Call(
                "Let nobody have a token without an assignment",
                "PATCH",
                f"/servicePrincipals(appId='{API_CLIENT_ID}')",
                {"appRoleAssignmentRequired": True},
                creates=True,
                waiting=Waiting.APPLICATION,
            )
        )
    if found:
        draft.known[API_PRINCIPAL_ID] = found["id"]
    return found


def _plan_grants(
    draft: Draft, service_principal: GraphObject, roles: Sequence[GraphObject]
) -> None:
    role_ids = {role["value"]: role["id"] for role in roles}
    values = {role_id: value for value, role_id in role_ids.items()}
    assigned: list[dict[str, Any]] = []
    if service_principal:
        path = f"/servicePrincipals/{service_principal['id']}/appRoleAssignedTo"
        assigned = draft.graph.list_all(path)
    there = {(entry["principalId"], entry["appRoleId"]) for entry in assigned}
    grants = draft.wanted.grants()
    missing = [grant for grant in grants if (grant.principal_id, role_ids[grant.role]) not in there]
    _check_principals(draft, missing)
    if missing and not service_principal:
        draft.steps.append(
            Lookup(
                "Find the API's service principal",
                API_PRINCIPAL_ID,
                f"/servicePrincipals(appId='{API_CLIENT_ID}')",
                "id",
            )
        )
    for grant in missing:
        who = "developer" if grant.is_developer else "identity"
        where = f"{who} {grant.principal_id}"
        draft.compare(where, f"appRoleAssignments[{grant.role}]", None, "assigned")
        draft.steps.append(
            Call(
                f"Assign {grant.role} to the {where}",
                "POST",
                f"/servicePrincipals/{API_PRINCIPAL_ID}/appRoleAssignedTo",
                {
                    "principalId": grant.principal_id,
                    "resourceId": API_PRINCIPAL_ID,
                    "appRoleId": role_ids[grant.role],
                },
                waiting=Waiting.PRINCIPAL,
            )
        )
    wanted = {(grant.principal_id, role_ids[grant.role]) for grant in grants}
    for entry in assigned:
        if (entry["principalId"], entry["appRoleId"]) not in wanted:
            draft.notices.append(
                f"{entry.get('principalType', 'Principal')} {entry['principalId']} is assigned"
                f" {values.get(entry['appRoleId'], entry['appRoleId'])}, which bridge.toml does not"
                " say: left as it is. To take it away: az rest --method delete --url"
                f" {draft.graph.url}/v1.0/servicePrincipals/"
                f"{entry['resourceId']}/appRoleAssignedTo/{entry['id']}"
            )


def _check_principals(draft: Draft, missing: Sequence[Grant]) -> None:
    for developer in dict.fromkeys(g.principal_id for g in missing if g.is_developer):
        found = draft.graph.find(f"/directoryObjects/{developer}")
        kind = (found or {}).get("@odata.type", "")
        if kind not in _PEOPLE:
            what = f"is a {kind.rpartition('.')[2]}" if kind else "is not in the tenant"
            raise RegistrationRefused(
                "entra_unknown_developer",
                f"{developer}, which `developers` in bridge.toml names, {what}: it takes the object"
                " IDs of users (az ad signed-in-user show --query id) and groups.",
            )
    for identity in dict.fromkeys(g.principal_id for g in missing if not g.is_developer):
        if draft.graph.find(f"/servicePrincipals/{identity}") is None:
            draft.notices.append(
                f"The identity {identity} is not to be seen in the directory yet. A new one takes"
                " minutes, and --apply waits for it; another one is a principal ID of another"
                " tenant, or a client ID."
            )
