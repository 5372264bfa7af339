"""What a good engineer writes in an afternoon: page by page, upserts, and then the cursor.

`python -m benchmarks.sync.programs.plain_loop ORIGIN sqlite FILE`, or `... ORIGIN table ENDPOINT
PREFIX`. One page is one transaction in SQLite, together with the cursor; in Table Storage it is
batches of up to a hundred, and then the cursor. No retries but the libraries' own, no version rule,
no fence, no deadline, nothing set aside: that is what it is compared for.
"""

import hashlib
import itertools
import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import httpcore  # noqa: F401 - httpx does at its first client, and what imports take does not count
import httpx
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient, UpdateMode

from benchmarks.sync.programs.measured import MADE_UP_TOKEN, measured

_PAGE_SIZE: Final = 500
_BATCH: Final = 100
_ACCOUNT: Final = "devstoreaccount1"
# Azurite's: the same on every machine, published in its README, good for nothing else.
_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY, version INTEGER, updated_at TEXT, deleted INTEGER, data TEXT
);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT);
"""
_UPSERT: Final = """
INSERT INTO records (id, version, updated_at, deleted, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, updated_at = excluded.updated_at,
    deleted = excluded.deleted, data = excluded.data
"""


def _read_pages(origin: str, cursor: str) -> Iterator[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {MADE_UP_TOKEN}"}
    with httpx.Client(base_url=origin, headers=headers, timeout=30.0, trust_env=False) as client:
        has_more = True
        while has_more:
            response = client.get("/v1/records", params={"cursor": cursor, "limit": _PAGE_SIZE})
            page: dict[str, Any] = response.raise_for_status().json()
            yield page
            cursor, has_more = page["next_cursor"], page["has_more"]


def _load_sqlite(origin: str, file: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        row = connection.execute("SELECT value FROM state WHERE name = 'cursor'").fetchone()
        for page in _read_pages(origin, row[0] if row else ""):
            with connection:
                connection.executemany(
                    _UPSERT,
                    [
                        (
                            item["id"],
                            item["version"],
                            item["updated_at"],
                            item["deleted"],
                            json.dumps(item["data"]),
                        )
                        for item in page["items"]
                    ],
                )
                connection.execute(
                    "INSERT OR REPLACE INTO state VALUES ('cursor', ?)", (page["next_cursor"],)
                )


def _load_table(origin: str, endpoint: str, prefix: str) -> None:
    credential = AzureNamedKeyCredential(_ACCOUNT, _KEY)
    with TableServiceClient(endpoint, credential=credential) as service:
        records = service.create_table_if_not_exists(f"{prefix}records")
        state = service.create_table_if_not_exists(f"{prefix}state")
        try:
            cursor = state.get_entity("state", "cursor")["value"]
        except ResourceNotFoundError:
            cursor = ""
        for page in _read_pages(origin, cursor):
            by_partition = defaultdict(list)
            for item in page["items"]:
                entity = _entity(item)
                by_partition[entity["PartitionKey"]].append(entity)
            for entities in by_partition.values():
                for batch in itertools.batched(entities, _BATCH, strict=False):
                    records.submit_transaction(
                        [("upsert", entity, {"mode": UpdateMode.REPLACE}) for entity in batch]
                    )
            state.upsert_entity(
                {"PartitionKey": "state", "RowKey": "cursor", "value": page["next_cursor"]}
            )


def _entity(item: dict[str, Any]) -> dict[str, Any]:
    return {
        # Sixteen partitions, since one takes two thousand entities a second at most.
        "PartitionKey": hashlib.sha256(item["id"].encode()).hexdigest()[0],
        "RowKey": item["id"],
        "version": item["version"],
        "updated_at": item["updated_at"],
        "deleted": item["deleted"],
        "data": json.dumps(item["data"]),
    }


def _load(origin: str, kind: str, *place: str) -> None:
    if kind == "sqlite":
        _load_sqlite(origin, *place)
    else:
        _load_table(origin, *place)


if __name__ == "__main__":
    with measured():
        _load(*sys.argv[1:])
