"""The credential that the settings name: azure-identity's own classes, unmodified and sync.

A credential keeps a cache of its own and hands the old token back until five minutes before its
end, or refreshes it when it sees fit. The token provider has its own plan, so each request is made
with a new credential: that also reads a rotated certificate or token file again, and leaves no open
connection between refreshes.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol, assert_never

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.credential_kinds import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    ManagedIdentity,
    ManagedIdentityFederation,
    TokenSource,
    WorkloadIdentity,
)
from azure_function_app.identity.entra_errors import explain_token_failure

_EXCHANGE_SCOPES: Final = {
    "public": "api://AzureADTokenExchange/.default",
    "usgov": "api://AzureADTokenExchangeUSGov/.default",
    "china": "api://AzureADTokenExchangeChina/.default",
    "local": "api://AzureADTokenExchange/.default",
}
"""What a managed identity's token must be for, to be good as an assertion, in each cloud."""

# The SDK's defaults wait five minutes for a read and try ten times over. The thread that asks must
# end by itself, because nothing can end it from outside; the provider does the trying again.
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 10
_RETRIES: Final = 1


class Credential(TokenCredential, Protocol):
    """A credential of azure-identity: it obtains tokens, and it can be closed."""

    def __enter__(self) -> object:
        """Open what it needs."""

    def __exit__(self, *args: object) -> None:
        """Close what it opened."""


def build_credential(source: TokenSource) -> Credential:
    """Return a new credential of the kind that the source names, with an empty cache."""
    tenant_id = source.api.tenant_id
    transport: dict[str, Any] = {
        "connection_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retry_total": _RETRIES,
    }
    entra = {
        **transport,
        "authority": source.authority,
        # The emulator is in no list of known authorities.
        "disable_instance_discovery": source.is_local_authority,
    }
    match source.credential:
        case ManagedIdentity(client_id=client_id):
            return ManagedIdentityCredential(client_id=client_id, **transport)
        case ClientSecret(client_id=client_id, secret=secret):
            return ClientSecretCredential(tenant_id, client_id, secret, **entra)
        case ClientCertificate(client_id=client_id, path=path, password=password):
            return CertificateCredential(tenant_id, client_id, path, password=password, **entra)
        case WorkloadIdentity(client_id=client_id, token_file=token_file):
            return WorkloadIdentityCredential(
                tenant_id=tenant_id, client_id=client_id, token_file_path=token_file, **entra
            )
        case ManagedIdentityFederation(client_id=client_id, managed_identity_client_id=identity):
            return ClientAssertionCredential(
                tenant_id,
                client_id,
                _managed_identity_assertion(identity, source.api.cloud.name, transport),
                **entra,
            )
        case AzureCli():
            return AzureCliCredential(tenant_id=tenant_id, process_timeout=_READ_SECONDS)
        case _:
            assert_never(source.credential)


def _managed_identity_assertion(
    client_id: str, cloud_name: str, transport: dict[str, Any]
) -> Callable[[], str]:
    def assertion() -> str:
        with ManagedIdentityCredential(client_id=client_id, **transport) as credential:
            return str(credential.get_token(_EXCHANGE_SCOPES[cloud_name]).token)

    return assertion


def request_token(source: TokenSource) -> AccessToken:
    """Return a token for the API, obtained now. Blocks, so it belongs into a thread.

    Raises:
        TokenAcquisitionError: with one sentence that names the setting to change.

    """
    try:
        credential = build_credential(source)
        with credential:
            token = credential.get_token(source.api.scope)
    except (AzureError, ValueError, OSError) as error:
        # ValueError and OSError: the certificate or token file is not there or not readable.
        code, message = explain_token_failure(str(error), source)
        raise TokenAcquisitionError(message, code=code) from error
    return AccessToken(token.token, float(token.expires_on))
