"""The tenant as plain data: the API, the applications that may call it, and managed identities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self, assert_never

from shared.entra import TokenVersion


@dataclass(frozen=True, slots=True)
class ApiRegistration:
    """The registration of an API: what tokens for it look like."""

    client_id: str
    app_id_uri: str
    requested_access_token_version: Literal[1, 2] = 2
    """As in the registration's manifest. Only it decides the version of the token, never the
    endpoint that the caller used."""
    app_roles: frozenset[str] = frozenset()
    """The app roles that the API declares; only these reach a token."""
    is_assignment_required: bool = False
    """Whether callers without a role get no token at all (`appRoleAssignmentRequired`)."""
    has_identity_type_claim: bool = True
    """Whether the registration asks for the optional claim `idtyp`."""
    further_uris: tuple[str, ...] = ()
    """Other Application ID URIs that name the API too."""
    assignments: frozenset[tuple[str, str]] | None = None
    """Who has been assigned which role: object ID and role. None where the callers' own data says
    it."""

    @property
    def token_version(self) -> TokenVersion:
        """The `ver` of this API's tokens."""
        match self.requested_access_token_version:
            case 1:
                return TokenVersion.V1
            case 2:
                return TokenVersion.V2
            case _:
                assert_never(self.requested_access_token_version)

    def is_named_by(self, resource: str) -> bool:
        """Return whether this resource names this API; a slash at the end makes no difference."""
        uris = (uri.rstrip("/") for uri in (self.app_id_uri, *self.further_uris) if uri)
        return resource == self.client_id or resource.rstrip("/") in uris

    def roles_of(self, caller: "Caller") -> frozenset[str]:
        """Return the API's roles that the caller has been assigned."""
        if self.assignments is None:
            return caller.roles & self.app_roles
        return self.app_roles & {
            role for object_id, role in self.assignments if object_id == caller.object_id
        }

    def is_assigned(self, caller: "Caller") -> bool:
        """Return whether the caller has been assigned anything, be it without a role."""
        if self.assignments is None:
            return bool(self.roles_of(caller))
        return any(object_id == caller.object_id for object_id, _ in self.assignments)


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """An application's trust in tokens of another issuer (workload identity federation).

    All three are compared exactly, case included, without wildcards.
    """

    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"
    key_set: Mapping[str, object] | None = None
    """The issuer's key set. Entra ID fetches it; this emulator is handed it, so that it never
    leaves the machine. None where the issuer is this tenant (managed identity as credential)."""


@dataclass(frozen=True, slots=True)
class Application:
    """A confidential client with its service principal, and every way in which it may sign in."""

    name: str
    client_id: str
    object_id: str
    """The service principal's object ID: `oid` and `sub` of its tokens."""
    roles: frozenset[str] = frozenset()
    """The app roles that it has been assigned."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    expired_secrets: tuple[str, ...] = field(default=(), repr=False)
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    """Public X.509 certificates in PEM."""
    federated_credentials: tuple[FederatedCredential, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """An identity that Azure keeps the credentials of."""

    name: str
    client_id: str
    object_id: str
    roles: frozenset[str] = frozenset()
    resource_id: str = ""
    """The ARM resource ID of a user-assigned identity; empty where it plays no role."""


Caller = Application | ManagedIdentity
"""A caller that can be given a token."""

TOKEN_EXCHANGE: Final = ApiRegistration(
    client_id="fb60f99c-7a34-4190-8149-302f77469936",
    app_id_uri="api://AzureADTokenExchange",
)
"""Microsoft's own API that a managed identity asks a token for, to use it as an assertion."""

MICROSOFT_GRAPH: Final = ApiRegistration(
    client_id="00000003-0000-0000-c000-000000000000",
    app_id_uri="https://graph.microsoft.com",
    requested_access_token_version=1,
    has_identity_type_claim=False,
)
"""Microsoft's own API that changes a directory; every tenant has it."""

AZURE_STORAGE: Final = ApiRegistration(
    client_id="e406a681-f3d4-42a8-90b6-c2b029497af1",
    app_id_uri="https://storage.azure.com",
)
"""What a token for blobs, queues and tables is for; every tenant has it."""

AZURE_MONITOR: Final = ApiRegistration(
    # Made up: Microsoft's pages name it by its URI only, and nobody asks for it by anything else.
    client_id="6d6f6e69-746f-4722-8000-000000000001",
    app_id_uri="https://monitor.azure.com",
    requested_access_token_version=1,
)
"""What a token for Application Insights is for; every tenant has it."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One tenant."""

    tenant_id: str
    api: ApiRegistration
    applications: tuple[Application, ...] = ()
    system_assigned: ManagedIdentity | None = None
    """The identity that a request without a selector means."""
    user_assigned: tuple[ManagedIdentity, ...] = ()
    other_apis: tuple[ApiRegistration, ...] = ()
    """Further resources that tokens are issued for, such as Azure Storage."""
    token_lifetime: int = 3600
    """Seconds for which a token given to an application is good."""
    managed_identity_token_lifetime: int = 86_400
    """Seconds for which a token given to a managed identity is good."""

    @classmethod
    def empty(cls, tenant_id: str) -> Self:
        """Return a tenant on its first day: nobody has registered an API or an application."""
        return cls(tenant_id, api=MICROSOFT_GRAPH, other_apis=(AZURE_STORAGE, AZURE_MONITOR))

    def find_api(self, resource: str) -> ApiRegistration | None:
        """Return the API that a resource names, by App ID URI or client ID."""
        for api in (self.api, *self.other_apis, TOKEN_EXCHANGE):
            if api.is_named_by(resource):
                return api
        return None

    def find_application(self, client_id: str) -> Application | None:
        """Return the application with this client ID, in any case."""
        for application in self.applications:
            if application.client_id == client_id.lower():
                return application
        return None

    def find_managed_identity(self, selector: str, value: str) -> ManagedIdentity | None:
        """Return the user-assigned identity that a selector names, or None."""
        for identity in self.user_assigned:
            known = {
                "client_id": identity.client_id,
                "principal_id": identity.object_id,
                "object_id": identity.object_id,
                "mi_res_id": identity.resource_id,
            }[selector]
            if known and known.lower() == value.lower():
                return identity
        return None
