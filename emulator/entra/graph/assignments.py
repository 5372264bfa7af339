"""The assignment of an app role to a user or a service principal."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from emulator.entra.errors import GraphRefusal
from emulator.entra.tenant_store import NO_ROLE, GraphObject, TenantStore


def assign_role(store: TenantStore, resource: GraphObject, body: Mapping[str, Any]) -> GraphObject:
    """Keep and return the assignment that the body asks for.

    Raises:
        GraphRefusal: its principal or its role is not known (yet), or it is there already.

    """
    wanted = {name: str(body.get(name, "")) for name in ("principalId", "resourceId", "appRoleId")}
    principal_type = _principal_type(store, wanted["principalId"])
    if principal_type is None or wanted["resourceId"] != resource["id"]:
        raise GraphRefusal(400, "Request_BadRequest", "Not a valid reference update.")
    _check_role(store, resource, wanted["appRoleId"], principal_type)
    if any(wanted.items() <= entry.items() for entry in store.assignments.newest()):
        raise GraphRefusal(
            400,
            "Request_BadRequest",
            "Permission being assigned already exists on the object",
        )
    assignment = {"id": str(uuid4()), **wanted, "principalType": principal_type}
    store.assignments.put(assignment)
    return assignment


def _principal_type(store: TenantStore, principal_id: str) -> str | None:
    if store.users.find_seen(principal_id):
        return "User"
    return "ServicePrincipal" if store.service_principals.find_seen(principal_id) else None


def _check_role(
    store: TenantStore, resource: GraphObject, role_id: str, principal_type: str
) -> None:
    if role_id == NO_ROLE:
        return
    member = "User" if principal_type == "User" else "Application"
    roles = [
        role
        for application in store.applications.seen()
        if application["appId"] == resource["appId"]
        for role in application["appRoles"]
    ]
    if not any(
        role["id"] == role_id and role["isEnabled"] and member in role["allowedMemberTypes"]
        for role in roles
    ):
        raise GraphRefusal(
            400,
            "Request_BadRequest",
            "Permission being assigned was not found on application",
        )
