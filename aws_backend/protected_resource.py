"""The API's public metadata: which tokens it takes, and who issues them (RFC 9728)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_backend.dispatch import Operation
from aws_backend.errors import PublicUrlUnknown
from aws_backend.proxy_event import BackendRequest, BackendResponse, json_response
from shared.contract import ApiIdentity
from shared.entra import TokenVersion

METADATA_PATH: Final = "/.well-known/oauth-protected-resource"
CLIENT_ID_MEMBER: Final = "azure_aws_bridge_api_client_id"
TOKEN_VERSIONS_MEMBER: Final = "azure_aws_bridge_token_versions"  # noqa: S105 - a name
"""Beyond those of RFC 9728, whose section 2 lets there be more: what `bridge doctor` compares with
the caller's own settings. Both stand in every token, and neither says who is let in."""

_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class ProtectedResourceApi:
    """Tells anyone how to get a token for this API."""

    identity: ApiIdentity
    public_url: str | None
    """The API's address as callers know it; None takes API Gateway's word for it."""

    def operations(self) -> Mapping[tuple[str, str], Operation]:
        """Return the one operation, by method and route."""
        return {("GET", METADATA_PATH): self.get_metadata}

    def get_metadata(self, request: BackendRequest) -> BackendResponse:
        """Return the metadata document (RFC 9728 section 3.2)."""
        document = {
            "resource": self.public_url or _gateway_url(request),
            # The v2.0 endpoint issues the tokens of either version: the API's registration decides.
            "authorization_servers": [self.identity.issuer(TokenVersion.V2)],
            "scopes_supported": [self.identity.scope],
            "bearer_methods_supported": ["header"],
            CLIENT_ID_MEMBER: self.identity.client_id,
            TOKEN_VERSIONS_MEMBER: sorted(self.identity.token_versions),
        }
        return json_response(200, document, {"Cache-Control": "public, max-age=3600"})


def _gateway_url(request: BackendRequest) -> str:
    """Return the URL that API Gateway says was called.

    `domainName` is the domain that the gateway has routed by, so it belongs to this API; the Host
    header, which a caller or a cache in between may set, is never read.
    """
    host = (request.domain_name or "").lower()
    base_path = request.full_path.removesuffix(METADATA_PATH)
    is_known = base_path != request.full_path and _BASE_PATH.fullmatch(base_path)
    if not _HOST.fullmatch(host) or not is_known:
        raise PublicUrlUnknown("Something went wrong; our log says what.") from ValueError(
            "API Gateway names no domain; set PUBLIC_URL to the API's address"
        )
    return f"https://{host}{base_path}"
