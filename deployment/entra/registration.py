"""The API's registration as it should be, as data: fields, app roles and who is assigned them.

Names and shapes are those of Microsoft Graph v1.0 (`application`, `servicePrincipal`,
`appRoleAssignment`). `docs/entra.md` says of each field why it matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from shared.guid import is_guid
from shared.routes import Role

AZURE_CLI_CLIENT_ID: Final = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The client ID of the Azure CLI, the same in every tenant."""
DEVELOPER_SCOPE: Final = "access_as_user"
"""The delegated scope with which a developer's Azure CLI gets a token for the API."""
SIGN_IN_AUDIENCE: Final = "AzureADMyOrg"
"""Only this tenant's users and applications."""
IDENTITY_TYPE_CLAIM: Final = "idtyp"
MEMBER_TYPES: Final = ("Application", "User")
"""Who can be assigned a role. Both from the start: an enabled role cannot be changed, and while it
is disabled for the change, tokens are issued without it, which Azure then keeps for a day."""

_NAMESPACE: Final = UUID("7f1c5d0e-6a52-4f0b-9d5e-3f2f0a8f4c11")
_DESCRIPTIONS: Final[Mapping[Role, tuple[str, str]]] = {
    Role.READ: ("Read records", "Read every record and follow the change feed."),
    Role.WRITE: ("Write records", "Create, replace and delete records."),
}


@dataclass(frozen=True, slots=True)
class WantedRegistration:
    """What the environment asks of Entra ID. One environment has one registration.

    Raises:
        ValueError: an ID is no GUID in lower case, or the Application ID URI is not the tenant's.

    """

    tenant_id: str
    name: str
    """The display name, and the `uniqueName` by which the registration is found again."""
    app_id_uri: str
    token_version: Literal[1, 2] = 2
    identity_principal_id: str = ""
    """The object ID of the Function App's identity; empty while there is none."""
    identity_roles: frozenset[Role] = frozenset({Role.READ})
    """The roles that the identity needs: to sync, `Records.Read`."""
    developers: tuple[str, ...] = ()
    """The object IDs of the people (or groups) who may call with their own sign-in."""
    developer_roles: frozenset[Role] = frozenset({Role.READ})

    def __post_init__(self) -> None:
        """Check what would end in an address or in a shell line."""
        named = [self.identity_principal_id] if self.identity_principal_id else []
        for value in (self.tenant_id, *named, *self.developers):
            if not is_guid(value):
                raise ValueError(f"{value!r} is not a GUID in lower case")
        if self.app_id_uri != f"api://{self.tenant_id}/{self.name}":
            raise ValueError(
                f"{self.app_id_uri!r} is not api://{self.tenant_id}/{self.name}, the form that "
                "tenants accept and that is known before the registration is made"
            )
        if not set(self.name) <= _NAME_CHARACTERS or not self.name:
            raise ValueError(f"{self.name!r} is not made of a-z, 0-9 and hyphens")

    @property
    def has_developers(self) -> bool:
        """Whether people may call with their own sign-in."""
        return bool(self.developers)

    def role_id(self, value: str) -> str:
        """Return the ID that the registration gives to the role, the same on every run."""
        return str(uuid5(_NAMESPACE, f"{self.app_id_uri} role {value}"))

    @property
    def scope_id(self) -> str:
        """The ID that the registration gives to the developers' scope."""
        return str(uuid5(_NAMESPACE, f"{self.app_id_uri} scope {DEVELOPER_SCOPE}"))

    def app_roles(self) -> list[dict[str, Any]]:
        """Return the API's app roles, in the order of `shared/routes.py`."""
        return [
            {
                "id": self.role_id(role),
                "value": role.value,
                "displayName": _DESCRIPTIONS[role][0],
                "description": _DESCRIPTIONS[role][1],
                "isEnabled": True,
                "allowedMemberTypes": list(MEMBER_TYPES),
            }
            for role in Role
        ]

    def scopes(self) -> list[dict[str, Any]]:
        """Return the API's delegated scopes: one for developers, none without them."""
        if not self.has_developers:
            return []
        return [
            {
                "id": self.scope_id,
                "value": DEVELOPER_SCOPE,
                "type": "Admin",
                "isEnabled": True,
                "adminConsentDisplayName": f"Call {self.name} as the signed-in developer",
                "adminConsentDescription": "Lends those of the developer's app roles that the API"
                " accepts from this application.",
            }
        ]

    def pre_authorized_applications(self) -> list[dict[str, Any]]:
        """Return the applications that need no consent: the Azure CLI, for developers."""
        if not self.has_developers:
            return []
        return [{"appId": AZURE_CLI_CLIENT_ID, "delegatedPermissionIds": [self.scope_id]}]

    def grants(self) -> tuple["Grant", ...]:
        """Return who is to be assigned which role."""
        found = []
        if self.identity_principal_id:
            found += [
                Grant(self.identity_principal_id, role, is_developer=False)
                for role in Role
                if role in self.identity_roles
            ]
        for developer in dict.fromkeys(self.developers):
            found += [
                Grant(developer, role, is_developer=True)
                for role in Role
                if role in self.developer_roles
            ]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Grant:
    """One app role for one principal."""

    principal_id: str
    role: Role
    is_developer: bool


_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def authorizer_settings(wanted: WantedRegistration) -> dict[str, str]:
    """Return what the authorizer must be told, so that it lets the developers in and no others.

    Both are empty without developers. `ALLOWED_CLIENT_IDS` is what to add to the identity's client
    ID and further callers. A developer's token lends the roles in `DELEGATED_SCOPES`, and of those
    only what the developer has been assigned.
    """
    if not wanted.has_developers:
        return {"ALLOWED_CLIENT_IDS": "", "DELEGATED_SCOPES": ""}
    roles = "+".join(role for role in Role if role in wanted.developer_roles)
    return {
        "ALLOWED_CLIENT_IDS": AZURE_CLI_CLIENT_ID,
        "DELEGATED_SCOPES": f"{DEVELOPER_SCOPE}={roles}",
    }
