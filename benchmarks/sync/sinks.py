"""Reads back what a contender has stored, so that none can win by storing less."""

import asyncio
import itertools
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import asyncpg
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import TableServiceClient

from benchmarks.sync.digest import Digest, canonical
from emulator.postgres import Postgres

_ACCOUNT: Final = "devstoreaccount1"
# Azurite's: the same on every machine, published in its README, good for nothing else.
_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


def digest_sqlite(file: Path) -> str:
    """Return the digest of the table `records` in a SQLite file."""
    digest = Digest()
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT id, version, updated_at, data FROM records WHERE NOT deleted"
        )
        for record_id, version, updated_at, data in rows:
            digest.add(record_id, version, updated_at, canonical(json.loads(data)))
    return digest.text


def digest_table(endpoint: str, prefix: str) -> str:
    """Return the digest of the records in Table Storage."""
    digest = Digest()
    with _service(endpoint) as service:
        table = service.get_table_client(f"{prefix}records")
        # A partition's guard has no data.
        for entity in table.list_entities():
            if "data" in entity and not entity["deleted"]:
                record_id = entity.get("record_id", entity["RowKey"])
                # The bridge's are EDM's Int64, which the SDK gives as a pair.
                version = getattr(entity["version"], "value", entity["version"])
                digest.add(
                    record_id, version, entity["updated_at"], canonical(json.loads(_data(entity)))
                )
    return digest.text


def digest_postgres(postgres: Postgres) -> str:
    """Return the digest of the records in PostgreSQL."""
    return asyncio.run(_digest_postgres(postgres))


async def _digest_postgres(postgres: Postgres) -> str:
    digest = Digest()
    connection = await asyncpg.connect(
        host=postgres.host,
        port=postgres.port,
        user=postgres.user,
        database=postgres.database,
        ssl=False,
    )
    try:
        rows = await connection.fetch(
            "SELECT id, version, updated_at, data FROM bridge.records WHERE NOT deleted"
        )
    finally:
        await connection.close()
    for row in rows:
        data = canonical(json.loads(row["data"]))
        digest.add(row["id"], row["version"], row["updated_at"], data)
    return digest.text


def drop_tables(endpoint: str, prefix: str) -> None:
    """Delete the tables whose names begin so, so that Azurite is as empty for the next one."""
    with _service(endpoint) as service:
        for table in list(service.list_tables()):
            if table.name.startswith(prefix):
                service.delete_table(table.name)


def _data(entity: Mapping[str, Any]) -> str:
    return "".join(_parts(entity))


def _parts(entity: Mapping[str, Any]) -> Iterator[str]:
    yield entity["data"]
    for number in itertools.count(1):
        part = entity.get(f"data_{number}")
        if part is None:
            return
        yield part


def _service(endpoint: str) -> TableServiceClient:
    return TableServiceClient(endpoint, credential=AzureNamedKeyCredential(_ACCOUNT, _KEY))
