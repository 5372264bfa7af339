"""The store that the settings choose, ready to be used."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from azure_function_app.identity.credentials import build_credential, request_token
from azure_function_app.settings import (
    PostgresSettings,
    Settings,
    SqliteSettings,
    TableSettings,
)
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.tls import build_tls_context
from shared.clock import Clock

if TYPE_CHECKING:
    from azure_function_app.stores.postgres.store import PostgresStore

_POSTGRES_SCOPES: Final = {
    "public": "https://ossrdbms-aad.database.windows.net/.default",
    "usgov": "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
    "china": "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
    "local": "https://ossrdbms-aad.database.windows.net/.default",
}
"""What a token must be for, to be a password of Azure's PostgreSQL, in each cloud."""

type Store = SqliteStore | TableStore | PostgresStore


def build_store(
    chosen: SqliteSettings | TableSettings | PostgresSettings, config: Settings, clock: Clock
) -> Store:
    """Return the store that is chosen, which opens nothing before it is used."""
    match chosen:
        case SqliteSettings(path=path):
            return SqliteStore(Path(path))
        case TableSettings(endpoint=endpoint):
            return build_table_store(
                endpoint, partial(build_credential, config.token_source, **config.token_leg)
            )
        case PostgresSettings():
            return _build_postgres_store(chosen, config, clock)
        case _:
            assert_never(chosen)


def _build_postgres_store(chosen: PostgresSettings, config: Settings, clock: Clock) -> Store:
    # Only who has chosen it waits for its driver at a cold start.
    from azure_function_app.stores.postgres.connections import Server  # noqa: PLC0415
    from azure_function_app.stores.postgres.store import build_postgres_store  # noqa: PLC0415

    return build_postgres_store(
        Server(chosen.host, chosen.port, chosen.database, chosen.user),
        clock=clock,
        build_tls=partial(build_tls_context, authorities_path=config.network.authorities_path),
        request_token=partial(
            request_token,
            config.token_source,
            scope=_POSTGRES_SCOPES[config.api.cloud.name],
            **config.token_leg,
        ),
    )
