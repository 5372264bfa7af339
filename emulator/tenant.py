"""The local tenant: the API, everyone who calls it locally, and their credentials.

The IDs are fixed, so that a command copied from a page works on the next start too. Secrets and
keys are new at each start.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from emulator.client_certificate import make_client_certificate
from emulator.entra.directory import (
    AZURE_MONITOR,
    AZURE_STORAGE,
    MICROSOFT_GRAPH,
    ApiRegistration,
    Application,
    Directory,
    FederatedCredential,
    ManagedIdentity,
)
from shared.clock import Clock
from shared.entra import TokenVersion, parse_local_authority
from shared.routes import Role

TENANT_ID: Final = "5e6f0000-0000-4000-8000-000000000001"
API_CLIENT_ID: Final = "a9100000-0000-4000-8000-000000000001"
API_APP_ID_URI: Final = f"api://{API_CLIENT_ID}"

_WORKLOAD_ISSUER: Final = "https://workload.example"
_WORKLOAD_SUBJECT: Final = "system:serviceaccount:bridge:sync"
_WORKLOAD_KEY_ID: Final = "workload"
_EXCHANGE_AUDIENCE: Final = "api://AzureADTokenExchange"
_CREDENTIAL_LIFETIME: Final = timedelta(days=1)
_KEY_SIZE: Final = 2048


class LocalCredentialKind(StrEnum):
    """The credential kinds that the local tenant has something for."""

    MANAGED_IDENTITY = "managed_identity"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - a kind's name, no secret
    CLIENT_CERTIFICATE = "client_certificate"
    WORKLOAD_IDENTITY = "workload_identity"
    MANAGED_IDENTITY_FEDERATION = "managed_identity_federation"


@dataclass(frozen=True, slots=True)
class LocalTenant:
    """The tenant's directory, and its callers by what they are there for."""

    directory: Directory
    function_app: ManagedIdentity
    """The Function App's system-assigned identity; may read."""
    service_principal: Application
    """May read, and signs in by secret, certificate or federation."""
    editor: Application
    """May read and write, as an application that changes records at the source."""
    without_role: Application
    """On the authorizer's list, but without a role."""
    unknown_client: Application
    """Has the role, but is not on the authorizer's list."""
    settings_by_credential: Mapping[LocalCredentialKind, Mapping[str, str]] = field(repr=False)
    """What the Function App must be told to use each credential kind."""

    @property
    def allowed_client_ids(self) -> tuple[str, ...]:
        """The applications that the authorizer lets in."""
        allowed = (self.function_app, self.service_principal, self.editor, self.without_role)
        return tuple(caller.client_id for caller in allowed)


def build_local_tenant(
    folder: Path, authority: str, clock: Clock, *, token_version: Literal[1, 2] = 2
) -> LocalTenant:
    """Return the local tenant at that authority; its credential files go into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate = make_client_certificate("service-principal", _CREDENTIAL_LIFETIME, clock)
    certificate_file = _write_secret(folder / "service-principal.pem", certificate.with_private_key)
    federation, token_file = _make_federation(folder, clock)
    function_app = ManagedIdentity(
        "function-app", _client_id(1), _object_id(1), roles=frozenset({Role.READ})
    )
    voucher = ManagedIdentity("voucher", _client_id(2), _object_id(2))
    own_issuer = parse_local_authority(authority).issuer(TENANT_ID, TokenVersion.V2)
    service_principal = Application(
        "service-principal",
        _client_id(3),
        _object_id(3),
        roles=frozenset({Role.READ}),
        secrets=(secrets.token_urlsafe(32),),
        certificates=(certificate.public,),
        federated_credentials=(federation, FederatedCredential(own_issuer, voucher.object_id)),
    )
    editor = _application(4, "editor", frozenset(Role))
    without_role = _application(5, "without-role", frozenset())
    unknown_client = _application(6, "unknown-client", frozenset({Role.READ}))
    return LocalTenant(
        directory=Directory(
            tenant_id=TENANT_ID,
            api=ApiRegistration(
                API_CLIENT_ID,
                API_APP_ID_URI,
                requested_access_token_version=token_version,
                app_roles=frozenset(Role),
            ),
            applications=(service_principal, editor, without_role, unknown_client),
            system_assigned=function_app,
            user_assigned=(voucher,),
            other_apis=(AZURE_STORAGE, AZURE_MONITOR, MICROSOFT_GRAPH),
        ),
        function_app=function_app,
        service_principal=service_principal,
        editor=editor,
        without_role=without_role,
        unknown_client=unknown_client,
        settings_by_credential={
            LocalCredentialKind.MANAGED_IDENTITY: {},
            LocalCredentialKind.CLIENT_SECRET: {
                "AZURE_CLIENT_ID": service_principal.client_id,
                "AZURE_CLIENT_SECRET": service_principal.secrets[0],
            },
            LocalCredentialKind.CLIENT_CERTIFICATE: {
                "AZURE_CLIENT_ID": service_principal.client_id,
                "AZURE_CLIENT_CERTIFICATE_PATH": str(certificate_file),
            },
            LocalCredentialKind.WORKLOAD_IDENTITY: {
                "AZURE_CLIENT_ID": service_principal.client_id,
                "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
            },
            LocalCredentialKind.MANAGED_IDENTITY_FEDERATION: {
                "AZURE_CLIENT_ID": service_principal.client_id,
                "MANAGED_IDENTITY_CLIENT_ID": voucher.client_id,
            },
        },
    )


def _client_id(number: int) -> str:
    return f"c0de0000-0000-4000-8000-{number:012}"


def _object_id(number: int) -> str:
    return f"0b1d0000-0000-4000-8000-{number:012}"


def _application(number: int, name: str, roles: frozenset[str]) -> Application:
    return Application(
        name,
        _client_id(number),
        _object_id(number),
        roles=roles,
        secrets=(secrets.token_urlsafe(32),),
    )


def _make_federation(folder: Path, clock: Clock) -> tuple[FederatedCredential, Path]:
    """Return the trust in another issuer, and the file that holds that issuer's token."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_SIZE)
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    now = int(clock.now())
    claims = {
        "iss": _WORKLOAD_ISSUER,
        "sub": _WORKLOAD_SUBJECT,
        "aud": _EXCHANGE_AUDIENCE,
        "iat": now,
        "exp": now + int(_CREDENTIAL_LIFETIME.total_seconds()),
    }
    token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": _WORKLOAD_KEY_ID})
    key_set = {"keys": [jwk | {"kid": _WORKLOAD_KEY_ID, "use": "sig"}]}
    trust = FederatedCredential(_WORKLOAD_ISSUER, _WORKLOAD_SUBJECT, key_set=key_set)
    return trust, _write_secret(folder / "federated-token", token.encode())


def _write_secret(path: Path, content: bytes) -> Path:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
