"""Everything that the Function App can be told, read once and checked as a whole.

The one place that reads the environment. What the Azure SDK reads on its own (`IDENTITY_ENDPOINT`,
`IDENTITY_HEADER`, `REQUESTS_CA_BUNDLE`) is the platform's and is not declared here.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shared.contract import (
    CONTRACT_SETTINGS,
    ENTRA_AUTHORITY,
    ApiIdentity,
    read_api_identity,
)
from shared.guid import parse_guid
from shared.settings_reader import Setting, SettingsReader, reading_settings


class CredentialKind(StrEnum):
    """The ways of getting a token that `CREDENTIAL` can name."""

    MANAGED_IDENTITY = "managed_identity"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - a kind's name, no secret
    CLIENT_CERTIFICATE = "client_certificate"
    WORKLOAD_IDENTITY = "workload_identity"
    MANAGED_IDENTITY_FEDERATION = "managed_identity_federation"
    AZURE_CLI = "azure_cli"


class RecordStoreKind(StrEnum):
    """Where `RECORD_STORE` can put records and checkpoints."""

    SQLITE = "sqlite"
    TABLE = "table"


class CallerAuthentication(StrEnum):
    """How `PROXY_AUTHENTICATION` can have the proxy's callers prove who they are."""

    FUNCTION_KEY = "function_key"
    EASY_AUTH = "easy_auth"


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity that the platform gives the app: nothing to store, nothing to rotate."""

    client_id: str | None
    """Which user-assigned identity; None means the system-assigned one."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A service principal that proves itself with a secret."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A service principal that proves itself with a certificate's private key."""

    client_id: str
    path: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """A service principal that proves itself with another issuer's token, kept in a file."""

    client_id: str
    token_file: str


@dataclass(frozen=True, slots=True)
class ManagedIdentityFederation:
    """A service principal that proves itself with a user-assigned managed identity's token."""

    client_id: str
    managed_identity_client_id: str


@dataclass(frozen=True, slots=True)
class AzureCli:
    """Whoever is signed in to the Azure CLI: a developer, never a deployment."""


type CredentialSettings = (
    ManagedIdentity
    | ClientSecret
    | ClientCertificate
    | WorkloadIdentity
    | ManagedIdentityFederation
    | AzureCli
)


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """Records and checkpoints in one file, for laptops."""

    path: str


@dataclass(frozen=True, slots=True)
class TableStore:
    """Records and checkpoints in Azure Table Storage."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long calls to the API may take, in seconds, and how many may run at once."""

    proxy_deadline: float
    sync_call_deadline: float
    connect_timeout: float
    token_wait: float
    concurrent_calls: int
    waiting_calls: int


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """When the sync job runs and how much it does at a time."""

    schedule: str
    page_size: int
    run_deadline: float
    """Seconds after which a run stops at the next page and leaves the rest to the next tick."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The Function App's settings, each checked and typed."""

    api_base_url: str
    """Where the API is, stage included, without a trailing slash."""
    api: ApiIdentity
    credential: CredentialSettings
    token_authority: str
    """Scheme and host (and port) that the credential asks for tokens, without a trailing slash."""
    store: SqliteStore | TableStore
    calls: CallLimits
    sync: SyncLimits
    proxy_authentication: CallerAuthentication

    @property
    def is_local_authority(self) -> bool:
        """Whether tokens come from the local emulator, which no directory of clouds knows."""
        return self.api.cloud.name == "local"


def _is_loopback(parts: SplitResult, *, names: frozenset[str] = frozenset()) -> bool:
    host = parts.hostname or ""
    if host in names:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split_plain_url(text: str) -> SplitResult:
    parts = urlsplit(text)
    # `parts.port` raises ValueError for a port that is no number below 65,536.
    if not parts.hostname or parts.port == 0:
        raise ValueError("no host")
    if parts.query or parts.fragment or parts.username is not None or "?" in text or "#" in text:
        raise ValueError("a query, a fragment or credentials")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("characters that a URL cannot hold")
    return parts


