"""Every setting of the Function App, declared: its name, what it is for, and how its text is read.

`settings.py` reads them from the environment and checks them as a whole.
"""

import re
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

from azure_function_app.identity.credential_kinds import CredentialKind
from azure_function_app.network_settings import NETWORK_SETTINGS
from azure_function_app.schedule import parse_schedule
from azure_function_app.telemetry.telemetry_settings import TELEMETRY_SETTINGS
from shared.contract import CONTRACT_SETTINGS
from shared.guid import parse_guid
from shared.loopback import is_loopback_address
from shared.routes import Role
from shared.setting_parsers import lent_roles, seconds, share, switch, whole_number
from shared.settings_reader import Setting

_API_ROLES: Final = frozenset(role.value for role in Role)


class RecordStoreKind(StrEnum):
    """Where `RECORD_STORE` can put records and checkpoints."""

    SQLITE = "sqlite"
    TABLE = "table"
    POSTGRES = "postgres"


class CallerAuthentication(StrEnum):
    """How `PROXY_AUTHENTICATION` can have the proxy's callers prove who they are."""

    FUNCTION_KEY = "function_key"
    EASY_AUTH = "easy_auth"


class ForwardedCalls(StrEnum):
    """What `PROXY_FORWARDS` can have the proxy forward."""

    READ = "read"
    READ_AND_WRITE = "read_and_write"


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
    is_local = parts.scheme == "http" and is_loopback_address(parts.hostname or "")
    if parts.scheme != "https" and not is_local:
        raise ValueError("neither https nor a loopback address")
    if not _BASE_PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ValueError("a path with more than plain segments")
    return url


def _parse_authority_host(text: str) -> str | None:
    if not text:
        return None
    parts = _split_plain_url(text)
    host = parts.hostname or ""
    if parts.scheme != "https" or not (host == "localhost" or is_loopback_address(host)):
        raise ValueError("not the local emulator")
    if parts.path.strip("/"):
        raise ValueError("a path")
    return text.rstrip("/")


def _parse_table_endpoint(text: str) -> str | None:
    if not text:
        return None
    parts = _split_plain_url(text)
    is_local = parts.scheme == "http" and is_loopback_address(parts.hostname or "")
    if parts.scheme != "https" and not is_local:
        raise ValueError("neither https nor a loopback address")
    return text.rstrip("/")


_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*")
_LONGEST_NAME: Final = 63
"""Bytes of a name in PostgreSQL; it cuts off any more."""


def _parse_host(text: str) -> str | None:
    if text and not is_loopback_address(text) and not _HOST.fullmatch(text):
        raise ValueError("no host name")
    return text or None


def _parse_name(text: str) -> str | None:
    if len(text.encode()) > _LONGEST_NAME or not text.isprintable():
        raise ValueError("no name in PostgreSQL")
    return text or None


def _parse_optional(text: str) -> str | None:
    return text or None


def _parse_optional_guid(text: str) -> str | None:
    return parse_guid(text) if text else None


