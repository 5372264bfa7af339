"""Everything that the Function App can be told, read once and checked as a whole.

The one place that reads the environment. What the Azure SDK reads on its own (`IDENTITY_ENDPOINT`,
`IDENTITY_HEADER`) is the platform's and is not declared here; nor is `REQUESTS_CA_BUNDLE`, which
names more authorities to trust when tokens are asked for.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, assert_never

from azure_function_app.declared_settings import (
    AWS_API_BASE_URL,
    AZURE_AUTHORITY_HOST,
    AZURE_CLIENT_CERTIFICATE_PASSWORD,
    AZURE_CLIENT_CERTIFICATE_PATH,
    AZURE_CLIENT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_FEDERATED_TOKEN_FILE,
    CONCURRENT_CALLS,
    CONNECT_SECONDS,
    CREDENTIAL,
    HOST_REQUESTS,
    MANAGED_IDENTITY_CLIENT_ID,
    MOST_CALLS,
    POSTGRES_DATABASE,
    POSTGRES_HOST,
    POSTGRES_PORT,
    POSTGRES_USER,
    PROXY_ADMITS_GUESTS,
    PROXY_AUTHENTICATION,
    PROXY_CALL_SECONDS,
    PROXY_CALLER_ROLES,
    PROXY_CALLER_TENANT_ID,
    PROXY_FORWARDS,
    PROXY_READ_SECONDS,
    RECORD_STORE,
    SETTINGS,
    SQLITE_PATH,
    SYNC_CALL_SECONDS,
    SYNC_FAN_OUT,
    SYNC_MOST_DELETED_SHARE,
    SYNC_MOST_POISON_SHARE,
    SYNC_PAGE_SIZE,
    SYNC_READ_SECONDS,
    SYNC_RUN_SECONDS,
    SYNC_SCHEDULE,
    TABLE_ENDPOINT,
    TOKEN_WAIT_SECONDS,
    WAITING_CALLS,
    CallerAuthentication,
    ForwardedCalls,
    RecordStoreKind,
)
from azure_function_app.identity.credential_kinds import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    CredentialKind,
    CredentialSettings,
    ManagedIdentity,
    ManagedIdentityFederation,
    TokenSource,
    WorkloadIdentity,
)
from azure_function_app.network_settings import NetworkSettings, read_network_settings
from shared.contract import ENTRA_AUTHORITY, ApiIdentity, read_api_identity
from shared.routes import Role
from shared.settings_reader import Setting, SettingProblem, SettingsError, SettingsReader


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """One file, for laptops; it can keep records and checkpoints."""

    kind: ClassVar = RecordStoreKind.SQLITE
    path: str


@dataclass(frozen=True, slots=True)
class TableSettings:
    """Azure Table Storage, which can keep records and checkpoints."""

    kind: ClassVar = RecordStoreKind.TABLE
    endpoint: str


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """A PostgreSQL database, which can keep records and checkpoints."""

    kind: ClassVar = RecordStoreKind.POSTGRES
    host: str
    port: int
    database: str
    user: str


type RecordSinkSettings = SqliteSettings | TableSettings | PostgresSettings
"""Where records can be written."""
type CheckpointStoreSettings = SqliteSettings | TableSettings | PostgresSettings
"""Where checkpoints can be kept."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long calls to the API may take, in seconds, and how many may run at once."""

    proxy_call_seconds: float
    sync_call_seconds: float
    proxy_read_seconds: float
    sync_read_seconds: float
    connect_seconds: float
    token_wait_seconds: float
    concurrent_calls: int
    waiting_calls: int


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """When the sync job runs and how much it does at a time."""

    schedule: str
    page_size: int
    run_seconds: float
    """Seconds after which a run stops at the next page and leaves the rest to the next tick."""
    most_poison_share: float
    """Of a page, from 0 to 1, that a run sets aside rather than to fail."""
    most_deleted_share: float
    """Of the live records, what a new generation may mark as deleted without being told to."""
    fans_out: bool
    """Whether the feed is read by its shards, each from a message of the queue."""


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """Whom App Service may sign in to the proxy, and what that lends them."""

    tenant_id: str
    caller_roles: Mapping[str, frozenset[str]]
    """Each app role of a caller, with the API's roles that it lends."""
    admits_guests: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """The Function App's settings, each checked and typed."""

    api_base_url: str
    """Where the API is, stage included, without a trailing slash."""
    api: ApiIdentity
    network: NetworkSettings
    token_source: TokenSource
    token_ca_file: str | None
    """Authorities to trust, in PEM, beside the public ones, when a token is asked for."""
    record_sink: RecordSinkSettings
    checkpoint_store: CheckpointStoreSettings
    calls: CallLimits
    sync: SyncLimits
    proxy_authentication: CallerAuthentication
    proxy_forwards: ForwardedCalls
    sign_in: SignInSettings
    """Looked at only where callers sign in."""


