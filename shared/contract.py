"""The claim contract's identity part: which tenant, which issuer, which audience, which API.

Both clouds read it from the same settings, so they cannot disagree. The caller's side asks for
`scope`; the authorizer accepts `issuer` and `audiences`.
"""

import re
from typing import Final, NamedTuple, assert_never

from shared.entra import CLOUDS, Cloud, TokenVersion, parse_local_authority
from shared.guid import parse_guid
from shared.settings_reader import Setting, SettingsReader

# Not urllib, whose import would be paid for at every cold start of the authorizer.
_APP_ID_URI: Final = r"(?:api|https)://[^\s/?#]+(?:/[^\s?#]*)?"


def _parse_app_id_uri(text: str) -> str:
    if not text:
        return text
    if not re.fullmatch(_APP_ID_URI, text):
        raise ValueError("no App ID URI")
    if text.endswith("/.default"):
        raise ValueError("a scope, not an App ID URI")
    return text


def _parse_cloud(text: str) -> Cloud:
    try:
        return CLOUDS[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _parse_token_versions(text: str) -> frozenset[TokenVersion]:
    return frozenset(TokenVersion(item.strip()) for item in text.split(","))


def _parse_optional_authority(text: str) -> Cloud | None:
    return parse_local_authority(text) if text else None


ENTRA_TENANT_ID: Final = Setting(
    "ENTRA_TENANT_ID",
    "The Entra ID tenant that issues the tokens.",
    "the tenant's GUID, as on the Entra overview page",
    parse_guid,
    example="00000000-0000-0000-0000-000000000001",
)
ENTRA_CLOUD: Final = Setting(
    "ENTRA_CLOUD",
    "The Entra ID cloud that the tenant lives in.",
    f"one of {', '.join(CLOUDS)}",
    _parse_cloud,
    default="public",
)
API_CLIENT_ID: Final = Setting(
    "API_CLIENT_ID",
    "The application (client) ID of the API's own registration: the audience of v2.0 tokens.",
    "the GUID of the API's app registration",
    parse_guid,
    example="00000000-0000-0000-0000-000000000001",
)
API_APP_ID_URI: Final = Setting(
    "API_APP_ID_URI",
    "The API's Application ID URI: what callers ask a token for, and the audience of v1.0 tokens.",
    "a URI such as api://<API_CLIENT_ID>, which it is when nothing is given, without /.default",
    _parse_app_id_uri,
    default="",
)
ACCEPTED_TOKEN_VERSIONS: Final = Setting(
    "ACCEPTED_TOKEN_VERSIONS",
    "The token versions that the API accepts; v1.0 only where its registration issues them.",
    "2.0, or 1.0, or 1.0,2.0",
    _parse_token_versions,
    default="2.0",
)
ENTRA_AUTHORITY: Final = Setting(
    "ENTRA_AUTHORITY",
    "The local Entra emulator, in place of ENTRA_CLOUD. Never set in a cloud.",
    "http://<loopback address>:<port>, or nothing",
    _parse_optional_authority,
    default="",
)

CONTRACT_SETTINGS: Final[tuple[Setting[object], ...]] = (
    ENTRA_TENANT_ID,
    ENTRA_CLOUD,
    API_CLIENT_ID,
    API_APP_ID_URI,
    ACCEPTED_TOKEN_VERSIONS,
    ENTRA_AUTHORITY,
)
"""The settings that every deployable on both sides must be given alike."""


class ApiIdentity(NamedTuple):
    """One API as Entra ID knows it."""

    cloud: Cloud
    tenant_id: str
    client_id: str
    app_id_uri: str
    token_versions: frozenset[TokenVersion]

    @property
    def scope(self) -> str:
        """Return what a caller asks Entra ID for: all that it has been granted on this API."""
        return f"{self.app_id_uri}/.default"

    def issuer(self, version: TokenVersion) -> str:
        """Return the exact `iss` of this API's tokens."""
        return self.cloud.issuer(self.tenant_id, version)

    def audiences(self, version: TokenVersion) -> frozenset[str]:
        """Return the exact values of `aud` that mean this API.

        A v2.0 token always names the client ID; a v1.0 token names what the caller asked for,
        which Entra ID lets be the App ID URI or the client ID.
        """
        match version:
            case TokenVersion.V1:
                return frozenset({self.client_id, self.app_id_uri})
            case TokenVersion.V2:
                return frozenset({self.client_id})
            case _:
                assert_never(version)

    @property
    def key_set_url(self) -> str:
        """Return where the tenant publishes its signing keys."""
        return self.cloud.key_set_url(self.tenant_id)


def read_api_identity(reader: SettingsReader) -> ApiIdentity:
    """Return the API's identity from the settings that both sides share."""
    local = reader.read(ENTRA_AUTHORITY)
    cloud = reader.read(ENTRA_CLOUD)
    client_id = reader.read(API_CLIENT_ID)
    return ApiIdentity(
        cloud=local or cloud,
        tenant_id=reader.read(ENTRA_TENANT_ID),
        client_id=client_id,
        app_id_uri=reader.read(API_APP_ID_URI) or f"api://{client_id}",
        token_versions=reader.read(ACCEPTED_TOKEN_VERSIONS),
    )
