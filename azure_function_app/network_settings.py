"""What stands between the Function App and the API in a company's network: its settings, read.

A usage plan that wants an API key. Nothing here is needed for an API that is called over the open
internet.
"""

from dataclasses import dataclass, field
from typing import Final

from shared.setting_parsers import api_key
from shared.settings_reader import Setting, SettingsReader


def _parse_optional_api_key(text: str) -> str | None:
    return api_key(text) if text else None


AWS_API_KEY: Final = Setting(
    "AWS_API_KEY",
    "The API key that a usage plan of the API counts this app's calls by, sent as x-api-key.",
    "an API key of 20 to 128 characters, best as a Key Vault reference, or nothing",
    _parse_optional_api_key,
    default="",
    is_secret=True,
)

NETWORK_SETTINGS: Final[tuple[Setting[object], ...]] = (AWS_API_KEY,)
"""The settings of this module, for the list of them all."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the API is reached where more is needed than its URL."""

    api_key: str | None = field(repr=False)
    """What `x-api-key` says, if the API wants one."""


def read_network_settings(reader: SettingsReader) -> NetworkSettings:
    """Return the settings; what is wrong with them is noted by the reader."""
    return NetworkSettings(api_key=reader.read(AWS_API_KEY))