_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~$-]+)*")


def _parse_api_base_url(text: str) -> str:
    url = text.rstrip("/")
    parts = _split_plain_url(url)
    is_local = parts.scheme == "http" and _is_loopback(parts)
    if parts.scheme != "https" and not is_local:
        raise ValueError("neither https nor a loopback address")
    if not _BASE_PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ValueError("a path with more than plain segments")
    return url


def _parse_authority_host(text: str) -> str | None:
    if not text:
        return None
    parts = _split_plain_url(text)
    if parts.scheme != "https" or not _is_loopback(parts, names=frozenset({"localhost"})):
        raise ValueError("not the local emulator")
    if parts.path.strip("/"):
        raise ValueError("a path")
    return text.rstrip("/")


def _parse_table_endpoint(text: str) -> str | None:
    if not text:
        return None
    parts = _split_plain_url(text)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        raise ValueError("neither https nor a loopback address")
    return text.rstrip("/")


def _parse_optional(text: str) -> str | None:
    return text or None


def _parse_optional_guid(text: str) -> str | None:
    return parse_guid(text) if text else None


# A field is a comma-separated list of these; months and days may also be named.
_FIELD_ITEM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[int, int, tuple[str, ...]], ...]] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)


def _check_field(text: str, lowest: int, highest: int, names: tuple[str, ...]) -> None:
    def number(word: str) -> int:
        short = word.lower()[:3]
        value = lowest + names.index(short) if short in names else int(word)
        if not lowest <= value <= highest:
            raise ValueError(word)
        return value

    for item in text.split(","):
        match = _FIELD_ITEM.fullmatch(item)
        if match is None or (match["step"] is not None and int(match["step"]) == 0):
            raise ValueError(item)
        if match["first"] is not None:
            first = number(match["first"])
            if match["last"] is not None and number(match["last"]) < first:
                raise ValueError(item)


def _parse_schedule(text: str) -> str:
    """The six-field NCRONTAB expression, checked, because the host would find it only at start."""
    fields = text.split()
    for field_text, (lowest, highest, names) in zip(fields, _FIELDS, strict=True):
        _check_field(field_text, lowest, highest, names)
    return " ".join(fields)


