"""The settings of the backend Lambdas, and the only place that reads their environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aws_backend.table_layout import MAX_SHARDS
from shared.contract import CONTRACT_SETTINGS, ApiIdentity, read_api_identity
from shared.loopback import is_loopback_address
from shared.setting_parsers import whole_number
from shared.settings_reader import Setting, reading_settings
from shared.trace_context import LAMBDA_TRACE, find_trace_id

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_URL_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def _parse_table_name(text: str) -> str:
    if not _TABLE_NAME.fullmatch(text):
        raise ValueError("no table name")
    return text


def _parse_public_url(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    host = parts.hostname or ""
    # Plain http is what the local stack speaks; anywhere else it would invite tokens in the clear.
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_address(host))
    has_extras = "?" in text or "#" in text or "@" in parts.netloc
    # Reading the port raises ValueError if it is not a port number.
    if not is_safe or not host or has_extras or parts.port == 0:
        raise ValueError("no public URL")
    if not _URL_PATH.fullmatch(parts.path):
        raise ValueError("no plain path")
    return text


RECORDS_TABLE: Final = Setting(
    "RECORDS_TABLE",
    "The DynamoDB table that holds the records and their change feed.",
    "a table name: 3 to 255 letters, digits, '_', '-' and '.'",
    _parse_table_name,
    example="records",
)
FEED_SHARDS: Final = Setting(
    "FEED_SHARDS",
    "How many shards a new feed gets: writes to different shards do not wait for each other. A feed"
    " that is there keeps its own number.",
    f"a whole number from 1 to {MAX_SHARDS}",
    whole_number(1, MAX_SHARDS),
    default="1",
)
PUBLIC_URL: Final = Setting(
    "PUBLIC_URL",
    "The API's address as callers know it, for its public metadata (RFC 9728).",
    "an https URL, stage included, without a trailing slash; or nothing,"
    " which takes what API Gateway says",
    _parse_public_url,
    default="",
)

RECORDS_SETTINGS: Final[tuple[Setting[object], ...]] = (RECORDS_TABLE, FEED_SHARDS)
"""What the records Lambda reads."""

DISCOVERY_SETTINGS: Final[tuple[Setting[object], ...]] = (*CONTRACT_SETTINGS, PUBLIC_URL)
"""What the discovery Lambda reads."""

SETTINGS: Final = (*RECORDS_SETTINGS, *DISCOVERY_SETTINGS)
"""What any of the backend Lambdas reads. The health Lambda reads nothing."""


@dataclass(frozen=True, slots=True)
class RecordsSettings:
    """The records Lambda's settings."""

    table: str
    feed_shards: int


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """The discovery Lambda's settings."""

    identity: ApiIdentity
    public_url: str | None


def load_records_settings(environment: Mapping[str, str] = os.environ) -> RecordsSettings:
    """Return the records Lambda's settings.

    Raises:
        SettingsError: with everything that is wrong with them.

    """
    with reading_settings(environment) as reader:
        table = reader.read(RECORDS_TABLE)
        feed_shards = reader.read(FEED_SHARDS)
    return RecordsSettings(table, feed_shards)


def load_discovery_settings(environment: Mapping[str, str] = os.environ) -> DiscoverySettings:
    """Return the discovery Lambda's settings.

    Raises:
        SettingsError: with everything that is wrong with them.

    """
    with reading_settings(environment) as reader:
        identity = read_api_identity(reader)
        public_url = reader.read(PUBLIC_URL)
    return DiscoverySettings(identity, public_url)


def load_trace_id(environment: Mapping[str, str] = os.environ) -> str:
    """Return the trace of the invocation under way, a new one each time; empty if none."""
    return find_trace_id(environment.get(LAMBDA_TRACE, ""))