AWS_API_BASE_URL: Final = Setting(
    "AWS_API_BASE_URL",
    "Where the API in AWS is, with its stage.",
    "an https URL such as https://<api id>.execute-api.<region>.amazonaws.com/<stage>"
    " (http only on a loopback address)",
    _parse_api_base_url,
    example="https://abc123.execute-api.eu-central-1.amazonaws.com/prod",
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
    "The service principal's secret, only for CREDENTIAL=client_secret.",
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
    parse_schedule,
    default="0 */5 * * * *",
)
SYNC_PAGE_SIZE: Final = Setting(
    "SYNC_PAGE_SIZE",
    "How many changes the sync job asks for, and writes, at a time.",
    "a whole number from 1 to 1000",
    whole_number(1, 1000),
    default="500",
)
SYNC_RUN_SECONDS: Final = Setting(
    "SYNC_RUN_SECONDS",
    "How long one run of the sync job goes on before it leaves the rest to the next one.",
    "seconds from 1 to 1440, at most 80 % of functionTimeout in host.json",
    seconds(1, 1440),
    default="240",
)
SYNC_MOST_POISON_SHARE: Final = Setting(
    "SYNC_MOST_POISON_SHARE",
    "How much of a page may be no usable records before the sync job fails instead of setting them"
    " aside; 1 sets any aside.",
    "a number from 0 to 1",
    share,
    default="0.5",
)
SYNC_MOST_DELETED_SHARE: Final = Setting(
    "SYNC_MOST_DELETED_SHARE",
    "What share of the live records a feed that was made anew may mark as deleted by lacking them."
    " Beyond it nothing is marked, and runs end as held, until `bridge sync --accept-deletions`."
    " Ten may always be, but not all there are.",
    "a number from 0 to 1; with 1 there is no limit",
    share,
    default="0.2",
)
SYNC_FAN_OUT: Final = Setting(
    "SYNC_FAN_OUT",
    "Whether the feed is read by its shards, past one process: the timer only plans, and a queue"
    " hands each shard to whichever instance is free. Needs the queue service of"
    " AzureWebJobsStorage.",
    "true or false",
    switch,
    default="false",
)
RECORD_STORE: Final = Setting(
    "RECORD_STORE",
    "Where records and checkpoints are kept; in Azure, sqlite is refused.",
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
    " (http only on a loopback address)",
    _parse_table_endpoint,
    default="",
)
POSTGRES_HOST: Final = Setting(
    "POSTGRES_HOST",
    "The PostgreSQL server's name, for RECORD_STORE=postgres. The app signs in with a token of its"
    " CREDENTIAL, over TLS; to a server on a loopback address, without either.",
    "a name such as <server>.postgres.database.azure.com, or a loopback address",
    _parse_host,
    default="",
)
POSTGRES_PORT: Final = Setting(
    "POSTGRES_PORT",
    "The PostgreSQL server's port, for RECORD_STORE=postgres.",
    "a whole number from 1 to 65535",
    whole_number(1, 65535),
    default="5432",
)
POSTGRES_DATABASE: Final = Setting(
    "POSTGRES_DATABASE",
    "The database, for RECORD_STORE=postgres; the app's tables are in its schema bridge.",
    "the database's name",
    _parse_name,
    default="postgres",
)
POSTGRES_USER: Final = Setting(
    "POSTGRES_USER",
    "The role to sign in as, for RECORD_STORE=postgres: what the app's identity was named there.",
    "the role's name",
    _parse_name,
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
PROXY_FORWARDS: Final = Setting(
    "PROXY_FORWARDS",
    "What the proxy forwards at all, whoever calls: only what reads (GET and HEAD), or all that the"
    " API has.",
    f"one of {', '.join(ForwardedCalls)}",
    ForwardedCalls,
    default=ForwardedCalls.READ,
)
PROXY_CALLER_ROLES: Final = Setting(
    "PROXY_CALLER_ROLES",
    "The app roles of signed-in callers, each with those of the API's roles that it lends, for"
    " PROXY_AUTHENTICATION=easy_auth. Without any, a caller's role lends the API's role of the same"
    " name.",
    "items such as Orders.Editor=Records.Read+Records.Write, separated by commas, or nothing",
    lent_roles(_API_ROLES),
    default="",
)
PROXY_CALLER_TENANT_ID: Final = Setting(
    "PROXY_CALLER_TENANT_ID",
    "The tenant whose accounts may call, for PROXY_AUTHENTICATION=easy_auth. Nothing means"
    " ENTRA_TENANT_ID.",
    "a tenant's GUID, or nothing",
    _parse_optional_guid,
    default="",
)
PROXY_ADMITS_GUESTS: Final = Setting(
    "PROXY_ADMITS_GUESTS",
    "Whether guests of that tenant may call too, as far as their roles reach, for"
    " PROXY_AUTHENTICATION=easy_auth.",
    "true or false",
    switch,
    default="false",
)
PROXY_CALL_SECONDS: Final = Setting(
    "PROXY_CALL_SECONDS",
    "How long one proxied call may take, retries and token included.",
    "seconds from 1 to 200 (Azure's front door gives up after 230)",
    seconds(1, 200),
    default="30",
)
SYNC_CALL_SECONDS: Final = Setting(
    "SYNC_CALL_SECONDS",
    "How long fetching one page of changes may take, retries and token included.",
    "seconds from 1 to 200",
    seconds(1, 200),
    default="30",
)
PROXY_READ_SECONDS: Final = Setting(
    "PROXY_READ_SECONDS",
    "How long one attempt of a proxied call may go without a sign of life from the API.",
    "seconds from 1 to 200; API Gateway itself waits up to 29, or longer with a raised quota",
    seconds(1, 200),
    default="30",
)
SYNC_READ_SECONDS: Final = Setting(
    "SYNC_READ_SECONDS",
    "How long one attempt to fetch a page may go without a sign of life from the API.",
    "seconds from 1 to 200, below SYNC_CALL_SECONDS if there is to be a second attempt",
    seconds(1, 200),
    default="10",
)
CONNECT_SECONDS: Final = Setting(
    "CONNECT_SECONDS",
    "How long opening a connection to the API may take, name look-up and TLS included.",
    "seconds from 0.1 to 30",
    seconds(0.1, 30),
    default="3",
)
TOKEN_WAIT_SECONDS: Final = Setting(
    "TOKEN_WAIT_SECONDS",
    "How long a call waits for a token when none is at hand.",
    "seconds from 0.1 to 60",
    seconds(0.1, 60),
    default="5",
)
HOST_REQUESTS: Final = 512
"""HTTP requests that host.json lets run at once; the host answers any more with a bare 429."""
MOST_CALLS: Final = HOST_REQUESTS // 2
"""Calls to the API, under way and waiting. The other half is for health and for refusals."""
CONCURRENT_CALLS: Final = Setting(
    "CONCURRENT_CALLS",
    "How many proxied calls may be under way at once, each on a connection; the sync job has a few"
    " more for itself.",
    f"a whole number from 1 to {MOST_CALLS}",
    whole_number(1, MOST_CALLS),
    default="64",
)
WAITING_CALLS: Final = Setting(
    "WAITING_CALLS",
    "How many further proxied calls may wait for one of those to end, while they still have time"
    " for an answer. More are refused with 503.",
    f"a whole number from 0 to {MOST_CALLS - 1}, with CONCURRENT_CALLS no more than {MOST_CALLS}",
    whole_number(0, MOST_CALLS - 1),
    default="64",
)

SETTINGS: Final[tuple[Setting[object], ...]] = (
    AWS_API_BASE_URL,
    *CONTRACT_SETTINGS,
    *NETWORK_SETTINGS,
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
    SYNC_MOST_POISON_SHARE,
    SYNC_MOST_DELETED_SHARE,
    SYNC_FAN_OUT,
    RECORD_STORE,
    SQLITE_PATH,
    TABLE_ENDPOINT,
    POSTGRES_HOST,
    POSTGRES_PORT,
    POSTGRES_DATABASE,
    POSTGRES_USER,
    PROXY_AUTHENTICATION,
    PROXY_FORWARDS,
    PROXY_CALLER_ROLES,
    PROXY_CALLER_TENANT_ID,
    PROXY_ADMITS_GUESTS,
    PROXY_CALL_SECONDS,
    SYNC_CALL_SECONDS,
    PROXY_READ_SECONDS,
    SYNC_READ_SECONDS,
    CONNECT_SECONDS,
    TOKEN_WAIT_SECONDS,
    CONCURRENT_CALLS,
    WAITING_CALLS,
    *TELEMETRY_SETTINGS,
)
"""Every setting of the Function App, for the README, the example file and the templates."""
