"""Records and checkpoint in one SQLite file: the embedded default, nothing to install or to run.

A page and the checkpoint past it are one transaction, so a run that another one has overtaken
changes nothing at all.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

from azure_function_app.deadline import Deadline
from azure_function_app.errors import CheckpointConflict
from azure_function_app.stores.sqlite_file import SqliteFile, tables_of, transaction, unlocked
from azure_function_app.stores.sqlite_poison import (
    drop_poison,
    get_poison,
    keep_poison,
    list_poison,
)
from azure_function_app.stores.sqlite_view import SqliteView
from azure_function_app.stores.store_threads import StoreThreads, timed_out
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    WHOLE_FEED_ROW,
    Checkpoint,
    SyncReport,
    runs_kept,
    surplus_reports,
)
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonOrigin
from azure_function_app.sync.record_sink import Batch, newest_by_id
from azure_function_app.sync.records import PoisonRecord, Record, encode_data
from azure_function_app.sync.stored_text import (
    decode_checkpoint,
    decode_report,
    encode_checkpoint,
    encode_report,
)
from azure_function_app.sync.sweep import Stretch, SweepPhase
from azure_function_app.sync.sync_store import Step, sweep_of, swept

_BUSY_SECONDS: Final = 10.0
_READER_BUSY_SECONDS: Final = 0.25
"""Health asks, and must not wait for anybody's turn."""
_COUNTED: Final = 10_000
"""Records counted at a time, and below, marked at a time: a mark writes the whole row."""
_MARKED: Final = 1_000
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
# By rowid, the order in which the file holds them; a record keeps its own.
_COUNT: Final = """
SELECT count(*), max(rowid), coalesce(sum(NOT deleted), 0),
    coalesce(sum(NOT deleted AND generation < ?2), 0)
FROM (SELECT rowid, deleted, generation FROM records WHERE rowid > ?1 ORDER BY rowid LIMIT ?3)
"""
# Version 0, so that the record's first version in the new generation replaces it.
_MARK: Final = """
UPDATE records SET deleted = 1, generation = ?3, version = 0
WHERE rowid > ?1 AND rowid <= ?2 AND generation < ?3
"""
# The second is what a version of the app that kept one report only has left.
_REPORTS: Final = (
    ("runs", "SELECT report FROM runs ORDER BY finished_at DESC, rowid DESC"),
    ("state", "SELECT value FROM state WHERE name = 'last_run'"),
)
_OF_SHARD: Final = """
SELECT run_id, report FROM runs
WHERE CASE WHEN json_valid(report) THEN json_extract(report, '$.shard') END IS ?
ORDER BY finished_at DESC, rowid DESC
"""

type _Work[T] = Callable[[sqlite3.Connection], T]


