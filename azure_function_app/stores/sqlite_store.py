"""Records and checkpoint in one SQLite file: the embedded default, nothing to install or to run.

The file is in WAL mode, so readers never wait, and writers take turns across processes. The log is
written in order, so a checkpoint that survived a power cut has its records before it.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from azure_function_app.errors import CheckpointConflict, ContentRefused, StoreUnavailable
from azure_function_app.stores.sqlite_poison import (
    drop_poison,
    get_poison,
    keep_poison,
    list_poison,
)
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    SyncReport,
    decode_checkpoint,
    decode_report,
    encode_checkpoint,
    encode_report,
)
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonOrigin
from azure_function_app.sync.record_sink import encode_data, newest_by_id
from azure_function_app.sync.records import PoisonRecord, Record

_SCHEMA_VERSION: Final = 1
_BUSY_SECONDS: Final = 10.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
-- Where older versions of the app keep what they set aside: sqlite_poison takes it over
CREATE TABLE IF NOT EXISTS set_aside (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL,
    run_id TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS state (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    fence TEXT NOT NULL
) STRICT;
"""
_UPSERT: Final = """
INSERT INTO records (id, generation, version, updated_at, deleted, data)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    generation = excluded.generation,
    version = excluded.version,
    updated_at = excluded.updated_at,
    deleted = excluded.deleted,
    data = excluded.data
WHERE (excluded.generation, excluded.version) > (records.generation, records.version)
"""
# Version 0, so that the record's first version in the new generation replaces it.
_MARK_MISSING: Final = """
UPDATE records SET deleted = 1, generation = ?1, version = 0 WHERE generation < ?1 AND deleted = ?2
"""

type _Turn = Callable[[sqlite3.Connection], contextlib.AbstractContextManager[None]]


