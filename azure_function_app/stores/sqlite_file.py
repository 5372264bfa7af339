"""One SQLite file as this app uses it: opened on first use, in WAL mode, and known again.

In WAL mode readers do not wait for writers, and writers take turns across processes.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from azure_function_app.errors import ContentRefused, StoreReplaced, StoreUnavailable
from azure_function_app.stores.store_threads import timed_out

_SCHEMA_VERSION: Final = 1
"""Grows when an older version of the app could no longer use the file; a new table is no reason."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS poison (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    reason TEXT NOT NULL,
    is_tombstone INTEGER NOT NULL,
    size INTEGER NOT NULL,
    is_whole INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    set_aside_at TEXT NOT NULL,
    generation INTEGER NOT NULL,
    cursor TEXT NOT NULL,
    page_size INTEGER NOT NULL,
    raw BLOB NOT NULL
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
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY,
    finished_at TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;
"""
_TABLES: Final = frozenset({"records", "poison", "set_aside", "state", "runs"})

type Turn = Callable[[sqlite3.Connection], contextlib.AbstractContextManager[None]]


class SqliteFile:
    """A connection to the file at a path. Belongs to one thread."""

    def __init__(self, path: Path, *, busy_seconds: float, only_reads: bool = False) -> None:
        """Take the path, and how long to wait for other processes' turns at most.

        The file and its folder are made on first use. Its tables are not by one who only reads:
        that takes the writer's turn.
        """
        self._path = path
        self._busy_seconds = busy_seconds
        self._only_reads = only_reads
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def within[T](
        self, work: Callable[[sqlite3.Connection], T], turn: Turn, *, seconds: float | None = None
    ) -> T:
        """Return what the work returns, done in such a turn.

        Args:
            work: gets the connection.
            turn: `transaction`, or `unlocked` for a single statement that reads.
            seconds: to wait for other processes' turns, if that is less than the usual.

        Raises:
            ContentRefused: SQLite will never take what the work would write.
            StoreReplaced: the file is no longer at its path; the next call opens what is there.
            StoreTimedOut: others have kept the file for those seconds.
            StoreUnavailable: the file could not be used.

        """
        busy = self._busy_seconds if seconds is None else min(seconds, self._busy_seconds)
        if self._only_reads and self._identity != _identity_of(self._path):
            # Nothing is lost by reading what is there now.
            self.close()
        try:
            if self._connection is None:
                self._connection = _connect(self._path, busy, only_reads=self._only_reads)
                self._identity = _identity_of(self._path)
            self._connection.execute(f"PRAGMA busy_timeout = {int(busy * 1_000)}")
            with turn(self._connection):
                result = work(self._connection)
            self._raise_if_replaced()
        except (sqlite3.DataError, sqlite3.IntegrityError, OverflowError, UnicodeError) as error:
            # Only SQLite's own words are sure to quote nothing.
            why = str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
            raise ContentRefused(f"the SQLite file does not take it: {why}") from error
        except (sqlite3.Error, OSError) as error:
            self._raise_if_replaced()
            if busy < self._busy_seconds and _is_locked(error):
                raise timed_out() from error
            raise StoreUnavailable(
                f"The SQLite file could not be used ({error}); check SQLITE_PATH, and that the disk"
                " has room."
            ) from error
        return result

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _raise_if_replaced(self) -> None:
        # What is written to a deleted file succeeds, and is gone.
        if self._connection is None or self._identity == _identity_of(self._path):
            return
        self.close()
        raise StoreReplaced(
            "The SQLite file was deleted or replaced while it was open, so nothing counts as stored"
            " in it; the next run uses what is at SQLITE_PATH then. Stop the app before you put"
            " another file there."
        )


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - called after each transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_locked(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _connect(path: Path, busy_seconds: float, *, only_reads: bool) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=busy_seconds, autocommit=True)
    if only_reads:
        return connection
    try:
        # Locked here means that another process is making the same switch, which lasts; waiting is
        # no use, because SQLite does not wait its turn for this one.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # Only a file that lacks a table takes the writer's turn: opening must not wait otherwise.
        if _lacks_tables(connection):
            with transaction(connection):
                _create_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _lacks_tables(connection: sqlite3.Connection) -> bool:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(
            f"it has schema {version}, and this version of the app knows {_SCHEMA_VERSION}"
        )
    return not tables_of(connection) >= _TABLES


def tables_of(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the names of the tables that are there."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return frozenset(name for (name,) in rows)


def _create_schema(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the writer's turn, and commit what is done in it unless it raises."""
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
def unlocked(_connection: sqlite3.Connection) -> Iterator[None]:
    """One statement that reads needs no transaction, and so waits for no writer."""
    yield
