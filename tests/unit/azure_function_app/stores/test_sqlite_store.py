"""The embedded store: one file, any number of processes."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from azure_function_app.errors import CheckpointConflict, StoreUnavailable
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.records import PoisonRecord
from tests.support.fake_feed import record


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


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another connection sees."""
    connection = sqlite3.connect(path, autocommit=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_when_records_are_written_then_they_are_there(store: SqliteStore, path: Path) -> None:
    """Every field of a record is kept, in a file that was made for it."""
    changed = await store.write([record("a", 3, city="Zürich"), record("b", 2, deleted=True)])

    assert 2 == changed
    assert [
        ("a", 3, "2026-11-21T05:47:00.000Z", 0, '{"city":"Zürich","name":"a v3"}'),
        ("b", 2, "2026-11-21T05:47:00.000Z", 1, "{}"),
    ] == query(path, "SELECT id, version, updated_at, deleted, data FROM records ORDER BY id")


@pytest.mark.parametrize(("version", "changed"), [(4, 0), (5, 0), (6, 1)])
async def test_when_a_record_is_there_then_only_a_newer_version_replaces_it(
    store: SqliteStore, path: Path, version: int, changed: int
) -> None:
    """Older and same versions change nothing, and are not counted."""
    await store.write([record("a", 5)])

    assert changed == await store.write([record("a", version)])
    assert [(max(5, version),)] == query(path, "SELECT version FROM records")


async def test_when_a_batch_names_a_record_twice_then_it_counts_once(store: SqliteStore) -> None:
    """The count is of records, not of changes."""
    assert 1 == await store.write([record("a", 1), record("a", 2)])


async def test_when_poison_is_set_aside_twice_then_it_is_kept_once_with_its_first_run(
    store: SqliteStore, path: Path
) -> None:
    """What is set aside is found again by what it is."""
    poison = PoisonRecord("p", "no version", '{"id":"p"}')

    await store.set_aside([poison], run_id="first")
    await store.set_aside([poison, PoisonRecord("q", "no version", "{}")], run_id="second")

    assert {("p", "no version", '{"id":"p"}', "first"), ("q", "no version", "{}", "second")} == set(
        query(path, "SELECT id, reason, raw, run_id FROM set_aside")
    )


async def test_when_a_checkpoint_is_saved_then_it_is_loaded_by_whoever_comes(
    store: SqliteStore, path: Path
) -> None:
    """Each save gets a fence of its own, and outlives the process."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    second = await store.save(Checkpoint("two", ""), replacing=first)
    await store.aclose()
    other = SqliteStore(path)

    assert second == await other.load()
    assert ("two", True) == (second.cursor, first.fence != second.fence)
    await other.aclose()


async def test_when_the_checkpoint_was_moved_since_then_a_save_is_refused(
    store: SqliteStore,
) -> None:
    """Whoever holds an old fence, or none, cannot move the checkpoint back."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    second = await store.save(Checkpoint("two", ""), replacing=first)

    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("stale", ""), replacing=first)
    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("stale", ""), replacing=BEGINNING)
    assert second == await store.load()


async def test_when_the_checkpoint_was_deleted_then_a_run_from_before_cannot_save(
    store: SqliteStore, path: Path
) -> None:
    """A deleted checkpoint stays deleted until a run that began after it, also once replaced."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    query(path, "DELETE FROM state")

    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("two", ""), replacing=first)
    await store.save(Checkpoint("anew", ""), replacing=BEGINNING)
    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("two", ""), replacing=first)


async def test_when_many_save_at_once_then_exactly_one_succeeds(path: Path) -> None:
    """Compare-and-swap: of several that know the same fence one moves the checkpoint."""
    stores = [SqliteStore(path) for _ in range(8)]
    start = await stores[0].save(Checkpoint("start", ""), replacing=BEGINNING)

    outcomes = await asyncio.gather(
        *(store.save(Checkpoint(f"c{n}", ""), replacing=start) for n, store in enumerate(stores)),
        return_exceptions=True,
    )
    final = await stores[0].load()
    for store in stores:
        await store.aclose()

    assert [final] == [outcome for outcome in outcomes if isinstance(outcome, Checkpoint)]
    assert 7 == sum(isinstance(outcome, CheckpointConflict) for outcome in outcomes)


async def test_when_a_report_is_saved_then_it_replaces_the_last_one(store: SqliteStore) -> None:
    """Only the last run's report is kept, apart from the checkpoint."""
    first = SyncReport("first", SyncStatus.FAILED, 1, 2, 3, 4, "a", "b", "code")
    second = SyncReport("second", SyncStatus.COMPLETE, 1, 2, 3, 4, "a", "b", None)

    await store.save_report(first)
    await store.save_report(second)

    assert second == await store.load_report()
    assert BEGINNING == await store.load()


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

    with pytest.raises(StoreUnavailable, match="refused"):
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
