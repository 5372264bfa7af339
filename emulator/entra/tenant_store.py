"""The tenant as it is now: what Graph has changed, and what of it the rest of Entra ID sees yet."""

import uuid
from collections.abc import Mapping
from copy import replace
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from emulator.entra.directory import (
    MICROSOFT_GRAPH,
    ApiRegistration,
    Application,
    Caller,
    Directory,
    ManagedIdentity,
)
from shared.clock import Clock

type GraphObject = Mapping[str, Any]
"""An object as Graph shows it."""

NO_ROLE: Final = "00000000-0000-0000-0000-000000000000"
"""The role ID of an assignment without a role."""

_SEEDED: Final = uuid.UUID("5e6f0000-0000-4000-8000-0000000000aa")
_ALWAYS: Final = float("-inf")


class Objects:
    """Objects of one kind. A change is in force at once and seen when it has been replicated."""

    def __init__(self, clock: Clock, replication_delay: float) -> None:
        """Take the clock and the seconds after which a change is seen."""
        self._clock = clock
        self._delay = replication_delay
        self._versions: dict[str, list[_Version]] = {}

    def newest(self) -> list[GraphObject]:
        """Return the objects as the last writes left them."""
        last = (versions[-1].content for versions in self._versions.values())
        return [content for content in last if content is not None]

    def seen(self) -> list[GraphObject]:
        """Return the objects as a reader finds them now."""
        found = (self.find_seen(object_id) for object_id in self._versions)
        return [content for content in found if content is not None]

    def find_newest(self, object_id: str) -> GraphObject | None:
        """Return the object as the last write left it, or None."""
        versions = self._versions.get(object_id)
        return versions[-1].content if versions else None

    def find_seen(self, object_id: str) -> GraphObject | None:
        """Return the object as a reader finds it now, or None."""
        now = self._clock.monotonic()
        versions = self._versions.get(object_id, [])
        visible = [index for index, version in enumerate(versions) if version.visible_at <= now]
        if not visible:
            return None
        # What nobody will see again is forgotten.
        del versions[: visible[-1]]
        return versions[0].content

    def put(self, content: GraphObject, *, at_once: bool = False) -> None:
        """Write the object under its `id`."""
        self._append(content["id"], content, at_once=at_once)

    def remove(self, object_id: str) -> None:
        """Take the object away."""
        self._append(object_id, None, at_once=False)

    def _append(self, object_id: str, content: GraphObject | None, *, at_once: bool) -> None:
        visible_at = _ALWAYS if at_once else self._clock.monotonic() + self._delay
        self._versions.setdefault(object_id, []).append(_Version(visible_at, content))


class _Version(NamedTuple):
    visible_at: float
    content: GraphObject | None


