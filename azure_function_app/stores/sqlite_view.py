"""What the SQLite file holds, for a person who looks: it only reads, and makes no table."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from azure_function_app.stores.sqlite_file import SqliteFile, tables_of, unlocked
from azure_function_app.stores.store_threads import StoreThreads
from azure_function_app.sync.record_view import HeldVersion

_HELD_VERSIONS: Final = """
SELECT id, generation, version, deleted FROM records WHERE id IN (SELECT value FROM json_each(?))
"""
_COUNT_LIVE: Final = "SELECT count(*) FROM records WHERE generation < ? AND NOT deleted"
_NEWEST_GENERATION: Final = "SELECT coalesce(max(generation), 0) FROM records"
_BEGUN_GENERATION: Final = "SELECT value FROM state WHERE name = 'generation'"


class SqliteView:
    """Looks at the records in the file, in a thread of the store's."""

    def __init__(self, file: SqliteFile, thread: StoreThreads) -> None:
        """Take a file that only reads, and the thread that it belongs to."""
        self._file = file
        self._thread = thread

    async def held_versions(self, record_ids: Sequence[str]) -> Mapping[str, HeldVersion]:
        """Return by ID which version is held of those of the records that are held."""

        def look_up(connection: sqlite3.Connection) -> dict[str, HeldVersion]:
            found = connection.execute(_HELD_VERSIONS, (json.dumps(list(record_ids)),))
            return {
                record_id: HeldVersion(generation, version, bool(deleted))
                for record_id, generation, version, deleted in found
            }

        return await self._look(look_up, {})

    async def count_live(self, *, before: int) -> int:
        """Return how many records are held, and not deleted, in generations before that one."""
        return await self._look(lambda connection: _number(connection, _COUNT_LIVE, before), 0)

    async def newest_generation(self) -> int:
        """Return the latest generation that has begun; 0 if there is none."""

        def look(connection: sqlite3.Connection) -> int:
            row = connection.execute(_BEGUN_GENERATION).fetchone()
            if row and row[0].isdecimal():
                return int(row[0])
            # A file from before that was written down.
            return _number(connection, _NEWEST_GENERATION)

        return await self._look(look, 0)

    async def _look[T](self, look: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        def unless_empty(connection: sqlite3.Connection) -> T:
            is_made = tables_of(connection) >= {"records", "state"}
            return look(connection) if is_made else nothing

        return await self._thread.run(None, lambda: self._file.within(unless_empty, unlocked))


def _number(connection: sqlite3.Connection, sql: str, *values: int) -> int:
    number: int = connection.execute(sql, values).fetchone()[0]
    return number