# Set by App Service itself, and not to be set by anybody else. Not every plan sets both of the
# first two; the host on a laptop sets neither.
_IN_AZURE: Final = ("WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID")
_IS_SIGN_IN_ON: Final = "WEBSITE_AUTH_ENABLED"


def _require(reader: SettingsReader, setting: Setting[str | None], because: str) -> str:
    value = reader.read(setting)
    if value is None and not reader.is_set(setting) and not reader.is_rejected(setting):
        reader.reject(setting, f"is missing, and {because} needs it; expected {setting.expects}")
    return value or ""


def _read_credential(reader: SettingsReader) -> CredentialSettings:
    kind = reader.read(CREDENTIAL)
    because = f"CREDENTIAL={kind}"
    if not reader.is_rejected(CREDENTIAL):
        _refuse_unused_secrets(reader, kind)
    match kind:
        case CredentialKind.MANAGED_IDENTITY:
            return ManagedIdentity(reader.read(AZURE_CLIENT_ID))
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
            assert_never(kind)


def _refuse_unused_secrets(reader: SettingsReader, kind: CredentialKind) -> None:
    """Reject each secret that the credential does not use, because nobody would rotate it."""
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


def _read_token_authority(
    reader: SettingsReader, credential: CredentialSettings, api: ApiIdentity
) -> str:
    local = reader.read(AZURE_AUTHORITY_HOST)
    is_emulated = reader.is_set(ENTRA_AUTHORITY)
    if reader.is_set(AZURE_AUTHORITY_HOST) and not is_emulated:
        reader.reject(
            AZURE_AUTHORITY_HOST,
            "is set without ENTRA_AUTHORITY; it is only for the local emulator:"
            " remove it, and name the cloud in ENTRA_CLOUD",
        )
    if is_emulated and credential.asks_entra and not reader.is_set(AZURE_AUTHORITY_HOST):
        reader.reject(
            AZURE_AUTHORITY_HOST,
            "is missing: with ENTRA_AUTHORITY this credential asks the emulator, and the Azure SDK"
            f" does so only over https; expected {AZURE_AUTHORITY_HOST.expects}",
        )
    if local is not None:
        return local
    return api.cloud.authority


def _read_stores(
    reader: SettingsReader, environment: Mapping[str, str]
) -> tuple[RecordSinkSettings, CheckpointStoreSettings]:
    """Return where records go and where checkpoints do, which one setting says for both."""
    path = reader.read(SQLITE_PATH)
    kind = reader.read(RECORD_STORE)
    is_in_azure = any(environment.get(name) for name in _IN_AZURE)
    if kind is RecordStoreKind.SQLITE and is_in_azure and not reader.is_rejected(RECORD_STORE):
        reader.reject(
            RECORD_STORE,
            "is sqlite, whose file each instance in Azure would have for itself and lose when it"
            " ends, checkpoints included; set table, and TABLE_ENDPOINT, or postgres, and"
            " POSTGRES_HOST and POSTGRES_USER",
        )
    match kind:
        case RecordStoreKind.SQLITE:
            sqlite = SqliteSettings(path)
            return sqlite, sqlite
        case RecordStoreKind.TABLE:
            table = TableSettings(_require(reader, TABLE_ENDPOINT, "RECORD_STORE=table"))
            return table, table
        case RecordStoreKind.POSTGRES:
            because = "RECORD_STORE=postgres"
            postgres = PostgresSettings(
                host=_require(reader, POSTGRES_HOST, because),
                port=reader.read(POSTGRES_PORT),
                database=_require(reader, POSTGRES_DATABASE, because),
                user=_require(reader, POSTGRES_USER, because),
            )
            return postgres, postgres
        case _:
            assert_never(kind)


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


def _read_call_limits(reader: SettingsReader) -> CallLimits:
    limits = CallLimits(
        proxy_call_seconds=reader.read(PROXY_CALL_SECONDS),
        sync_call_seconds=reader.read(SYNC_CALL_SECONDS),
        proxy_read_seconds=reader.read(PROXY_READ_SECONDS),
        sync_read_seconds=reader.read(SYNC_READ_SECONDS),
        connect_seconds=reader.read(CONNECT_SECONDS),
        token_wait_seconds=reader.read(TOKEN_WAIT_SECONDS),
        concurrent_calls=reader.read(CONCURRENT_CALLS),
        waiting_calls=reader.read(WAITING_CALLS),
    )
    if limits.concurrent_calls + limits.waiting_calls > MOST_CALLS:
        reader.reject(
            WAITING_CALLS,
            f"and CONCURRENT_CALLS together are over {MOST_CALLS}: host.json lets {HOST_REQUESTS}"
            " requests run at once, and needs the rest for health and for refusals;"
            " lower one of the two",
        )
    return limits


