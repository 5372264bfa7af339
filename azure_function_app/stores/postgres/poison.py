"""The table of what is set aside, in PostgreSQL. It holds any item whole."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from azure_function_app.stores.postgres.connections import Connection
from azure_function_app.sync.poison_store import (
    KeptPoison,
    PoisonEntry,
    PoisonOrigin,
    poison_entry,
)
from azure_function_app.sync.records import PoisonRecord

_MOST_BYTES: Final = 250_000_000
"""A quarter of what PostgreSQL holds in one field; no page comes near it."""
_ENTRY: Final = (
    "key, id, reason, is_tombstone, size, is_whole,"
    " run_id, set_aside_at, generation, cursor, page_size"
)
_KEEP: Final = f"""
INSERT INTO poison ({_ENTRY}, raw) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (key) DO NOTHING
"""  # noqa: S608 - names of ours
_LIST: Final = f"SELECT {_ENTRY} FROM poison WHERE key > $1 ORDER BY key LIMIT $2"  # noqa: S608 - names of ours
_GET: Final = f"SELECT {_ENTRY}, raw FROM poison WHERE key = $1"  # noqa: S608 - names of ours
_DROP: Final = "DELETE FROM poison WHERE key = $1"


async def keep_poison(
    connection: Connection, records: Sequence[PoisonRecord], origin: PoisonOrigin
) -> None:
    """Keep the items, each once."""
    # A cursor is whatever the API says; no text in PostgreSQL holds U+0000.
    origin = replace(origin, cursor=origin.cursor.replace("\0", "\\x00"))
    rows = [
        (*poison_entry(record, origin, most_bytes=_MOST_BYTES).to_row(), record.raw[:_MOST_BYTES])
        for record in records
    ]
    # In the order of their keys, so that two pages that share items wait for each other in turn.
    await connection.executemany(_KEEP, sorted(rows))


async def list_poison(connection: Connection, after: str, limit: int) -> list[PoisonEntry]:
    """Return the next entries in the order of their keys."""
    return [_entry(row) for row in await connection.fetch(_LIST, after, limit)]


async def get_poison(connection: Connection, key: str) -> KeptPoison | None:
    """Return the item of that key, if there is one."""
    row = await connection.fetchrow(_GET, key)
    return None if row is None else KeptPoison(_entry(row), row["raw"])


async def drop_poison(connection: Connection, key: str) -> bool:
    """Forget the item of that key, and return whether there was one."""
    return await connection.execute(_DROP, key) != "DELETE 0"


def _entry(row: Any) -> PoisonEntry:  # noqa: ANN401 - the driver's row
    return PoisonEntry(
        key=row["key"],
        id=row["id"],
        reason=row["reason"],
        is_tombstone=row["is_tombstone"],
        size=row["size"],
        is_whole=row["is_whole"],
        origin=PoisonOrigin(
            run_id=row["run_id"],
            set_aside_at=row["set_aside_at"],
            generation=row["generation"],
            cursor=row["cursor"],
            page_size=row["page_size"],
        ),
    )
