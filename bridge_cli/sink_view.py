"""Looks into the Function App's SQLite file from outside, to see what the sync really stored."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

_BUSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SinkView:
    """The sink and the checkpoint in one file."""

    path: Path

    def count(self) -> int:
        """Return how many records the sink holds, without tombstones; 0 before the first run."""
        return self._count("NOT deleted")

    def count_tombstones(self) -> int:
        """Return how many deleted records the sink remembers."""
        return self._count("deleted")

    def _count(self, condition: str) -> int:
        if not self.path.exists():
            return 0
        try:
            with self._connected() as connection:
                count: int = connection.execute(
                    f"SELECT count(*) FROM records WHERE {condition}"  # noqa: S608 - ours, above
                ).fetchone()[0]
        except sqlite3.OperationalError:  # the file is there, its tables are not yet
            return 0
        return count

    def digest(self) -> str:
        """Return a digest of everything the sink holds: equal digests mean equal records."""
        digest = hashlib.sha256()
        with self._connected() as connection:
            for row in connection.execute(
                "SELECT id, version, updated_at, deleted, data FROM records ORDER BY id"
            ):
                digest.update(repr(row).encode())
        return digest.hexdigest()

    def delete_checkpoint(self) -> None:
        """Make the next run start from the beginning."""
        with self._connected() as connection, connection:
            connection.execute("DELETE FROM state WHERE name = 'checkpoint'")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
            yield connection
