"""The token that a person's Azure CLI gets for an API: no browser, but Entra ID's conditions."""

from typing import Any

from emulator.entra.directory import Application
from emulator.entra.errors import EntraRefusal
from emulator.entra.graph.rights import AZURE_CLI
from emulator.entra.issuer import Issuer
from emulator.entra.tenant_store import GraphObject, TenantStore
from shared.entra import TokenVersion

_CLAIMS_OF_APPLICATIONS = ("idtyp", "azpacr", "appidacr")


def make_developer_token(store: TenantStore, issuer: Issuer, user_id: str, resource: str) -> str:
    """Return what `az account get-access-token --scope <resource>/.default` prints for the user.

    Raises:
        EntraRefusal: there is no such API, the Azure CLI is not pre-authorized for a scope of it,
            or the user is not assigned to it. Which of the last two Entra ID looks at first is not
            verified.

    """
    directory = store.directory
    api = directory.find_api(resource)
    user = store.users.find_seen(user_id)
    application = next(
        (found for found in store.applications.seen() if api and found["appId"] == api.client_id),
        None,
    )
    if api is None or application is None or user is None:
        raise EntraRefusal(
            500011,
            "invalid_resource",
            f"The resource principal named {resource} was not found in the tenant named "
            f"{directory.tenant_id}.",
        )
    scopes = _pre_authorized_scopes(application)
    if not scopes:
        raise EntraRefusal(
            65001,
            "invalid_grant",
            "The user or administrator has not consented to use the application with ID "
            f"'{AZURE_CLI}' named 'Microsoft Azure CLI'.",
        )
    caller = Application(str(user["displayName"]), AZURE_CLI, user_id)
    if api.is_assignment_required and not api.is_assigned(caller):
        raise EntraRefusal(
            50105,
            "invalid_grant",
            "The signed in user is not assigned to a role for the application "
            f"'{api.client_id}'({application['displayName']}).",
        )
    claims = issuer.claims_for(caller, api=api, resource=resource)
    for name in _CLAIMS_OF_APPLICATIONS:
        claims.pop(name, None)
    # A public client proves nothing for itself; the user has signed in.
    strength = "azpacr" if claims["ver"] == TokenVersion.V2 else "appidacr"
    claims |= {strength: "0", "scp": " ".join(scopes), "name": user["displayName"]}
    # Another one for every application, so that two cannot compare whom they see.
    claims["sub"] = f"pairwise-{user_id}"
    return issuer.sign(claims)


def _pre_authorized_scopes(application: GraphObject) -> list[str]:
    api: dict[str, Any] = application["api"]
    allowed = {
        scope_id
        for entry in api.get("preAuthorizedApplications", ())
        if entry["appId"] == AZURE_CLI
        for scope_id in entry["delegatedPermissionIds"]
    }
    return [
        scope["value"]
        for scope in api.get("oauth2PermissionScopes", ())
        if scope["id"] in allowed and scope["isEnabled"]
    ]
