"""What is examined: the settings with their problems, and where the app runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from azure_function_app.declared_settings import (
    AWS_API_BASE_URL,
    AZURE_AUTHORITY_HOST,
    AZURE_CLIENT_CERTIFICATE_PASSWORD,
    AZURE_CLIENT_CERTIFICATE_PATH,
    AZURE_CLIENT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_FEDERATED_TOKEN_FILE,
    CREDENTIAL,
    MANAGED_IDENTITY_CLIENT_ID,
    POSTGRES_DATABASE,
    POSTGRES_HOST,
    POSTGRES_PORT,
    POSTGRES_USER,
    RECORD_STORE,
    SQLITE_PATH,
    SYNC_FAN_OUT,
    TABLE_ENDPOINT,
)
from azure_function_app.identity.credential_kinds import CredentialKind
from azure_function_app.network_settings import (
    API_CLIENT_CERTIFICATE_KEY_PATH,
    API_CLIENT_CERTIFICATE_PASSWORD,
    API_CLIENT_CERTIFICATE_PATH,
    API_HTTPS_PROXY,
    AWS_API_HOST,
    AWS_API_ID,
    AWS_API_KEY,
    EXTRA_CA_FILE,
    TOKEN_HTTPS_PROXY,
)
from azure_function_app.settings import (
    PostgresSettings,
    Settings,
    SettingsReading,
    SqliteSettings,
    TableSettings,
)
from shared.clock import Clock
from shared.contract import (
    ACCEPTED_TOKEN_VERSIONS,
    API_APP_ID_URI,
    API_CLIENT_ID,
    ENTRA_AUTHORITY,
    ENTRA_CLOUD,
    ENTRA_TENANT_ID,
)
from shared.settings_reader import Setting

_TENANT: Final = (ENTRA_TENANT_ID, ENTRA_CLOUD, ENTRA_AUTHORITY)
_API_IDENTITY: Final = (API_CLIENT_ID, API_APP_ID_URI)
_API: Final = (
    AWS_API_BASE_URL,
    AWS_API_HOST,
    AWS_API_ID,
    AWS_API_KEY,
    API_HTTPS_PROXY,
    EXTRA_CA_FILE,
    API_CLIENT_CERTIFICATE_PATH,
    API_CLIENT_CERTIFICATE_KEY_PATH,
    API_CLIENT_CERTIFICATE_PASSWORD,
)
_OF_CREDENTIAL: Final[Mapping[CredentialKind, tuple[Setting[object], ...]]] = {
    CredentialKind.MANAGED_IDENTITY: (AZURE_CLIENT_ID,),
    CredentialKind.CLIENT_SECRET: (AZURE_CLIENT_ID, AZURE_CLIENT_SECRET),
    CredentialKind.CLIENT_CERTIFICATE: (
        AZURE_CLIENT_ID,
        AZURE_CLIENT_CERTIFICATE_PATH,
        AZURE_CLIENT_CERTIFICATE_PASSWORD,
    ),
    CredentialKind.WORKLOAD_IDENTITY: (AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE),
    CredentialKind.MANAGED_IDENTITY_FEDERATION: (AZURE_CLIENT_ID, MANAGED_IDENTITY_CLIENT_ID),
    CredentialKind.AZURE_CLI: (),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """An app as its settings make it."""

    reading: SettingsReading
    environment: Mapping[str, str]
    """What the settings were read from; its values are not for the report."""
    at: str
    clock: Clock

    @property
    def settings(self) -> Settings:
        """Return the settings; what has a problem reads as its default or example."""
        return self.reading.settings

    def is_set(self, name: str) -> bool:
        """Return whether the environment gives the name a value."""
        return bool(self.environment.get(name, "").strip())

    def broken_for_issuer(self) -> tuple[str, ...]:
        """Return the settings with problems without which Entra ID cannot be asked."""
        return self._broken((*_TENANT, EXTRA_CA_FILE))

    def broken_for_contract(self) -> tuple[str, ...]:
        """Return those without which a token cannot be compared."""
        return self._broken((*_TENANT, *_API_IDENTITY, ACCEPTED_TOKEN_VERSIONS))

    def broken_for_token(self) -> tuple[str, ...]:
        """Return those without which no token can be asked for."""
        kind = self.settings.token_source.credential.kind
        network = (TOKEN_HTTPS_PROXY, EXTRA_CA_FILE, AZURE_AUTHORITY_HOST)
        return self._broken((CREDENTIAL, *_TENANT, *_API_IDENTITY, *_OF_CREDENTIAL[kind], *network))

    def broken_for_api(self) -> tuple[str, ...]:
        """Return those without which the API cannot be reached."""
        return self._broken(_API)

    def broken_for_store(self) -> tuple[str, ...]:
        """Return those without which there is no telling where the store is."""
        store = self.settings.checkpoint_store
        needed: tuple[Setting[object], ...]
        match store:
            case SqliteSettings():
                needed = (RECORD_STORE, SQLITE_PATH)
            case TableSettings(endpoint=endpoint):
                of_account = (RECORD_STORE, TABLE_ENDPOINT)
                is_azurite = endpoint.startswith("http://")
                return self._broken(of_account) or (() if is_azurite else self.broken_for_token())
            case PostgresSettings():
                needed = (RECORD_STORE, POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DATABASE)
                return self._broken((*needed, POSTGRES_USER)) or self.broken_for_token()
            case _:
                assert_never(store)
        return self._broken(needed)

    def broken_for_queue(self) -> tuple[str, ...]:
        """Return those without which the sync's queue cannot be asked for, if it has one."""
        return self._broken((SYNC_FAN_OUT, EXTRA_CA_FILE))

    def _broken(self, needed: Sequence[Setting[object]]) -> tuple[str, ...]:
        wrong = {problem.name for problem in self.reading.problems}
        return tuple(dict.fromkeys(s.name for s in needed if s.name in wrong))
