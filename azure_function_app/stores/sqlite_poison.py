"""The table of what is set aside, in the SQLite file. It holds any item whole."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from azure_function_app.sync.poison_store import (
    KeptPoison,
    PoisonEntry,
    PoisonOrigin,
    poison_entry,
)
from azure_function_app.sync.records import PoisonRecord

_MOST_BYTES: Final = 500_000_000
"""Half of what SQLite holds in one row; no page comes near it."""
# Items that an older version of the app kept: cut at so many characters, and without an origin.
_ADOPT: Final = """
INSERT OR IGNORE INTO poison
SELECT key, id, reason, 0, length(CAST(raw AS BLOB)), length(raw) < 16000, run_id, '', 0, '', 0,
    CAST(raw AS BLOB)
FROM set_aside
"""
_ENTRY: Final = (
    "key, id, reason, is_tombstone, size, is_whole,"
    " run_id, set_aside_at, generation, cursor, page_size"
)

type _Row = tuple[str, str, str, int, int, int, str, str, int, str, int]


def keep_poison(
    connection: sqlite3.Connection, records: Sequence[PoisonRecord], origin: PoisonOrigin
) -> None:
    """Keep the items, each once."""
    _prepare(connection)
    for record in records:
        entry = poison_entry(record, origin, most_bytes=_MOST_BYTES)
        connection.execute(
            f"INSERT OR IGNORE INTO poison ({_ENTRY}, raw) VALUES ({'?, ' * 11}?)",  # noqa: S608 - names of ours
            (*entry.to_row(), record.raw[:_MOST_BYTES]),
        )


def list_poison(connection: sqlite3.Connection, after: str, limit: int) -> list[PoisonEntry]:
    """Return the next entries in the order of their keys."""
    _prepare(connection)
    rows = connection.execute(
        f"SELECT {_ENTRY} FROM poison WHERE key > ? ORDER BY key LIMIT ?",  # noqa: S608 - names of ours
        (after, limit),
    )
    return [_entry(row) for row in rows]


def get_poison(connection: sqlite3.Connection, key: str) -> KeptPoison | None:
    """Return the item of that key, if there is one."""
    _prepare(connection)
    row = connection.execute(
        f"SELECT {_ENTRY}, raw FROM poison WHERE key = ?",  # noqa: S608 - names of ours
        (key,),
    ).fetchone()
    return None if row is None else KeptPoison(_entry(row[:-1]), row[-1])


def drop_poison(connection: sqlite3.Connection, key: str) -> bool:
    """Forget the item of that key, and return whether there was one."""
    _prepare(connection)
    return connection.execute("DELETE FROM poison WHERE key = ?", (key,)).rowcount > 0


def _prepare(connection: sqlite3.Connection) -> None:
    # Nothing is written where there is nothing to do, so reading waits for no writer.
    if connection.execute("SELECT 1 FROM set_aside LIMIT 1").fetchone():
        connection.execute(_ADOPT)
        connection.execute("DELETE FROM set_aside")


def _entry(row: _Row) -> PoisonEntry:
    key, record_id, reason, is_tombstone, size, is_whole, *_ = row
    return PoisonEntry(
        key, record_id, reason, bool(is_tombstone), size, bool(is_whole), PoisonOrigin(*row[6:])
    )
