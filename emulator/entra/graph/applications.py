"""What Graph asks of an application object before it keeps it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

from emulator.entra.errors import GraphRefusal
from emulator.entra.tenant_store import GraphObject
from shared.guid import is_guid

_DEFAULTS: Final[Mapping[str, Any]] = {
    "uniqueName": None,
    "signInAudience": "AzureADandPersonalMicrosoftAccount",
    "identifierUris": [],
    "api": {},
    "appRoles": [],
    "optionalClaims": None,
}
_API_DEFAULTS: Final[Mapping[str, Any]] = {
    # Nothing said means version 1 to the token endpoint.
    "requestedAccessTokenVersion": None,
    "oauth2PermissionScopes": [],
    "preAuthorizedApplications": [],
}
_AUDIENCES: Final = (
    "AzureADMyOrg",
    "AzureADMultipleOrgs",
    "AzureADandPersonalMicrosoftAccount",
    "PersonalMicrosoftAccount",
)
_TOKEN_VERSIONS: Final = (None, 1, 2)


def make_application(body: Mapping[str, Any], unique_name: str) -> GraphObject:
    """Return a new application with what the body says and Graph's defaults for the rest.

    Raises:
        GraphRefusal: the body lacks a name, or has a field that only Graph writes.

    """
    if not body.get("displayName"):
        raise _bad("A value is required for property 'displayName' of resource 'Application'.")
    made = {
        **_DEFAULTS,
        "displayName": body["displayName"],
        "uniqueName": unique_name or None,
        "id": str(uuid4()),
        "appId": str(uuid4()),
    }
    return update_application({**made, "api": dict(_API_DEFAULTS)}, body)


def update_application(old: GraphObject, body: Mapping[str, Any]) -> GraphObject:
    """Return the application after the update.

    An update may name a scope as pre-authorized only if it was there before (as public issues say).

    Raises:
        GraphRefusal: the update changes what cannot be changed, or not like that.

    """
    for name in ("id", "appId"):
        if name in body:
            raise _bad(f"Property '{name}' is read-only and cannot be set.")
    if (
        "uniqueName" in body
        and old["uniqueName"] is not None
        and old["uniqueName"] != body["uniqueName"]
    ):
        raise _bad("Property 'uniqueName' is immutable.")
    unknown = body.keys() - _DEFAULTS.keys() - {"displayName"}
    if unknown:
        raise _bad(f"Invalid property '{min(unknown)}'.")
    new = {**old, **body, "api": {**_API_DEFAULTS, **body.get("api", old["api"])}}
    if new["signInAudience"] not in _AUDIENCES:
        raise _bad("Invalid value specified for property 'signInAudience'.")
    if new["api"]["requestedAccessTokenVersion"] not in _TOKEN_VERSIONS:
        raise _bad("Invalid value specified for property 'api.requestedAccessTokenVersion'.")
    _check_entitlements(old["appRoles"], new["appRoles"])
    old_scopes = old["api"].get("oauth2PermissionScopes", [])
    _check_entitlements(old_scopes, new["api"]["oauth2PermissionScopes"])
    new_scopes = new["api"]["oauth2PermissionScopes"]
    _check_pre_authorized(new["api"]["preAuthorizedApplications"], old_scopes, new_scopes)
    return new


def check_application(application: GraphObject, others: Iterable[GraphObject]) -> None:
    """Raise unless the application's unique values are its own.

    Raises:
        GraphRefusal: another application has one of them.

    """
    uris = [uri.lower() for uri in application["identifierUris"]]
    for other in others:
        if other["id"] == application["id"]:
            continue
        if set(uris) & {uri.lower() for uri in other["identifierUris"]}:
            raise _conflict("identifierUris")
        if application["uniqueName"] and application["uniqueName"] == other["uniqueName"]:
            raise _conflict("uniqueName")


def _check_entitlements(
    old: Collection[Mapping[str, Any]], new: Collection[Mapping[str, Any]]
) -> None:
    """Roles and scopes: none that is enabled goes or changes, but that it is disabled."""
    entries = {entry.get("id", ""): entry for entry in new}
    values = [entry.get("value") for entry in entries.values()]
    if not all(is_guid(entry_id) for entry_id in entries):
        raise _bad("The ID of a permission must be a GUID.")
    if len(values) != len(set(values)) or len(entries) != len(new):
        raise _bad("It contains duplicate values for a permission.")
    for before in old:
        after = entries.get(before["id"])
        is_changed = after is None or {**after, "isEnabled": True} != before
        if before["isEnabled"] and is_changed:
            raise GraphRefusal(
                400,
                "CannotDeleteOrUpdateEnabledEntitlement",
                "Permission (scope or role) cannot be deleted or updated unless disabled first.",
            )


def _check_pre_authorized(
    applications: Iterable[Mapping[str, Any]],
    old_scopes: Iterable[Mapping[str, Any]],
    new_scopes: Iterable[Mapping[str, Any]],
) -> None:
    known = {scope["id"] for scope in old_scopes} & {scope["id"] for scope in new_scopes}
    if any(not known.issuperset(entry["delegatedPermissionIds"]) for entry in applications):
        raise _bad(
            "Property api.preAuthorizedApplications.delegatedPermissionIds has a Permission Id that"
            " cannot be found in the AppPermissions sets.",
        )


def _bad(message: str) -> GraphRefusal:
    return GraphRefusal(400, "Request_BadRequest", message)


def _conflict(name: str) -> GraphRefusal:
    return GraphRefusal(
        400,
        "Request_BadRequest",
        f"Another object with the same value for property {name} already exists.",
        detail="ObjectConflict",
    )