def _read_sign_in(
    reader: SettingsReader, authentication: CallerAuthentication, api: ApiIdentity
) -> SignInSettings:
    admits_guests = reader.read(PROXY_ADMITS_GUESTS)
    if authentication is CallerAuthentication.FUNCTION_KEY and not reader.is_rejected(
        PROXY_AUTHENTICATION
    ):
        # Who sets one of these believes that it bounds somebody, and a key has no name.
        for setting, is_used in (
            (PROXY_CALLER_ROLES, reader.is_set(PROXY_CALLER_ROLES)),
            (PROXY_CALLER_TENANT_ID, reader.is_set(PROXY_CALLER_TENANT_ID)),
            (PROXY_ADMITS_GUESTS, admits_guests),
        ):
            if is_used:
                reader.reject(
                    setting,
                    "is set, but with PROXY_AUTHENTICATION=function_key nobody knows who calls;"
                    " remove it, or set easy_auth",
                )
    return SignInSettings(
        tenant_id=reader.read(PROXY_CALLER_TENANT_ID) or api.tenant_id,
        caller_roles=reader.read(PROXY_CALLER_ROLES)
        if reader.is_set(PROXY_CALLER_ROLES)
        else {role.value: frozenset({role.value}) for role in Role},
        admits_guests=admits_guests,
    )


# App Service puts the secret in a reference's place, and leaves the reference there if it cannot.
_REFERENCE: Final = re.compile(r"(?i)\s*@Microsoft\.(?:KeyVault|AppConfiguration)\(")


def _find_unresolved(environment: Mapping[str, str]) -> list[Setting[object]]:
    return [setting for setting in SETTINGS if _REFERENCE.match(environment.get(setting.name, ""))]


@dataclass(frozen=True, slots=True)
class SettingsReading:
    """What the settings say, and everything that is wrong with them."""

    settings: Settings
    """Complete only where there is no problem: elsewhere a default or an example stands in."""
    problems: tuple[SettingProblem, ...]


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Return the Function App's settings, all of them checked.

    Raises:
        SettingsError: with every problem that there is; nothing is half-configured.

    """
    reading = inspect_settings(environment)
    if reading.problems:
        raise SettingsError(reading.problems)
    return reading.settings


def inspect_settings(environment: Mapping[str, str]) -> SettingsReading:
    """Return the settings with their problems, for who wants to go on with what is sound.

    Where a setting has a problem, its default or its example stands in its place. Nothing but a
    diagnosis may work with that.
    """
    unresolved = _find_unresolved(environment)
    stand_ins = {setting.name: setting.default or setting.example for setting in unresolved}
    reader = SettingsReader({**environment, **stand_ins})
    for setting in unresolved:
        reader.reject(
            setting,
            "is a reference that App Service has not resolved: check that it names the secret,"
            " and that the app's identity may read it",
        )
    settings = _read_settings(reader, environment)
    return SettingsReading(settings, reader.problems)


def _read_settings(reader: SettingsReader, environment: Mapping[str, str]) -> Settings:
    api = read_api_identity(reader)
    credential = _read_credential(reader)
    record_sink, checkpoint_store = _read_stores(reader, environment)
    proxy_authentication = _read_proxy_authentication(reader, environment)
    return Settings(
        api_base_url=reader.read(AWS_API_BASE_URL),
        api=api,
        network=read_network_settings(
            reader, None if reader.is_rejected(CREDENTIAL) else credential
        ),
        token_source=TokenSource(
            credential=credential,
            api=api,
            authority=_read_token_authority(reader, credential, api),
        ),
        token_ca_file=environment.get("REQUESTS_CA_BUNDLE") or None,
        record_sink=record_sink,
        checkpoint_store=checkpoint_store,
        calls=_read_call_limits(reader),
        sync=SyncLimits(
            schedule=reader.read(SYNC_SCHEDULE),
            page_size=reader.read(SYNC_PAGE_SIZE),
            run_seconds=reader.read(SYNC_RUN_SECONDS),
            most_poison_share=reader.read(SYNC_MOST_POISON_SHARE),
            most_deleted_share=reader.read(SYNC_MOST_DELETED_SHARE),
            fans_out=reader.read(SYNC_FAN_OUT),
        ),
        proxy_authentication=proxy_authentication,
        proxy_forwards=reader.read(PROXY_FORWARDS),
        sign_in=_read_sign_in(reader, proxy_authentication, api),
    )


def load_process_settings() -> Settings:
    """Return the settings of this process, from its environment.

    Raises:
        SettingsError: with every problem that there is.

    """
    return load_settings(os.environ)


def process_environment() -> Mapping[str, str]:
    """Return this process's environment, for who looks at settings that may be wrong."""
    return os.environ
