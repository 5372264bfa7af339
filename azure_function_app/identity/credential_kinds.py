"""The kinds of credential, each with what it needs, and where one gets its tokens."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from shared.contract import ApiIdentity


class CredentialKind(StrEnum):
    """The ways of getting a token that `CREDENTIAL` can name."""

    MANAGED_IDENTITY = "managed_identity"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - a kind's name, no secret
    CLIENT_CERTIFICATE = "client_certificate"
    WORKLOAD_IDENTITY = "workload_identity"
    MANAGED_IDENTITY_FEDERATION = "managed_identity_federation"
    AZURE_CLI = "azure_cli"


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity that the platform gives the app: nothing to store, nothing to rotate."""

    kind: ClassVar = CredentialKind.MANAGED_IDENTITY
    asks_entra: ClassVar = False
    client_id: str | None
    """Which user-assigned identity; None means the system-assigned one."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A service principal that proves itself with a secret."""

    kind: ClassVar = CredentialKind.CLIENT_SECRET
    asks_entra: ClassVar = True
    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A service principal that proves itself with a certificate's private key."""

    kind: ClassVar = CredentialKind.CLIENT_CERTIFICATE
    asks_entra: ClassVar = True
    client_id: str
    path: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """A service principal that proves itself with another issuer's token, kept in a file."""

    kind: ClassVar = CredentialKind.WORKLOAD_IDENTITY
    asks_entra: ClassVar = True
    client_id: str
    token_file: str


@dataclass(frozen=True, slots=True)
class ManagedIdentityFederation:
    """A service principal that proves itself with a user-assigned managed identity's token."""

    kind: ClassVar = CredentialKind.MANAGED_IDENTITY_FEDERATION
    asks_entra: ClassVar = True
    client_id: str
    managed_identity_client_id: str


@dataclass(frozen=True, slots=True)
class AzureCli:
    """The person who is signed in to the Azure CLI: a developer, never a deployment."""

    kind: ClassVar = CredentialKind.AZURE_CLI
    asks_entra: ClassVar = False


# Each says which `kind` it is of, and whether it asks Entra ID itself (`asks_entra`): those need to
# know where that is.
type CredentialSettings = (
    ManagedIdentity
    | ClientSecret
    | ClientCertificate
    | WorkloadIdentity
    | ManagedIdentityFederation
    | AzureCli
)


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the tokens for the API come from: who asks for them, and whom."""

    credential: CredentialSettings
    api: ApiIdentity
    """What the tokens are for."""
    authority: str
    """Scheme and host (and port) that the credential asks for tokens, without a trailing slash."""

    @property
    def is_local_authority(self) -> bool:
        """Return whether the local emulator issues the tokens, which no list of clouds has."""
        return self.api.cloud.name == "local"