class SqliteStore:
    """A record sink and a checkpoint store in one file, shared safely with other processes.

    Its work is done in threads of its own: one that writes, and one for the reports of runs, so
    that whoever asks how the last run ended does not wait for the one that is under way.
    """

    def __init__(self, path: Path) -> None:
        """Take the file's path; the file and its folder are made on first use."""
        self._file = SqliteFile(path, busy_seconds=_BUSY_SECONDS)
        self._thread = StoreThreads(1, name="sqlite-store")
        self._reader = SqliteFile(path, busy_seconds=_READER_BUSY_SECONDS, only_reads=True)
        self._reading_thread = StoreThreads(1, name="sqlite-reader")
        self.view = SqliteView(self._reader, self._reading_thread)
        self._row = WHOLE_FEED_ROW

    def for_row(self, row: str) -> Self:
        """Return this store with the checkpoint of another row; it is closed with this one."""
        other = copy(self)
        other._row = row  # noqa: SLF001 - it is one of ours
        return other

    async def write(
        self, records: Sequence[Record], *, generation: int = 0, deadline: Deadline | None = None
    ) -> int:
        """Store a batch in one transaction and say how many records that changed."""
        return await self._run(
            deadline, lambda connection: _upsert(connection, records, generation)
        )

    async def write_page(
        self,
        page: Batch,
        moved: Checkpoint,
        *,
        replacing: Checkpoint,
        deadline: Deadline | None = None,
    ) -> Step:
        """Take in a page and move the checkpoint past it, in one transaction."""

        def take_in(connection: sqlite3.Connection) -> Step:
            saved = _compare_and_swap(connection, self._row, moved, replacing)
            keep_poison(connection, page.poison, page.origin)
            return Step(saved, _upsert(connection, page.records, moved.generation))

        return await self._run(deadline, take_in)

    async def sweep_page(self, checkpoint: Checkpoint, *, deadline: Deadline | None = None) -> Step:
        """Take the sweep one stretch further, and the checkpoint too, in one transaction."""
        sweep, position = sweep_of(checkpoint)
        is_marking = sweep.phase is SweepPhase.MARKING
        take = _mark_missing if is_marking else _count_missing

        def step(connection: sqlite3.Connection) -> Step:
            stretch = take(connection, position, checkpoint.generation)
            moved = swept(checkpoint, sweep, stretch)
            saved = _compare_and_swap(connection, self._row, moved, checkpoint)
            return Step(saved, stretch.missing if is_marking else 0)

        return await self._run(deadline, step)

    async def begin_generation(self, generation: int, *, deadline: Deadline | None = None) -> None:
        """Refuse every write of an earlier generation from now on."""
        await self._run(deadline, lambda connection: _begin_generation(connection, generation))

    async def count_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Count one stretch of the live records, and those that the generation lacks."""
        return await self._run(
            deadline, lambda connection: _count_missing(connection, position, generation)
        )

    async def mark_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Mark as deleted what the generation lacks in one stretch."""
        return await self._run(
            deadline, lambda connection: _mark_missing(connection, position, generation)
        )

    async def newest_generation(self, *, deadline: Deadline | None = None) -> int:
        """Return the latest generation that has begun; 0 if there is none."""
        return await self._run(deadline, _newest_generation)

    async def retain(
        self, ids: Sequence[str], *, generation: int, deadline: Deadline | None = None
    ) -> None:
        """Take records of earlier generations into this one, as they are, at version 0."""
        await self._run(deadline, lambda connection: _retain(connection, ids, generation))

    async def stored_orders(
        self, ids: Sequence[str], *, deadline: Deadline | None = None
    ) -> Mapping[str, tuple[int, int]]:
        """Return by ID the generation and version of those records that are there."""
        return await self._run(deadline, lambda connection: _orders(connection, ids), unlocked)

    async def set_aside(
        self,
        records: Sequence[PoisonRecord],
        *,
        origin: PoisonOrigin,
        deadline: Deadline | None = None,
    ) -> None:
        """Keep what is no valid record, each item once and whole."""
        await self._run(deadline, lambda connection: keep_poison(connection, records, origin))

    async def list_poison(
        self, *, after: str = "", limit: int = 100, deadline: Deadline | None = None
    ) -> Sequence[PoisonEntry]:
        """Return the next items that are kept, in the order of their keys."""
        return await self._run(
            deadline, lambda connection: list_poison(connection, after, limit), unlocked
        )

    async def get_poison(self, key: str, *, deadline: Deadline | None = None) -> KeptPoison | None:
        """Return the item of that key with its content; None if there is none."""
        return await self._run(deadline, lambda connection: get_poison(connection, key), unlocked)

    async def drop_poison(self, key: str, *, deadline: Deadline | None = None) -> bool:
        """Forget the item of that key, and return whether there was one."""
        return await self._run(deadline, lambda connection: drop_poison(connection, key))

    async def load(self, *, deadline: Deadline | None = None) -> Checkpoint:
        """Return the checkpoint as last saved, or `BEGINNING`."""
        row = await self._run(deadline, lambda connection: _state(connection, self._row), unlocked)
        return decode_checkpoint(*row) if row else BEGINNING

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline | None = None
    ) -> Checkpoint:
        """Move the checkpoint on, if it is still the one that is replaced."""
        return await self._run(
            deadline,
            lambda connection: _compare_and_swap(connection, self._row, moved, replacing),
        )

    async def reset(self, *, deadline: Deadline | None = None) -> None:
        """Delete the checkpoint, whatever it holds."""
        await self._run(
            deadline,
            lambda connection: connection.execute("DELETE FROM state WHERE name = ?", (self._row,)),
        )

    async def save_report(self, report: SyncReport, *, deadline: Deadline | None = None) -> None:
        """Keep the report beside those of other runs, the newest of them."""
        row = (report.run_id, report.finished_at, encode_report(report))

        def append(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?)", row)
            _forget_surplus(connection, report.shard)

        await self._run(deadline, append)

    async def load_reports(self, *, deadline: Deadline | None = None) -> Sequence[SyncReport]:
        """Return the reports that are kept, that of the run that ended last first."""
        texts = await self._reading_thread.run(
            deadline, lambda: self._reader.within(_reports, unlocked)
        )
        return [report for report in map(decode_report, texts) if report is not None]

    async def load_report(self, *, deadline: Deadline | None = None) -> SyncReport | None:
        """Return the report of the run that ended last, if any has."""
        return next(iter(await self.load_reports(deadline=deadline)), None)

    async def aclose(self) -> None:
        """Close the file; the store is not usable afterwards. Closing twice is harmless."""
        await self._reading_thread.aclose(self._reader.close)
        await self._thread.aclose(self._file.close)

    async def _run[T](
        self,
        deadline: Deadline | None,
        work: _Work[T],
        turn: Callable[[sqlite3.Connection], AbstractContextManager[None]] = transaction,
    ) -> T:
        def in_time(connection: sqlite3.Connection) -> T:
            result = work(connection)
            # Whoever waits has been told that it timed out: what is not committed yet is undone.
            if deadline is not None and deadline.has_passed:
                raise timed_out()
            return result

        def within() -> T:
            seconds = None if deadline is None else deadline.remaining_seconds()
            return self._file.within(in_time, turn, seconds=seconds)

        return await self._thread.run(deadline, within)


