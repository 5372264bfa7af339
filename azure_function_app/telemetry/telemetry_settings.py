"""The settings of telemetry, read: two that Azure's own host has too, and one of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from shared.guid import parse_guid
from shared.loopback import is_loopback_address
from shared.setting_parsers import share
from shared.settings_reader import Setting, SettingsReader

_VALUE: Final = re.compile(r"[!-:<>-~]+")
_LONGEST: Final = 2_048


@dataclass(frozen=True, slots=True)
class EntraSignIn:
    """Application Insights is to see a token of the app's managed identity."""

    client_id: str | None
    """Of a user-assigned identity; None means the system-assigned one."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Whether spans are recorded, which of them, and where they go."""

    connection_string: str | None
    sign_in: EntraSignIn | None
    """None where the connection string suffices."""
    sampled_share: float
    app: str
    """What Application Insights calls the app in its maps; the host's own items have the same."""
    instance: str

    @property
    def is_on(self) -> bool:
        """Return whether any span is recorded."""
        return self.connection_string is not None and self.sampled_share > 0


def _pairs(text: str) -> dict[str, str]:
    """Return the members of `name=value;name=value`, with names in lower case."""
    if len(text) > _LONGEST:
        raise ValueError("too long")
    members: dict[str, str] = {}
    for part in filter(None, text.split(";")):
        name, equals, value = part.partition("=")
        if not equals or not _VALUE.fullmatch(value) or name.lower() in members:
            raise ValueError("not name=value, or a name twice")
        members[name.lower()] = value
    return members


def _parse_connection_string(text: str) -> str | None:
    if not text:
        return None
    members = _pairs(text)
    parse_guid(members.get("instrumentationkey", ""))
    endpoint = urlsplit(members.get("ingestionendpoint", "https://unsaid"))
    is_local = endpoint.scheme == "http" and is_loopback_address(endpoint.hostname or "")
    if not endpoint.hostname or (endpoint.scheme != "https" and not is_local):
        raise ValueError("neither https nor a loopback address")
    # Microsoft's reader stumbles over a semicolon at the end.
    return text.strip(";")


def _parse_authentication(text: str) -> EntraSignIn | None:
    if not text:
        return None
    members = _pairs(text)
    if members.pop("authorization", "") != "AAD" or members.keys() - {"clientid"}:
        raise ValueError("not Authorization=AAD, or more than that and ClientId")
    client_id = members.get("clientid")
    return EntraSignIn(None if client_id is None else parse_guid(client_id))


APPLICATIONINSIGHTS_CONNECTION_STRING: Final = Setting(
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "The Application Insights resource that the host writes to, and the app sends its spans to;"
    " without it the app records none.",
    "InstrumentationKey=<GUID>;IngestionEndpoint=https://..., as Azure shows it, or nothing",
    _parse_connection_string,
    default="",
)
APPLICATIONINSIGHTS_AUTHENTICATION_STRING: Final = Setting(
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "The managed identity by which the host and the app prove themselves to Application Insights;"
    " without it the connection string suffices.",
    "Authorization=AAD, with ClientId=<GUID>; before it for a user-assigned identity, or nothing",
    _parse_authentication,
    default="",
)
TELEMETRY_SAMPLED_SHARE: Final = Setting(
    "TELEMETRY_SAMPLED_SHARE",
    "What share of the traces that no caller has asked to record gets spans, here and in X-Ray;"
    " 0 turns the app's telemetry off.",
    "a number from 0 to 1",
    share,
    default="1",
)

TELEMETRY_SETTINGS: Final[tuple[Setting[object], ...]] = (
    APPLICATIONINSIGHTS_CONNECTION_STRING,
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING,
    TELEMETRY_SAMPLED_SHARE,
)


def read_telemetry_settings(
    reader: SettingsReader, environment: Mapping[str, str]
) -> TelemetrySettings:
    """Return the settings of telemetry; the reader keeps what is wrong with them.

    Args:
        reader: reads what somebody has set.
        environment: where App Service says by itself which app and which instance this is.

    """
    return TelemetrySettings(
        connection_string=reader.read(APPLICATIONINSIGHTS_CONNECTION_STRING),
        sign_in=reader.read(APPLICATIONINSIGHTS_AUTHENTICATION_STRING),
        sampled_share=reader.read(TELEMETRY_SAMPLED_SHARE),
        app=environment.get("WEBSITE_SITE_NAME") or "azure-aws-bridge",
        instance=environment.get("WEBSITE_INSTANCE_ID", ""),
    )