@dataclass(slots=True)
class TenantStore:
    """A tenant that can be changed; `directory` is what the token endpoint works with."""

    base: Directory
    """The tenant as it was at the start."""
    clock: Clock
    replication_delay: float = 0.0
    """Seconds until a change is seen by readers, by role assignments and in tokens."""
    applications: Objects = field(init=False)
    service_principals: Objects = field(init=False)
    users: Objects = field(init=False)
    assignments: Objects = field(init=False)
    _identities: list[ManagedIdentity] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Show what the tenant has from the start to Graph as well."""
        self.applications = Objects(self.clock, self.replication_delay)
        self.service_principals = Objects(self.clock, self.replication_delay)
        self.users = Objects(self.clock, self.replication_delay)
        self.assignments = Objects(self.clock, self.replication_delay)
        base = self.base
        callers: list[Caller] = [*base.applications, *base.user_assigned]
        if base.system_assigned is not None:
            callers.append(base.system_assigned)
        for caller in callers:
            self._show_caller(caller, at_once=True)
        if base.api is not MICROSOFT_GRAPH:
            self._show_api(base.api, callers)

    @property
    def directory(self) -> Directory:
        """The tenant as tokens show it now."""
        apis = [
            api for application in self.applications.seen() if (api := self._to_api(application))
        ]
        seen = self.service_principals.find_seen
        identities = tuple(identity for identity in self._identities if seen(identity.object_id))
        own = next((api for api in apis if api.client_id == self.base.api.client_id), None)
        others = tuple(api for api in apis if api is not own)
        return replace(
            self.base,
            api=own or MICROSOFT_GRAPH,
            other_apis=(*others, *self.base.other_apis),
            user_assigned=(*self.base.user_assigned, *identities),
        )

    def add_managed_identity(self, name: str, resource_id: str = "") -> ManagedIdentity:
        """Return a user-assigned identity of that name; the same one for the same resource ID.

        Azure gives it to a site at once. Graph sees its service principal when it is replicated.
        """
        for identity in self._identities:
            if (identity.name, identity.resource_id) == (name, resource_id):
                return identity
        identity = ManagedIdentity(
            name, str(uuid.uuid4()), str(uuid.uuid4()), resource_id=resource_id
        )
        self._identities.append(identity)
        self._show_caller(identity, at_once=False)
        return identity

    def replace_application(self, application: Application) -> None:
        """Give the application of the same client ID these ways to sign in, at once.

        Its roles stay as they are: those are assigned through Graph.

        Raises:
            LookupError: the tenant has no such application.

        """
        known = self.base.find_application(application.client_id)
        if known is None:
            raise LookupError(f"the tenant has no application {application.client_id}")
        others = (other for other in self.base.applications if other is not known)
        self.base = replace(self.base, applications=(application, *others))

    def add_user(self, name: str) -> str:
        """Return the object ID of a new user of that display name."""
        object_id = str(uuid.uuid4())
        self.users.put({"id": object_id, "displayName": name}, at_once=True)
        return object_id

    def _show_caller(self, caller: Caller, *, at_once: bool) -> None:
        is_identity = isinstance(caller, ManagedIdentity)
        kind = "ManagedIdentity" if is_identity else "Application"
        self.service_principals.put(
            {
                "id": caller.object_id,
                "appId": caller.client_id,
                "displayName": caller.name,
                "servicePrincipalType": kind,
                "appRoleAssignmentRequired": False,
            },
            at_once=at_once,
        )

    def _show_api(self, api: ApiRegistration, callers: list[Caller]) -> None:
        service_principal_id = _seeded_id("service principal", api.client_id)
        name = "api"
        roles = [_seeded_role(api, value) for value in sorted(api.app_roles)]
        claims = [{"name": "idtyp"}] if api.has_identity_type_claim else []
        application = {
            "id": _seeded_id("application", api.client_id),
            "appId": api.client_id,
            "displayName": name,
            "uniqueName": None,
            "signInAudience": "AzureADMyOrg",
            "identifierUris": [api.app_id_uri],
            "api": {"requestedAccessTokenVersion": api.requested_access_token_version},
            "appRoles": roles,
            "optionalClaims": {"accessToken": claims},
        }
        self.applications.put(application, at_once=True)
        self.service_principals.put(
            {
                "id": service_principal_id,
                "appId": api.client_id,
                "displayName": name,
                "servicePrincipalType": "Application",
                "appRoleAssignmentRequired": api.is_assignment_required,
            },
            at_once=True,
        )
        for caller in callers:
            for value in sorted(caller.roles & api.app_roles):
                role_id = _seeded_id(api.client_id, value)
                self.assignments.put(
                    {
                        "id": _seeded_id(caller.object_id, role_id),
                        "principalId": caller.object_id,
                        "principalType": "ServicePrincipal",
                        "resourceId": service_principal_id,
                        "appRoleId": role_id,
                    },
                    at_once=True,
                )

    def _to_api(self, application: GraphObject) -> ApiRegistration | None:
        """Return what tokens for the application look like; None without a service principal."""
        service_principal = next(
            (
                found
                for found in self.service_principals.seen()
                if found["appId"] == application["appId"]
            ),
            None,
        )
        if service_principal is None:
            return None
        values = {
            role["id"]: role["value"] for role in application["appRoles"] if role["isEnabled"]
        }
        first_uri, *further = application["identifierUris"] or [""]
        claims = (application["optionalClaims"] or {}).get("accessToken") or []
        return ApiRegistration(
            application["appId"],
            first_uri,
            # Nothing said means version 1.
            requested_access_token_version=(
                2 if application["api"].get("requestedAccessTokenVersion") == 2 else 1  # noqa: PLR2004 - the version
            ),
            app_roles=frozenset(values.values()),
            is_assignment_required=service_principal["appRoleAssignmentRequired"],
            has_identity_type_claim=any(claim["name"] == "idtyp" for claim in claims),
            further_uris=tuple(further),
            assignments=frozenset(
                (found["principalId"], values.get(found["appRoleId"], ""))
                for found in self.assignments.seen()
                if found["resourceId"] == service_principal["id"]
            ),
        )


def _seeded_id(owner: str, name: str) -> str:
    return str(uuid.uuid5(_SEEDED, f"{owner} {name}"))


def _seeded_role(api: ApiRegistration, value: str) -> GraphObject:
    return {
        "id": _seeded_id(api.client_id, value),
        "value": value,
        "displayName": value,
        "description": value,
        "isEnabled": True,
        "allowedMemberTypes": ["Application"],
    }
