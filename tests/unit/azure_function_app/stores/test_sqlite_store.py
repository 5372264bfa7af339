"""The embedded store: one file, any number of processes."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    ContentRefused,
    StoreReplaced,
    StoreTimedOut,
    StoreUnavailable,
)
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncStatus
from azure_function_app.sync.record_sink import Batch
from azure_function_app.sync.records import PoisonRecord, Record
from azure_function_app.sync.stored_text import encode_report
from azure_function_app.sync.sync_store import SyncStore
from shared.clock import SystemClock
from tests.support.fake_clock import FakeClock
from tests.support.fake_feed import FakeFeed, record
from tests.support.one_transaction_promises import OneTransactionPromises
from tests.support.sync_store_promises import (
    SetAside,
    Store,
    Stored,
    SyncStorePromises,
    origin,
    report,
    sync_job,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist, in a folder that does not either."""
    return tmp_path / "new" / "records.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """A store in that file."""
    store = SqliteStore(path)
    yield store
    await store.aclose()


@dataclass
class SqlitePlace:
    """A file, and the stores that were opened on it."""

    path: Path
    stores: list[SqliteStore] = field(default_factory=list[SqliteStore])

    def open(self) -> SqliteStore:
        """Another store on the file."""
        self.stores.append(SqliteStore(self.path))
        return self.stores[-1]

    def as_sync_store(self, store: Store) -> SyncStore:
        """The store itself: it takes in page and checkpoint at once."""
        assert isinstance(store, SqliteStore)
        return store

    def tables(self) -> set[str]:
        """The tables that are there."""
        rows = query(self.path, "SELECT name FROM sqlite_schema WHERE type = 'table'")
        return {name for (name,) in rows}

    def records(self) -> dict[str, Stored]:
        """The records by ID."""
        rows = query(self.path, "SELECT id, version, updated_at, deleted, data FROM records")
        return {key: Stored(version, at, bool(gone), data) for key, version, at, gone, data in rows}

    def set_aside(self) -> list[SetAside]:
        """What was set aside."""
        return [
            SetAside(*row) for row in query(self.path, "SELECT id, reason, raw, run_id FROM poison")
        ]

    def refuse_long_times(self) -> None:
        """Refuse them as a schema of somebody's own might."""
        query(
            self.path,
            "CREATE TRIGGER refuse BEFORE INSERT ON records WHEN length(new.updated_at) > 30000"
            " BEGIN SELECT RAISE(ABORT, 'too long'); END",
        )

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint."""
        query(self.path, "DELETE FROM state WHERE name = 'checkpoint'")

    def put_checkpoint(self, text: str) -> None:
        """Put another text there."""
        query(self.path, "UPDATE state SET value = ? WHERE name = 'checkpoint'", text)


class TestSqliteStore(SyncStorePromises, OneTransactionPromises):
    """The promises, in a file."""

    @pytest.fixture
    async def place(self, path: Path) -> AsyncIterator[SqlitePlace]:
        """The file."""
        place = SqlitePlace(path)
        yield place
        for store in place.stores:
            await store.aclose()


def query(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What another connection sees."""
    connection = sqlite3.connect(path, autocommit=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


async def test_when_another_process_holds_the_file_then_a_write_waits_its_turn(
    store: SqliteStore, path: Path
) -> None:
    """A writer in another process delays a write, it does not fail it; reading does not wait."""
    await store.write([record("a")])
    other = sqlite3.connect(path, autocommit=True)
    other.execute("BEGIN IMMEDIATE")

    writing = asyncio.create_task(store.write([record("b")]))
    reader = SqliteStore(path)
    loaded = await reader.load()
    await reader.aclose()
    assert not writing.done()
    other.execute("COMMIT")
    other.close()

    assert BEGINNING == loaded
    assert 1 == await writing


async def test_when_the_path_cannot_be_used_then_the_error_names_the_setting(
    tmp_path: Path,
) -> None:
    """A file where the folder should be is one clear sentence."""
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file" / "records.sqlite3")

    with pytest.raises(StoreUnavailable, match="check SQLITE_PATH"):
        await store.load()
    await store.aclose()


@pytest.fixture
def other_file(path: Path) -> Path:
    """Something else in the database's place."""
    path.parent.mkdir()
    path.write_text("not a database, but quite some text all the same" * 100)
    return path


async def test_when_the_file_is_no_database_then_it_is_left_alone(other_file: Path) -> None:
    """The error says what is wrong, and nothing is overwritten."""
    before = other_file.read_bytes()  # noqa: ASYNC240 - a test waits for nobody
    store = SqliteStore(other_file)

    with pytest.raises(StoreUnavailable, match="not a database"):
        await store.load()
    await store.aclose()
    assert before == other_file.read_bytes()  # noqa: ASYNC240 - a test waits for nobody


async def test_when_the_file_is_from_a_later_version_then_it_is_left_alone(
    store: SqliteStore, path: Path
) -> None:
    """An older app does not write into a schema that it does not know."""
    await store.write([record("a")])
    await store.aclose()
    query(path, "PRAGMA user_version = 2")
    older = SqliteStore(path)

    with pytest.raises(StoreUnavailable, match="schema 2"):
        await older.write([record("b")])
    await older.aclose()
    assert [("a",)] == query(path, "SELECT id FROM records")


async def test_when_one_write_fails_then_the_next_one_still_works(
    store: SqliteStore, path: Path
) -> None:
    """A failed transaction is rolled back, and the connection stays usable."""
    await store.write([record("a")])
    query(
        path,
        "CREATE TRIGGER no BEFORE INSERT ON records WHEN new.id = 'bad'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )

    with pytest.raises(ContentRefused, match="refused"):
        await store.write([record("good"), record("bad")])

    assert 1 == await store.write([record("c")])
    assert [("a",), ("c",)] == query(path, "SELECT id FROM records ORDER BY id")


async def test_when_only_its_owner_may_read_the_records_then_the_folder_is_not_opened_up(
    store: SqliteStore, path: Path
) -> None:
    """The store makes its folder with the process's own umask, no wider."""
    previous = os.umask(0o077)
    try:
        await store.load()
    finally:
        os.umask(previous)

    assert 0 == path.parent.stat().st_mode & 0o077


@pytest.mark.parametrize(
    "refused",
    [
        record("a", 2**63),
        replace(record("a"), id="a\ud800"),
        replace(record("a"), updated_at="x" * 1_000),
    ],
)
async def test_when_sqlite_cannot_hold_a_record_then_it_is_refused_for_good(
    store: SqliteStore, refused: Record
) -> None:
    """Too large a number, text that UTF-8 cannot hold, too long a text: none is an outage."""
    await store._run(None, lambda connection: connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 500))

    with pytest.raises(ContentRefused):
        await store.write([refused])


async def test_when_an_older_version_set_items_aside_then_they_are_kept_on(
    store: SqliteStore, path: Path
) -> None:
    """Once, cut as they are; and the older version could go on with the file."""
    await store.load()
    for key, raw in (("k1", '{"id":"é"}'), ("k2", "x" * 16_000)):
        query(path, f"INSERT INTO set_aside VALUES ('{key}', 'p', 'bad', '{raw}', 'run-1')")  # noqa: S608

    first, second = await store.list_poison()
    await store.set_aside([PoisonRecord("q", "bad", b"{}")], origin=origin())

    assert ("k1", 11, True, "run-1") == (
        first.key,
        first.size,
        first.is_whole,
        first.origin.run_id,
    )
    assert ("k2", 16_000, False) == (second.key, second.size, second.is_whole)
    assert [] == query(path, "SELECT * FROM set_aside")
    assert 3 == len(await store.list_poison())


async def test_when_a_writer_is_at_work_then_listing_poison_does_not_wait(
    store: SqliteStore, path: Path
) -> None:
    """Looking is possible while the sync runs."""
    await store.set_aside([PoisonRecord("q", "bad", b"{}")], origin=origin())
    other = sqlite3.connect(path, autocommit=True)
    other.execute("BEGIN IMMEDIATE")

    listed = await asyncio.wait_for(store.list_poison(), 5)

    other.close()
    assert 1 == len(listed)


async def test_when_another_process_keeps_the_file_then_a_call_is_over_at_its_deadline(
    store: SqliteStore, path: Path
) -> None:
    """And how the last run ended is told at once, whatever the writer waits for."""
    await store.save_report(report("r", SyncStatus.COMPLETE, None))
    clock = SystemClock()
    other = sqlite3.connect(path, autocommit=True)
    other.execute("BEGIN IMMEDIATE")
    began_at = clock.monotonic()

    writing = asyncio.create_task(store.write([record("b")], deadline=Deadline.after(0.6, clock)))
    await asyncio.sleep(0)
    told = await store.load_report()
    told_after = clock.monotonic() - began_at
    with pytest.raises(StoreTimedOut):
        await writing
    over_after = clock.monotonic() - began_at
    other.execute("COMMIT")
    other.close()

    assert told is not None
    assert told_after < 0.3
    assert 0.5 <= over_after < 0.9
    await store.aclose()
    assert [] == query(path, "SELECT id FROM records")


async def test_when_the_deadline_passes_before_a_write_is_done_then_it_is_undone(
    store: SqliteStore, path: Path
) -> None:
    """Who waited for it has been told that it timed out, and the next run has its turn."""
    clock = FakeClock()

    class SlowRecords(list[Record]):
        """Takes its time once the store has its turn and looks at them."""

        def __iter__(self) -> Iterator[Record]:
            clock.advance(6.0)
            return super().__iter__()

    with pytest.raises(StoreTimedOut):
        await store.write(SlowRecords([record("b")]), deadline=Deadline.after(5.0, clock))

    assert [] == query(path, "SELECT id FROM records")


async def test_when_nobody_may_even_read_the_file_then_health_is_told_so_in_a_moment(
    store: SqliteStore, path: Path
) -> None:
    """A process that keeps the file for itself is not waited for."""
    await store.save_report(report("r", SyncStatus.COMPLETE, None))
    await store.aclose()
    clock = SystemClock()
    other = sqlite3.connect(path, autocommit=True)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    began_at = clock.monotonic()
    asking = SqliteStore(path)

    with pytest.raises(StoreUnavailable, match="locked"):
        await asking.load_reports()
    took_seconds = clock.monotonic() - began_at
    await asking.aclose()
    other.close()

    assert took_seconds < 0.6


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_when_the_file_is_taken_away_then_the_run_says_so_and_the_next_begins_again(
    store: SqliteStore, path: Path, *, is_replaced: bool
) -> None:
    """What is written to a deleted file is gone: that is a failure with a code of its own."""
    feed = FakeFeed([record(f"r{n}") for n in range(30)])
    job = sync_job(feed, store)
    await job.run()
    assert await store.load_report() is not None
    for file in path.parent.iterdir():
        file.unlink()
    if is_replaced:
        query(path, "CREATE TABLE other (x)")
    feed.changes_so_far.append(record("new"))

    with pytest.raises(StoreReplaced, match="SQLITE_PATH"):
        await job.run()
    report_of_failure = await store.load_report()
    again = await job.run()

    assert report_of_failure is not None
    assert (SyncStatus.FAILED, "store_replaced") == (
        report_of_failure.status,
        report_of_failure.error_code,
    )
    assert (SyncStatus.COMPLETE, 31) == (again.status, again.records_changed)
    assert [(31,)] == query(path, "SELECT count(*) FROM records")


async def test_when_the_file_is_taken_away_in_mid_run_then_no_page_counts_as_written(
    store: SqliteStore, path: Path
) -> None:
    """Not even one whose transaction was committed."""
    feed = FakeFeed([record(f"r{n}") for n in range(30)])

    def take_away(cursor: str) -> None:
        if cursor:
            path.unlink(missing_ok=True)

    feed.before_answer = take_away

    with pytest.raises(StoreReplaced):
        await sync_job(feed, store).run()

    feed.before_answer = lambda _cursor: None
    assert 30 == (await sync_job(feed, store).run()).records_changed
    assert [(30,)] == query(path, "SELECT count(*) FROM records")


async def test_when_the_file_is_from_an_earlier_version_then_all_in_it_counts(
    store: SqliteStore, path: Path
) -> None:
    """Its generation is that of its records, and the one report that it has is the last run's."""
    await store.write([record("a", 2)], generation=3)
    text = encode_report(report("old", SyncStatus.COMPLETE, None))
    await store.aclose()
    query(path, "DROP TABLE runs")
    query(path, "DELETE FROM state")
    query(path, "INSERT INTO state VALUES ('last_run', ?, '')", text)
    later = SqliteStore(path)

    kept_before = await later.load_report()
    newest = await later.newest_generation()
    kept_after = await later.load_report()
    await later.aclose()

    assert kept_before == kept_after == report("old", SyncStatus.COMPLETE, None)
    assert 3 == newest


async def test_when_what_began_last_is_damaged_then_the_records_say_it(
    store: SqliteStore, path: Path
) -> None:
    """One row that nobody can read stops nothing."""
    await store.write([record("a")], generation=2)
    query(path, "UPDATE state SET value = 'x' WHERE name = 'generation'")

    assert 2 == await store.newest_generation()


async def test_when_a_transaction_fails_at_any_point_then_neither_page_nor_checkpoint_is_there(
    store: SqliteStore, path: Path
) -> None:
    """Records, what is set aside and the checkpoint stand or fall together."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    query(
        path,
        "CREATE TRIGGER no BEFORE INSERT ON records WHEN new.id = 'bad'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )

    with pytest.raises(ContentRefused, match="refused"):
        await store.write_page(
            Batch([record("good"), record("bad")], [PoisonRecord("p", "bad", b"{}")], origin()),
            Checkpoint("two", ""),
            replacing=first,
        )

    assert first == await store.load()
    assert [] == query(path, "SELECT id FROM records UNION SELECT id FROM poison")