def _seconds(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        # The comparison also refuses NaN.
        if not lowest <= value <= highest:
            raise ValueError(text)
        return value

    return parse


def _count(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not lowest <= value <= highest:
            raise ValueError(text)
        return value

    return parse


AWS_API_BASE_URL: Final = Setting(
    "AWS_API_BASE_URL",
    "Where the API in AWS is, with its stage.",
    "an https URL such as https://<api id>.execute-api.<region>.amazonaws.com/<stage>"
    " (http on a loopback address alone)",
    _parse_api_base_url,
)
CREDENTIAL: Final = Setting(
    "CREDENTIAL",
    "How the app proves to Entra ID who it is.",
    f"one of {', '.join(CredentialKind)}",
    CredentialKind,
    default=CredentialKind.MANAGED_IDENTITY,
)
AZURE_CLIENT_ID: Final = Setting(
    "AZURE_CLIENT_ID",
    "The client ID of the service principal, or of the user-assigned managed identity.",
    "a GUID; nothing for the system-assigned managed identity",
    _parse_optional_guid,
    default="",
)
AZURE_CLIENT_SECRET: Final = Setting(
    "AZURE_CLIENT_SECRET",
    "The service principal's secret, for CREDENTIAL=client_secret alone.",
    "the secret's value, not its ID",
    _parse_optional,
    default="",
    is_secret=True,
)
AZURE_CLIENT_CERTIFICATE_PATH: Final = Setting(
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "The service principal's certificate with its private key.",
    "the path of a PEM or PKCS#12 file",
    _parse_optional,
    default="",
)
AZURE_CLIENT_CERTIFICATE_PASSWORD: Final = Setting(
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "What the certificate file is encrypted with, where it is.",
    "the password, or nothing",
    _parse_optional,
    default="",
    is_secret=True,
)
AZURE_FEDERATED_TOKEN_FILE: Final = Setting(
    "AZURE_FEDERATED_TOKEN_FILE",
    "The file that holds the other issuer's token, for CREDENTIAL=workload_identity.",
    "a path",
    _parse_optional,
    default="",
)
MANAGED_IDENTITY_CLIENT_ID: Final = Setting(
    "MANAGED_IDENTITY_CLIENT_ID",
    "The user-assigned identity that vouches for the service principal, for"
    " CREDENTIAL=managed_identity_federation.",
    "a GUID",
    _parse_optional_guid,
    default="",
)
AZURE_AUTHORITY_HOST: Final = Setting(
    "AZURE_AUTHORITY_HOST",
    "The local Entra emulator's https address, beside ENTRA_AUTHORITY. Never set in a cloud.",
    "https://<localhost or a loopback address>:<port>, or nothing",
    _parse_authority_host,
    default="",
)
SYNC_SCHEDULE: Final = Setting(
    "SYNC_SCHEDULE",
    "When the sync job runs, in UTC.",
    "six NCRONTAB fields: second minute hour day month day-of-week",
    _parse_schedule,
    default="0 */5 * * * *",
)
SYNC_PAGE_SIZE: Final = Setting(
    "SYNC_PAGE_SIZE",
    "How many changes the sync job asks for, and writes, at a time.",
    "a whole number from 1 to 1000",
    _count(1, 1000),
    default="500",
)
SYNC_RUN_SECONDS: Final = Setting(
    "SYNC_RUN_SECONDS",
    "How long one run of the sync job goes on before it leaves the rest to the next one.",
    "seconds from 1 to 1440, at most 80 % of functionTimeout in host.json",
    _seconds(1, 1440),
    default="240",
)
RECORD_STORE: Final = Setting(
    "RECORD_STORE",
    "Where records and checkpoints are kept.",
    f"one of {', '.join(RecordStoreKind)}",
    RecordStoreKind,
    default=RecordStoreKind.SQLITE,
)
SQLITE_PATH: Final = Setting(
    "SQLITE_PATH",
    "The database file, for RECORD_STORE=sqlite.",
    "a path",
    str,
    default=".bridge/records.sqlite3",
)
TABLE_ENDPOINT: Final = Setting(
    "TABLE_ENDPOINT",
    "The storage account's table service, for RECORD_STORE=table.",
    "an https URL such as https://<account>.table.core.windows.net"
    " (http on a loopback address alone)",
    _parse_table_endpoint,
    default="",
)
PROXY_AUTHENTICATION: Final = Setting(
    "PROXY_AUTHENTICATION",
    "How the proxy's callers prove who they are: by one of the app's keys, or by signing in through"
    " App Service authentication.",
    f"one of {', '.join(CallerAuthentication)}",
    CallerAuthentication,
    default=CallerAuthentication.FUNCTION_KEY,
)
PROXY_CALL_SECONDS: Final = Setting(
    "PROXY_CALL_SECONDS",
    "How long one proxied call may take, retries and token included.",
    "seconds from 1 to 200 (Azure's front door gives up after 230)",
    _seconds(1, 200),
    default="30",
)
SYNC_CALL_SECONDS: Final = Setting(
    "SYNC_CALL_SECONDS",
    "How long fetching one page of changes may take, retries and token included.",
    "seconds from 1 to 200",
    _seconds(1, 200),
    default="30",
)
CONNECT_SECONDS: Final = Setting(
    "CONNECT_SECONDS",
    "How long opening a connection to the API may take, name look-up and TLS included.",
    "seconds from 0.1 to 30",
    _seconds(0.1, 30),
    default="3",
)
TOKEN_WAIT_SECONDS: Final = Setting(
    "TOKEN_WAIT_SECONDS",
    "How long a call waits for a token when none is at hand.",
    "seconds from 0.1 to 60",
    _seconds(0.1, 60),
    default="5",
)
CONCURRENT_CALLS: Final = Setting(
    "CONCURRENT_CALLS",
    "How many calls to the API may be under way at once, and so how many connections are held.",
    "a whole number from 1 to 1000",
    _count(1, 1000),
    default="64",
)
WAITING_CALLS: Final = Setting(
    "WAITING_CALLS",
    "How many further calls may wait for one of those to end before more are refused with 503.",
    "a whole number from 0 to 10000",
    _count(0, 10_000),
    default="64",
)

SETTINGS: Final[tuple[Setting[object], ...]] = (
    AWS_API_BASE_URL,
    *CONTRACT_SETTINGS,
    CREDENTIAL,
    AZURE_CLIENT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_CLIENT_CERTIFICATE_PATH,
    AZURE_CLIENT_CERTIFICATE_PASSWORD,
    AZURE_FEDERATED_TOKEN_FILE,
    MANAGED_IDENTITY_CLIENT_ID,
    AZURE_AUTHORITY_HOST,
    SYNC_SCHEDULE,
    SYNC_PAGE_SIZE,
    SYNC_RUN_SECONDS,
    RECORD_STORE,
    SQLITE_PATH,
    TABLE_ENDPOINT,
    PROXY_AUTHENTICATION,
    PROXY_CALL_SECONDS,
    SYNC_CALL_SECONDS,
    CONNECT_SECONDS,
    TOKEN_WAIT_SECONDS,
    CONCURRENT_CALLS,
    WAITING_CALLS,
)
"""Every setting of the Function App, for the README, the example file and the templates."""


def _require(reader: SettingsReader, setting: Setting[str | None], because: str) -> str:
    value = reader.read(setting)
    if value is None and not reader.is_set(setting):
        reader.reject(setting, f"is missing, and {because} needs it; expected {setting.expects}")
    return value or ""


def _read_credential(reader: SettingsReader, kind: CredentialKind | None) -> CredentialSettings:
    because = f"CREDENTIAL={kind}"
    if kind is not None:
        _refuse_unused_secrets(reader, kind)
    match kind:
        case CredentialKind.CLIENT_SECRET:
            return ClientSecret(
                _require(reader, AZURE_CLIENT_ID, because),
                _require(reader, AZURE_CLIENT_SECRET, because),
            )
        case CredentialKind.CLIENT_CERTIFICATE:
            return ClientCertificate(
                _require(reader, AZURE_CLIENT_ID, because),
                _require(reader, AZURE_CLIENT_CERTIFICATE_PATH, because),
                reader.read(AZURE_CLIENT_CERTIFICATE_PASSWORD),
            )
        case CredentialKind.WORKLOAD_IDENTITY:
            return WorkloadIdentity(
                _require(reader, AZURE_CLIENT_ID, because),
                _require(reader, AZURE_FEDERATED_TOKEN_FILE, because),
            )
        case CredentialKind.MANAGED_IDENTITY_FEDERATION:
            return ManagedIdentityFederation(
                _require(reader, AZURE_CLIENT_ID, because),
                _require(reader, MANAGED_IDENTITY_CLIENT_ID, because),
            )
        case CredentialKind.AZURE_CLI:
            return AzureCli()
        case _:
            return ManagedIdentity(reader.read(AZURE_CLIENT_ID))


def _refuse_unused_secrets(reader: SettingsReader, kind: CredentialKind) -> None:
    """A secret that nothing uses is a secret that nobody rotates, so it must not lie about."""
    owners = {
        AZURE_CLIENT_SECRET: CredentialKind.CLIENT_SECRET,
        AZURE_CLIENT_CERTIFICATE_PASSWORD: CredentialKind.CLIENT_CERTIFICATE,
    }
    for setting, owner in owners.items():
        if kind is not owner and reader.is_set(setting):
            reader.reject(
                setting,
                f"is set, but CREDENTIAL={kind} does not use it;"
                f" remove it, or set CREDENTIAL to {owner}",
            )


_ASKS_ENTRA: Final = frozenset(CredentialKind) - {
    CredentialKind.MANAGED_IDENTITY,
    CredentialKind.AZURE_CLI,
}
"""The kinds that ask Entra ID itself, and so need to know where it is."""


def _read_token_authority(
    reader: SettingsReader, kind: CredentialKind | None, api: ApiIdentity
) -> str:
    local = reader.read(AZURE_AUTHORITY_HOST)
    is_emulated = reader.is_set(ENTRA_AUTHORITY)
    if reader.is_set(AZURE_AUTHORITY_HOST) and not is_emulated:
        reader.reject(
            AZURE_AUTHORITY_HOST,
            "is set without ENTRA_AUTHORITY; it is for the local emulator alone:"
            " remove it, and name the cloud in ENTRA_CLOUD",
        )
    if is_emulated and kind in _ASKS_ENTRA and not reader.is_set(AZURE_AUTHORITY_HOST):
        reader.reject(
            AZURE_AUTHORITY_HOST,
            "is missing: with ENTRA_AUTHORITY this credential asks the emulator, and the Azure SDK"
            f" does so over https alone; expected {AZURE_AUTHORITY_HOST.expects}",
        )
    if local is not None:
        return local
    # A cloud that was not understood reads as None; the reader raises before anybody sees this.
    return getattr(api.cloud, "authority", "")


def _read_store(reader: SettingsReader) -> SqliteStore | TableStore:
    path = reader.read(SQLITE_PATH)
    if reader.read(RECORD_STORE) is RecordStoreKind.TABLE:
        return TableStore(_require(reader, TABLE_ENDPOINT, "RECORD_STORE=table"))
    return SqliteStore(path)


# Set by App Service itself, and not to be set by anybody else.
_IS_SIGN_IN_ON: Final = "WEBSITE_AUTH_ENABLED"


def _read_proxy_authentication(
    reader: SettingsReader, environment: Mapping[str, str]
) -> CallerAuthentication:
    kind = reader.read(PROXY_AUTHENTICATION)
    is_sign_in_on = environment.get(_IS_SIGN_IN_ON, "").lower() == "true"
    if kind is CallerAuthentication.EASY_AUTH and not is_sign_in_on:
        reader.reject(
            PROXY_AUTHENTICATION,
            "is easy_auth, but App Service authentication is off here, so that anybody could claim"
            " to be anybody; turn it on, or set function_key",
        )
    return kind


def load_settings(environment: Mapping[str, str]) -> Settings:
    """The Function App's settings, all of them checked.

    Raises:
        SettingsError: with every problem that there is; nothing is half-configured.

    """
    with reading_settings(environment) as reader:
        api = read_api_identity(reader)
        kind: CredentialKind | None = reader.read(CREDENTIAL)
        return Settings(
            api_base_url=reader.read(AWS_API_BASE_URL),
            api=api,
            credential=_read_credential(reader, kind),
            token_authority=_read_token_authority(reader, kind, api),
            store=_read_store(reader),
            calls=CallLimits(
                proxy_deadline=reader.read(PROXY_CALL_SECONDS),
                sync_call_deadline=reader.read(SYNC_CALL_SECONDS),
                connect_timeout=reader.read(CONNECT_SECONDS),
                token_wait=reader.read(TOKEN_WAIT_SECONDS),
                concurrent_calls=reader.read(CONCURRENT_CALLS),
                waiting_calls=reader.read(WAITING_CALLS),
            ),
            sync=SyncLimits(
                schedule=reader.read(SYNC_SCHEDULE),
                page_size=reader.read(SYNC_PAGE_SIZE),
                run_deadline=reader.read(SYNC_RUN_SECONDS),
            ),
            proxy_authentication=_read_proxy_authentication(reader, environment),
        )


def load_process_settings() -> Settings:
    """The settings of this process, from its environment.

    Raises:
        SettingsError: with every problem that there is.

    """
    return load_settings(os.environ)
