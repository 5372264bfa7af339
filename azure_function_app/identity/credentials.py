"""The credential that the settings name: azure-identity's own classes, sync, over our transport.

A credential keeps a cache of its own and hands the old token back until five minutes before its
end, or refreshes it when it sees fit. The token provider has its own plan, so each request is made
with a new credential: that also reads a rotated certificate or token file again, and leaves no open
connection between refreshes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, assert_never

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from azure_function_app.deadline import Deadline
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
from azure_function_app.identity.token_transport import (
    EXCHANGE_SECONDS,
    Endpoint,
    build_transport,
)
from shared.clock import Clock, SystemClock

_EXCHANGE_SCOPES: Final = {
    "public": "api://AzureADTokenExchange/.default",
    "usgov": "api://AzureADTokenExchangeUSGov/.default",
    "china": "api://AzureADTokenExchangeChina/.default",
    "local": "api://AzureADTokenExchange/.default",
}
"""What a managed identity's token must be for, to be good as an assertion, in each cloud."""

MISREADINGS: Final = (AttributeError, TypeError, OverflowError, RecursionError)
"""What the libraries raise where an endpoint answers with JSON that is none of its answers."""
_CLI_SECONDS: Final = 10
_CLOCK: Final = SystemClock()


class Credential(TokenCredential, Protocol):
    """A credential of azure-identity: it obtains tokens, and it can be closed."""

    def __enter__(self) -> object:
        """Open what it needs."""

    def __exit__(self, *args: object) -> None:
        """Close what it opened."""


def build_credential(
    source: TokenSource,
    *,
    proxy_url: str | None = None,
    ca_file: str | None = None,
    deadline: Deadline | None = None,
    clock: Clock = _CLOCK,
) -> Credential:
    """Return a new credential of the kind that the source names, with an empty cache.

    Neither a proxy nor an authority to trust is taken from the environment.

    Args:
        source: who asks, and whom.
        proxy_url: an HTTP proxy through which to reach Entra ID. A managed identity's endpoint is
            on this machine, and what it is sent is a secret, so it is never asked through one.
        ca_file: authorities to trust, in PEM, beside the public ones that certifi lists.
        deadline: by when everything that the credential ever asks must be over; by default each of
            its exchanges has a limit of its own.
        clock: measures those.

    Raises:
        ValueError: the proxy's URL is none, or azure-identity refuses a value.
        OSError: the certificate or the file of authorities cannot be read.

    """
    identity_transport = partial(
        build_transport, Endpoint.MANAGED_IDENTITY, clock, deadline=deadline, ca_file=ca_file
    )
    tenant_id = source.api.tenant_id
    if isinstance(source.credential, ManagedIdentity):
        return _managed_identity(source.credential.client_id, identity_transport)
    if isinstance(source.credential, AzureCli):
        return AzureCliCredential(tenant_id=tenant_id, process_timeout=_CLI_SECONDS)
    entra: dict[str, Any] = {
        "transport": build_transport(
            Endpoint.ENTRA, clock, deadline=deadline, proxy_url=proxy_url, ca_file=ca_file
        ),
        "retry_total": 0,
        "authority": source.authority,
        # The emulator is in no list of known authorities.
        "disable_instance_discovery": source.is_local_authority,
    }
    match source.credential:
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
                _managed_identity_assertion(identity, source.api.cloud.name, identity_transport),
                **entra,
            )
        case _:
            assert_never(source.credential)


def _managed_identity(
    client_id: str | None, build: Callable[[], RequestsTransport]
) -> ManagedIdentityCredential:
    return ManagedIdentityCredential(client_id=client_id, transport=build(), retry_total=0)


def _managed_identity_assertion(
    client_id: str, cloud_name: str, build: Callable[[], RequestsTransport]
) -> Callable[[], str]:
    def assertion() -> str:
        with _managed_identity(client_id, build) as credential:
            return str(credential.get_token(_EXCHANGE_SCOPES[cloud_name]).token)

    return assertion


def request_token(
    source: TokenSource,
    *,
    scope: str | None = None,
    proxy_url: str | None = None,
    ca_file: str | None = None,
    clock: Clock = _CLOCK,
) -> AccessToken:
    """Return a token for the API, obtained now. Blocks, so it belongs into a thread.

    It ends within `EXCHANGE_SECONDS`, whatever the endpoints do; only a name look-up and the Azure
    CLI have limits of their own. With a scope the token is for what that names instead. The other
    keywords are those of `build_credential`.

    Raises:
        TokenAcquisitionError: with one sentence that names the setting to change.

    """
    try:
        credential = build_credential(
            source,
            proxy_url=proxy_url,
            ca_file=ca_file,
            deadline=Deadline.after(EXCHANGE_SECONDS, clock),
            clock=clock,
        )
        with credential:
            token = credential.get_token(scope or source.api.scope)
            if not isinstance(token.token, str):
                raise TypeError("the token is no string")
    except (AzureError, ValueError, OSError, *MISREADINGS) as error:
        # ValueError and OSError: the certificate or token file is not there or not readable.
        code, message = explain_token_failure(str(error), source)
        raise TokenAcquisitionError(message, code=code) from error
    return AccessToken(token.token, float(token.expires_on))