def _reports(connection: sqlite3.Connection) -> list[str]:
    tables = tables_of(connection)
    for table, sql in _REPORTS:
        if table in tables and (rows := connection.execute(sql).fetchall()):
            return [text for (text,) in rows]
    return []


def _forget_surplus(connection: sqlite3.Connection, shard: int | None) -> None:
    kept = connection.execute(_OF_SHARD, (shard,)).fetchall()
    most = runs_kept(shard)
    if len(kept) <= most:
        return
    surplus = surplus_reports([decode_report(text) for _, text in kept], most=most)
    connection.executemany(
        "DELETE FROM runs WHERE run_id = ?", [(kept[number][0],) for number in surplus]
    )


def _upsert(connection: sqlite3.Connection, records: Sequence[Record], generation: int) -> int:
    _begin_generation(connection, generation)
    before = connection.total_changes
    connection.executemany(
        _UPSERT,
        [
            (
                record.id,
                generation,
                record.version,
                record.updated_at,
                record.deleted,
                encode_data(record),
            )
            for record in newest_by_id(records)
        ],
    )
    return connection.total_changes - before


def _begin_generation(connection: sqlite3.Connection, generation: int) -> None:
    begun = _begun(connection) or 0
    if begun > generation:
        raise CheckpointConflict("A later generation of the records has begun.")
    if begun < generation:
        _put_state(connection, "generation", str(generation), "")


def _begun(connection: sqlite3.Connection) -> int | None:
    row = _state(connection, "generation")
    return int(row[0]) if row and row[0].isdecimal() else None


def _newest_generation(connection: sqlite3.Connection) -> int:
    begun = _begun(connection)
    if begun is not None:
        return begun
    # A file from before that was written down.
    newest: int = connection.execute("SELECT coalesce(max(generation), 0) FROM records").fetchone()[
        0
    ]
    return newest


def _count_missing(connection: sqlite3.Connection, position: str, generation: int) -> Stretch:
    found, last, live, missing = _count(connection, position, generation, _COUNTED)
    return Stretch(str(last) if found == _COUNTED else None, live, missing)


def _mark_missing(connection: sqlite3.Connection, position: str, generation: int) -> Stretch:
    _begin_generation(connection, generation)
    found, last, live, missing = _count(connection, position, generation, _MARKED)
    connection.execute(_MARK, (int(position or 0), last, generation))
    return Stretch(str(last) if found == _MARKED else None, live, missing)


def _count(
    connection: sqlite3.Connection, position: str, generation: int, most: int
) -> tuple[int, int | None, int, int]:
    row: tuple[int, int | None, int, int] = connection.execute(
        _COUNT, (int(position or 0), generation, most)
    ).fetchone()
    return row


def _retain(connection: sqlite3.Connection, ids: Sequence[str], generation: int) -> None:
    _begin_generation(connection, generation)
    connection.execute(
        "UPDATE records SET generation = ?1, version = 0"
        " WHERE generation < ?1 AND id IN (SELECT value FROM json_each(?2))",
        (generation, json.dumps(ids)),
    )


def _orders(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    rows = connection.execute(
        "SELECT id, generation, version FROM records WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(ids),),
    )
    return {key: (generation, version) for key, generation, version in rows}


def _compare_and_swap(
    connection: sqlite3.Connection, row: str, moved: Checkpoint, replacing: Checkpoint
) -> Checkpoint:
    present = _state(connection, row)
    if (present[1] if present else "") != replacing.fence:
        raise CheckpointConflict("Another run has moved the checkpoint.")
    # Random, not counted: a run from before the file was deleted must not match by chance.
    saved = replace(moved, fence=uuid4().hex)
    _put_state(connection, row, encode_checkpoint(saved), saved.fence)
    return saved


def _state(connection: sqlite3.Connection, name: str) -> tuple[str, str] | None:
    row: tuple[str, str] | None = connection.execute(
        "SELECT value, fence FROM state WHERE name = ?", (name,)
    ).fetchone()
    return row


def _put_state(connection: sqlite3.Connection, name: str, value: str, fence: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO state (name, value, fence) VALUES (?, ?, ?)", (name, value, fence)
    )