class SqliteStore:
    """A record sink and a checkpoint store in one file, shared safely with other processes.

    All its work is done in one thread of its own, so the event loop never waits for the disk.
    """

    def __init__(self, path: Path) -> None:
        """Take the file's path; the file and its folder are made on first use."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-store")

    async def write(self, records: Sequence[Record], *, generation: int = 0) -> int:
        """Store a batch in one transaction and say how many records that changed."""
        rows = [
            (
                record.id,
                generation,
                record.version,
                record.updated_at,
                record.deleted,
                encode_data(record),
            )
            for record in newest_by_id(records)
        ]

        def upsert(connection: sqlite3.Connection) -> int:
            before = connection.total_changes
            connection.executemany(_UPSERT, rows)
            return connection.total_changes - before

        return await self._run(upsert)

    async def mark_missing(self, *, generation: int) -> int:
        """Mark as deleted whatever no record of the generation replaced; say how many that was."""

        def mark(connection: sqlite3.Connection) -> int:
            connection.execute(_MARK_MISSING, (generation, True))
            return connection.execute(_MARK_MISSING, (generation, False)).rowcount

        return await self._run(mark)

    async def newest_generation(self) -> int:
        """Return the latest generation that a record was written in; 0 if there is none."""
        newest: int = await self._run(
            lambda connection: connection.execute(
                "SELECT coalesce(max(generation), 0) FROM records"
            ).fetchone()[0],
            _unlocked,
        )
        return newest

    async def stored_orders(self, ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Return by ID the generation and version of those records that are there."""

        def look_up(connection: sqlite3.Connection) -> Mapping[str, tuple[int, int]]:
            rows = connection.execute(
                "SELECT id, generation, version FROM records"
                " WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids),),
            )
            return {key: (generation, version) for key, generation, version in rows}

        return await self._run(look_up, _unlocked)

    async def set_aside(self, records: Sequence[PoisonRecord], *, origin: PoisonOrigin) -> None:
        """Keep what is no valid record, each item once and whole."""
        await self._run(partial(keep_poison, records=records, origin=origin))

    async def list_poison(self, *, after: str = "", limit: int = 100) -> Sequence[PoisonEntry]:
        """Return the next items that are kept, in the order of their keys."""
        return await self._run(partial(list_poison, after=after, limit=limit), _unlocked)

    async def get_poison(self, key: str) -> KeptPoison | None:
        """Return the item of that key with its content; None if there is none."""
        return await self._run(partial(get_poison, key=key), _unlocked)

    async def drop_poison(self, key: str) -> bool:
        """Forget the item of that key, and return whether there was one."""
        return await self._run(partial(drop_poison, key=key))

    async def load(self) -> Checkpoint:
        """Return the checkpoint as last saved, or `BEGINNING`."""
        row = await self._run(lambda connection: _state(connection, "checkpoint"), _unlocked)
        return decode_checkpoint(*row) if row else BEGINNING

    async def save(self, moved: Checkpoint, *, replacing: Checkpoint) -> Checkpoint:
        """Move the checkpoint on, if it is still the one that is replaced."""
        # Random, not counted: a run from before the file was deleted must not match by chance.
        saved = replace(moved, fence=uuid4().hex)

        def compare_and_swap(connection: sqlite3.Connection) -> None:
            row = _state(connection, "checkpoint")
            if (row[1] if row else "") != replacing.fence:
                raise CheckpointConflict("Another run has moved the checkpoint.")
            _put_state(connection, "checkpoint", encode_checkpoint(saved), saved.fence)

        await self._run(compare_and_swap)
        return saved

    async def save_report(self, report: SyncReport) -> None:
        """Keep the report in place of the previous one."""
        text = encode_report(report)
        await self._run(lambda connection: _put_state(connection, "last_run", text, ""))

    async def load_report(self) -> SyncReport | None:
        """Return the report of the run that ended last, if any has."""
        row = await self._run(lambda connection: _state(connection, "last_run"), _unlocked)
        return decode_report(row[0]) if row else None

    async def aclose(self) -> None:
        """Close the file; the store is not usable afterwards. Closing twice is harmless."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()

        if not self._is_closed:
            self._is_closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, close)
            self._thread.shutdown()

    async def _run[T](
        self, work: Callable[[sqlite3.Connection], T], turn: _Turn | None = None
    ) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._within, work, turn or _transaction
        )

    def _within[T](self, work: Callable[[sqlite3.Connection], T], turn: _Turn) -> T:
        try:
            if self._connection is None:
                self._connection = _connect(self._path)
            with turn(self._connection):
                return work(self._connection)
        except (sqlite3.DataError, sqlite3.IntegrityError, OverflowError, UnicodeError) as error:
            # Only SQLite's own words are sure to quote nothing.
            why = str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
            raise ContentRefused(f"the SQLite file does not take it: {why}") from error
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"The SQLite file could not be used ({error}); check SQLITE_PATH, and that the disk"
                " has room."
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, autocommit=True)
    try:
        # Locked here means that another process is making the same switch, which lasts; waiting is
        # no use, because SQLite does not wait its turn for this one.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # Only a new file takes the writer's turn: opening one that is in use must not wait.
        if _schema_version(connection) == 0:
            with _transaction(connection):
                _create_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _schema_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(
            f"it has schema {version}, and this version of the app knows {_SCHEMA_VERSION}"
        )
    return version


def _create_schema(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE takes the writer's turn at once: a deferred transaction that reads first could be
    # refused when it comes to write.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors, such as a full disk, have already rolled it back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _unlocked(_connection: sqlite3.Connection) -> Iterator[None]:
    """One statement that reads needs no transaction, and so waits for no writer."""
    yield


def _state(connection: sqlite3.Connection, name: str) -> tuple[str, str] | None:
    row: tuple[str, str] | None = connection.execute(
        "SELECT value, fence FROM state WHERE name = ?", (name,)
    ).fetchone()
    return row


def _put_state(connection: sqlite3.Connection, name: str, value: str, fence: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO state (name, value, fence) VALUES (?, ?, ?)", (name, value, fence)
    )
