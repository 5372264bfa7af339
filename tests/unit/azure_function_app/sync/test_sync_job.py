"""The sync job, over a feed in memory and a real SQLite file."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    BackendRejected,
    BackendUnavailable,
    CheckpointConflict,
    ContentRefused,
    RecordsUnfit,
    StoreTimedOut,
    StoreUnavailable,
)
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.deletions import accept_deletions
from azure_function_app.sync.poison_store import PoisonOrigin
from azure_function_app.sync.record_sink import Batch
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record
from azure_function_app.sync.runs.page_loop import ChangeSource
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.sync_store import Step, SyncStore
from shared.log import JsonLines
from tests.support.fake_clock import FakeClock
from tests.support.fake_feed import FakeFeed, record
from tests.support.store_in_turn import StoreInTurn


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store in a new file."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    yield store
    await store.aclose()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


def sync_job(
    source: ChangeSource,
    store: SyncStore,
    clock: FakeClock,
    *,
    page_size: int = 2,
    run_seconds: float = 240.0,
    share: float = 0.2,
) -> SyncJob:
    """A job that may run for 240 seconds and read a page for 30."""
    numbers = count(1)
    return SyncJob(
        source=source,
        store=store,
        clock=clock,
        new_run_id=lambda: f"run-{next(numbers)}",
        page_size=page_size,
        run_seconds=run_seconds,
        page_seconds=30.0,
        deletion_limit=DeletionLimit(share),
    )


def stored(tmp_path: Path) -> dict[str, tuple[int, bool, object]]:
    """What the sink holds: version, deleted and data by ID."""
    connection = sqlite3.connect(tmp_path / "records.sqlite3")
    try:
        rows = connection.execute("SELECT id, version, deleted, data FROM records").fetchall()
    finally:
        connection.close()
    return {key: (version, bool(gone), json.loads(data)) for key, version, gone, data in rows}


def set_aside(tmp_path: Path) -> list[tuple[str, str, str]]:
    """What was set aside: ID, reason and run."""
    connection = sqlite3.connect(tmp_path / "records.sqlite3")
    try:
        return connection.execute("SELECT id, reason, run_id FROM poison").fetchall()
    finally:
        connection.close()


async def test_when_the_feed_has_several_pages_then_one_run_brings_them_all(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Every change up to the end of the feed is in the sink, and the report counts it."""
    feed = FakeFeed([record("a"), record("b"), record("c")])

    report = await sync_job(feed, store, clock).run()

    assert {"a", "b", "c"} == stored(tmp_path).keys()
    assert (
        SyncReport(
            run_id="run-1",
            status=SyncStatus.COMPLETE,
            pages=2,
            records_read=3,
            records_changed=3,
            records_set_aside=0,
            started_at="2023-11-14T22:13:20.000Z",
            finished_at="2023-11-14T22:13:20.000Z",
            error_code=None,
        )
        == report
    )
    assert report == await store.load_report()


async def test_when_a_page_is_asked_for_then_size_and_deadline_are_the_settings(
    store: SqliteStore, clock: FakeClock
) -> None:
    """The page size and the time for one page go with each request."""
    feed = FakeFeed([record("a"), record("b"), record("c")])

    await sync_job(feed, store, clock).run()

    assert [("", 2, 30.0), ("2", 2, 30.0)] == feed.calls


async def test_when_nothing_changed_since_then_the_next_run_changes_nothing(
    store: SqliteStore, clock: FakeClock
) -> None:
    """A second run starts at the checkpoint and leaves it where it is."""
    feed = FakeFeed([record("a"), record("b")])
    job = sync_job(feed, store, clock)
    await job.run()
    before = await store.load()

    report = await job.run()

    assert (SyncStatus.COMPLETE, 1, 0, 0) == (
        report.status,
        report.pages,
        report.records_read,
        report.records_changed,
    )
    assert before == await store.load()
    assert "2" == feed.calls[-1][0]


async def test_when_records_change_then_the_next_run_moves_only_those(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Only what changed in between is read, and a tombstone marks the record deleted."""
    feed = FakeFeed([record("a"), record("b"), record("c")])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.changes_so_far += [record("a", 2), record("b", 2, deleted=True)]

    report = await job.run()

    assert (2, 2) == (report.records_read, report.records_changed)
    assert {
        "a": (2, False, {"name": "a v2"}),
        "b": (2, True, {}),
        "c": (1, False, {"name": "c v1"}),
    } == stored(tmp_path)


async def test_when_the_checkpoint_is_gone_then_reading_all_again_changes_nothing(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Deleting the checkpoint costs reads, never a change in the sink."""
    feed = FakeFeed([record("a"), record("b"), record("a", 2)])
    job = sync_job(feed, store, clock)
    await job.run()
    before = stored(tmp_path)
    connection = sqlite3.connect(tmp_path / "records.sqlite3")
    with connection:
        connection.execute("DELETE FROM state")
    connection.close()

    report = await job.run()

    assert (3, 0) == (report.records_read, report.records_changed)
    assert before == stored(tmp_path)


async def test_when_a_write_fails_then_the_checkpoint_stays_before_it(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """A page that was not written is read again by the next run."""
    feed = FakeFeed([record("a"), record("b"), record("c")])

    class FailsOnce(SqliteStore):
        writes = 0

        async def write_page(self, *args: Any, **kwargs: Any) -> Step:
            self.writes += 1
            if self.writes == 2:
                raise StoreUnavailable("The disk is full.")
            return await super().write_page(*args, **kwargs)

    failing = FailsOnce(tmp_path / "records.sqlite3")
    job = sync_job(feed, failing, clock)
    with pytest.raises(StoreUnavailable):
        await job.run()
    after_failure = await store.load()

    report = await job.run()
    await failing.aclose()

    assert "2" == after_failure.cursor
    assert SyncStatus.COMPLETE == report.status
    assert {"a", "b", "c"} == stored(tmp_path).keys()


async def test_when_a_run_fails_then_its_report_says_why(
    store: SqliteStore, clock: FakeClock
) -> None:
    """The error reaches the caller, and the last report holds its code and what was done."""
    feed = FakeFeed([record("a"), record("b"), record("c")])

    def fail(cursor: str) -> None:
        if cursor:
            raise BackendUnavailable("The API is down.", code="backend_connect")

    feed.before_answer = fail

    with pytest.raises(BackendUnavailable):
        await sync_job(feed, store, clock).run()

    report = await store.load_report()
    assert report is not None
    assert (SyncStatus.FAILED, 1, 2, "backend_connect") == (
        report.status,
        report.pages,
        report.records_read,
        report.error_code,
    )


async def test_when_something_unexpected_happens_then_the_report_says_so(
    store: SqliteStore, clock: FakeClock
) -> None:
    """A bug ends the run like any error, with a code of its own."""
    feed = FakeFeed()

    def fail(_cursor: str) -> None:
        raise ZeroDivisionError

    feed.before_answer = fail

    with pytest.raises(ZeroDivisionError):
        await sync_job(feed, store, clock).run()

    report = await store.load_report()
    assert report is not None
    assert "internal_error" == report.error_code


async def test_when_the_run_is_cancelled_then_the_report_says_so(
    store: SqliteStore, clock: FakeClock
) -> None:
    """A host that shuts down leaves a report behind, and the cancellation goes on."""
    feed = FakeFeed()

    def cancel(_cursor: str) -> None:
        raise asyncio.CancelledError

    feed.before_answer = cancel

    with pytest.raises(asyncio.CancelledError):
        await sync_job(feed, store, clock).run()

    report = await store.load_report()
    assert report is not None
    assert "cancelled" == report.error_code


async def test_when_the_report_cannot_be_saved_then_the_first_error_is_kept(
    clock: FakeClock, tmp_path: Path
) -> None:
    """What ended the run is raised, not that the store could not take the report."""
    (tmp_path / "file").touch()
    unusable = SqliteStore(tmp_path / "file" / "records.sqlite3")

    with pytest.raises(StoreUnavailable) as raised:
        await sync_job(FakeFeed(), unusable, clock).run()
    await unusable.aclose()

    assert raised.value.__context__ is raised.value.__cause__


@pytest.mark.parametrize(
    ("seconds_a_page", "pages", "status"),
    [(79.9, 4, SyncStatus.COMPLETE), (80.0, 3, SyncStatus.PAUSED)],
)
async def test_when_its_time_is_up_then_a_run_ends_well_and_the_next_goes_on(
    clock: FakeClock,
    tmp_path: Path,
    seconds_a_page: float,
    pages: int,
    status: SyncStatus,
) -> None:
    """After 240 seconds no further page is begun; what was done is checkpointed."""
    feed = FakeFeed([record(name) for name in "abcdefgh"])
    store = StoreInTurn(tmp_path / "records.sqlite3", feed.turn)
    feed.before_answer = lambda _cursor: clock.advance(seconds_a_page)
    job = sync_job(feed, store, clock)

    first = await job.run()
    second = await job.run()

    assert (status, pages, None) == (first.status, first.pages, first.error_code)
    assert SyncStatus.COMPLETE == second.status
    assert set("abcdefgh") == stored(tmp_path).keys()
    await store.aclose()


async def test_when_a_page_is_stored_then_the_next_one_is_being_read(
    clock: FakeClock, tmp_path: Path
) -> None:
    """One page ahead and no further, so that a slow store holds two pages in memory at most."""
    feed = FakeFeed([record(name) for name in "abcdefgh"])
    read_by_then: list[int] = []

    class Watching(SqliteStore):
        async def write_page(self, *arguments: Any, **options: Any) -> Step:
            for _ in range(20):
                await asyncio.sleep(0)
            read_by_then.append(len(feed.calls))
            return await super().write_page(*arguments, **options)

    store = Watching(tmp_path / "records.sqlite3")
    report = await sync_job(feed, store, clock).run()
    await store.aclose()

    assert SyncStatus.COMPLETE == report.status
    assert [2, 3, 4, 4] == read_by_then


async def test_when_the_page_read_ahead_fails_then_the_one_before_is_stored(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """The run fails with what the API said, from the checkpoint that it has reached."""
    feed = FakeFeed([record(name) for name in "abcd"])

    def fail(cursor: str) -> None:
        if cursor:
            raise BackendUnavailable("The API is broken.", code="backend_503")

    feed.before_answer = fail
    with pytest.raises(BackendUnavailable, match="broken"):
        await sync_job(feed, store, clock).run()

    assert set("ab") == stored(tmp_path).keys()
    assert "2" == (await store.load()).cursor


async def test_when_the_store_fails_then_the_page_read_ahead_is_given_up(
    clock: FakeClock, tmp_path: Path
) -> None:
    """The failure is the store's, at once, though the API would never answer."""
    given_up: list[str] = []

    class Hanging(FakeFeed):
        async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
            if cursor:
                try:
                    await asyncio.Event().wait()
                finally:
                    given_up.append(cursor)
            return await super().changes(cursor, limit=limit, deadline=deadline)

    class Failing(SqliteStore):
        async def write_page(self, *_arguments: Any, **_options: Any) -> Step:
            await asyncio.sleep(0)
            raise StoreUnavailable("The disk is gone.")

    store = Failing(tmp_path / "records.sqlite3")
    with pytest.raises(StoreUnavailable, match="disk"):
        await sync_job(Hanging([record(name) for name in "abcd"]), store, clock).run()
    await store.aclose()

    assert ["2"] == given_up


async def test_when_another_run_moves_the_checkpoint_then_this_one_stops_quietly(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """The run that lost the race neither fails nor moves the checkpoint back."""
    feed = FakeFeed([record(name) for name in "abcdef"])
    other = SqliteStore(tmp_path / "records.sqlite3")
    is_reading, overtaken = asyncio.Event(), asyncio.Event()

    class Slow:
        async def changes(self, cursor: str, **kwargs: object) -> ChangePage:
            is_reading.set()
            await overtaken.wait()
            return await feed.changes(cursor, **kwargs)  # type: ignore[arg-type]  # handed on

    loser = asyncio.create_task(sync_job(Slow(), store, clock).run())
    await is_reading.wait()
    winner = await sync_job(feed, other, clock).run()
    overtaken.set()
    report = await loser
    await other.aclose()

    assert SyncStatus.COMPLETE == winner.status
    assert (SyncStatus.SUPERSEDED, 0, None) == (report.status, report.pages, report.error_code)
    assert "6" == (await store.load()).cursor


async def test_when_the_cursor_has_expired_then_the_run_starts_over(
    store: SqliteStore, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A feed that no longer knows the cursor is read from its beginning, and the log says so."""
    feed = FakeFeed([record("a"), record("b"), record("c")])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([*feed.changes_so_far, record("d")])
    caplog.clear()

    with caplog.at_level(logging.WARNING):
        report = await job.run()

    assert SyncStatus.COMPLETE == report.status
    assert {"a", "b", "c", "d"} == stored(tmp_path).keys()
    checkpoint = await store.load()
    assert ("new.4", 1, False) == (
        checkpoint.cursor,
        checkpoint.generation,
        checkpoint.is_rereading,
    )
    assert ["sync_restarted", "sync_reread"] == [line.getMessage() for line in caplog.records]


async def test_when_the_feed_is_another_one_then_what_it_says_counts(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Versions of another feed begin anew, and what it does not have is marked as deleted."""
    feed = FakeFeed([record("a", 7), record("b", 3), record("c", 5, deleted=True)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record("a", 1, now="other"), record("d", 1)])

    report = await job.run()

    # Two replaced or new, and one that has gone missing; the tombstone was one already.
    assert (2, 3) == (report.records_read, report.records_changed)
    assert {
        "a": (1, False, {"name": "a v1", "now": "other"}),
        "b": (0, True, {"name": "b v3"}),
        "c": (0, True, {}),
        "d": (1, False, {"name": "d v1"}),
    } == stored(tmp_path)


async def test_when_a_missing_record_comes_back_then_its_first_version_counts(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """A feed that was empty for a while, during an import say, does no lasting harm."""
    feed = FakeFeed([record("a", 7), record("b", 7)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([])
    await job.run()
    await accept_deletions(store)
    await job.run()
    assert {(0, True)} == {(version, gone) for version, gone, _ in stored(tmp_path).values()}
    feed.changes_so_far += [record("a"), record("b")]

    report = await job.run()

    assert 2 == report.records_changed
    assert {(1, False)} == {(version, gone) for version, gone, _ in stored(tmp_path).values()}


async def test_when_time_is_up_while_reading_anew_then_nothing_is_missing_before_the_end(
    clock: FakeClock, tmp_path: Path
) -> None:
    """Only a feed that was read to its end can say what it does not have."""
    feed = FakeFeed([record(name, 7) for name in "abcdefgh"])
    store = StoreInTurn(tmp_path / "records.sqlite3", feed.turn)
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record(name) for name in "abcdefg"])
    feed.before_answer = lambda _cursor: clock.advance(70.0)

    first = await job.run()
    in_between = {name for name, (_, gone, _) in stored(tmp_path).items() if gone}
    was_rereading = (await store.load()).is_rereading
    second = await job.run()

    assert (SyncStatus.PAUSED, SyncStatus.COMPLETE) == (first.status, second.status)
    assert (set(), True) == (in_between, was_rereading)
    assert {"h"} == {name for name, (_, gone, _) in stored(tmp_path).items() if gone}
    assert not (await store.load()).is_rereading
    await store.aclose()


async def test_when_a_record_changes_while_a_new_feeds_last_page_is_read_then_it_is_not_deleted(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """It had left the place that was read, so only a page without anything is the end."""
    feed = FakeFeed([record("a"), record("b")])
    job = sync_job(feed, store, clock, page_size=10, share=1.0)
    await job.run()
    feed.start_anew([record("b")])

    def overtake(cursor: str) -> None:
        # After the page that said that there was no more, and before anything is marked.
        if cursor == "new.1" and len(feed.changes_so_far) == 1:
            feed.changes_so_far.append(record("a", 2))

    feed.before_answer = overtake

    report = await job.run()

    assert SyncStatus.COMPLETE == report.status
    assert (2, False) == stored(tmp_path)["a"][:2]


async def test_when_a_new_feed_goes_on_growing_then_the_run_pauses_and_a_later_one_ends_it(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """A run that waited for a page without anything would ask until its time is up."""
    feed = FakeFeed([record("a"), record("b")])
    job = sync_job(feed, store, clock, page_size=10, share=1.0)
    await job.run()
    feed.start_anew([record("b")])
    versions = count(2)
    asked: list[str] = []

    def write_one(cursor: str) -> None:
        asked.append(cursor)
        clock.advance(0.1)
        feed.changes_so_far.append(record("b", next(versions)))

    feed.before_answer = write_one
    growing = await job.run()
    feed.before_answer = lambda _cursor: None
    last = await job.run()

    assert (SyncStatus.PAUSED, SyncStatus.COMPLETE) == (growing.status, last.status)
    assert len(asked) < 20
    assert stored(tmp_path)["a"][1]


async def test_when_the_checkpoint_is_gone_after_a_new_feed_then_changes_still_count(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """The records themselves know which generation they are of."""
    feed = FakeFeed([record("a", 7)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record("a", 1)])
    await job.run()
    connection = sqlite3.connect(tmp_path / "records.sqlite3")
    with connection:
        connection.execute("DELETE FROM state")
    connection.close()

    again = await job.run()
    feed.changes_so_far += [record("a", 2)]
    changed = await job.run()

    assert (0, 1) == (again.records_changed, changed.records_changed)
    assert 2 == stored(tmp_path)["a"][0]


async def test_when_the_checkpoint_is_gone_then_the_first_run_brings_what_has_changed_since(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Written for an earlier generation it would be passed over, and never be read again."""
    feed = FakeFeed([record("a", 7)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record("a", 1)])
    await job.run()
    await store.reset()
    feed.changes_so_far += [record("a", 2)]

    await job.run()

    assert 2 == stored(tmp_path)["a"][0]


async def test_when_two_runs_find_the_feed_changed_then_one_starts_over_and_the_other_stops(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Starting over is a move of the checkpoint like any other: one run makes it."""
    feed = FakeFeed([record("a", 7)])
    await sync_job(feed, store, clock).run()
    feed.start_anew([record("a", 1), record("b", 1), record("c", 1)])
    other = SqliteStore(tmp_path / "records.sqlite3")
    old_cursor = (await store.load()).cursor
    both_have_loaded = asyncio.Barrier(2)

    class MeetingFeed(FakeFeed):
        """Lets nobody read on from the old checkpoint before both runs have it."""

        async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
            if cursor == old_cursor:
                await both_have_loaded.wait()
            return await feed.changes(cursor, limit=limit, deadline=deadline)

    meeting = MeetingFeed([])
    reports = await asyncio.gather(
        sync_job(meeting, store, clock).run(), sync_job(meeting, other, clock).run()
    )
    await other.aclose()

    assert {SyncStatus.COMPLETE, SyncStatus.SUPERSEDED} == {report.status for report in reports}
    assert 1 == (await store.load()).generation
    assert {"a": 1, "b": 1, "c": 1} == {
        name: version for name, (version, _, _) in stored(tmp_path).items()
    }


async def test_when_a_run_from_before_writes_late_then_the_new_feed_still_counts(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """A page of the old feed that comes in late replaces nothing of the new one."""
    feed = FakeFeed([record("a", 7), record("b", 7)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record("a", 1)])
    await job.run()

    with pytest.raises(CheckpointConflict):
        await store.write([record("a", 9), record("b", 9)], generation=0)

    assert {"a": (1, False), "b": (0, True)} == {
        name: (version, gone) for name, (version, gone, _) in stored(tmp_path).items()
    }


async def test_when_a_new_feed_is_read_then_its_generation_begins_before_its_first_page(
    store: SqliteStore, clock: FakeClock
) -> None:
    """A run from before that writes while the first page is on its way would spoil it unseen."""
    feed = FakeFeed([record("a", 7)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record("a", 1), record("b", 1)])
    newest: list[int] = []

    class LookingFeed(FakeFeed):
        """Looks at the store before each page."""

        async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
            newest.append(await store.newest_generation())
            return await feed.changes(cursor, limit=limit, deadline=deadline)

    await sync_job(LookingFeed(), store, clock).run()

    assert [0, 1, 1] == newest


async def test_when_even_the_beginning_has_expired_then_the_run_fails(
    store: SqliteStore, clock: FakeClock
) -> None:
    """There is nothing before the beginning to start over from."""
    feed = FakeFeed([record("a")])
    feed.expired_cursors.add("")

    with pytest.raises(BackendRejected):
        await sync_job(feed, store, clock).run()

    assert 1 == len(feed.calls)


async def test_when_cursors_keep_expiring_then_a_run_starts_over_only_once(
    store: SqliteStore, clock: FakeClock
) -> None:
    """A feed that expires every cursor cannot hold a run for ever."""
    feed = FakeFeed([record(name) for name in "abcd"])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.expired_cursors |= {"4", "2"}

    with pytest.raises(BackendRejected):
        await job.run()

    assert ["4", "", "2"] == [call[0] for call in feed.calls[2:]]


class StoreInOrder(SqliteStore):
    """Writes a page and the checkpoint past it one after the other, and can end a run in between.

    As where records and checkpoints are kept apart.
    """

    saves = 0
    ends_after_records = False

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline | None = None
    ) -> Checkpoint:
        """Count it, and save."""
        self.saves += 1
        return await super().save(moved, replacing=replacing, deadline=deadline)

    async def write_page(
        self,
        page: Batch,
        moved: Checkpoint,
        *,
        replacing: Checkpoint,
        deadline: Deadline | None = None,
    ) -> Step:
        """Write the records, and unless the run ends there, the checkpoint."""
        changed = await self.write(page.records, generation=moved.generation, deadline=deadline)
        if self.ends_after_records:
            raise StoreUnavailable("the run ends here")
        saved = await super().save(moved, replacing=replacing, deadline=deadline)
        return Step(saved, changed)


@pytest.fixture
async def in_order(tmp_path: Path) -> AsyncIterator[StoreInOrder]:
    """Such a store in a new file."""
    store = StoreInOrder(tmp_path / "records.sqlite3")
    yield store
    await store.aclose()


async def end_after_first_write(job: SyncJob, store: StoreInOrder) -> None:
    """Let a run write its first page, and end before the checkpoint is past it."""
    store.ends_after_records = True
    with pytest.raises(StoreUnavailable):
        await job.run()
    store.ends_after_records = False


async def test_when_the_feed_is_replaced_before_the_first_checkpoint_then_nothing_old_stays(
    in_order: StoreInOrder, clock: FakeClock, tmp_path: Path
) -> None:
    """What the run before has written of the old feed is replaced, or marked as deleted."""
    feed = FakeFeed([record("a", 7), record("b"), record("c")])
    job = sync_job(feed, in_order, clock, share=1.0)
    await end_after_first_write(job, in_order)
    feed.start_anew([record("a", 1, now="other")])

    report = await job.run()

    assert SyncStatus.COMPLETE == report.status
    assert {
        "a": (1, False, {"name": "a v1", "now": "other"}),
        "b": (0, True, {"name": "b v1"}),
    } == (stored(tmp_path))


async def test_when_a_new_feed_is_replaced_before_its_first_checkpoint_then_nothing_of_it_stays(
    in_order: StoreInOrder, clock: FakeClock, tmp_path: Path
) -> None:
    """The same holds for the first page of a new generation."""
    feed = FakeFeed([record("a", 7)])
    job = sync_job(feed, in_order, clock, share=1.0)
    await job.run()
    feed.start_anew([record("a", 5), record("b"), record("c")])
    await end_after_first_write(job, in_order)
    feed.start_anew([record("a", 1)])

    await job.run()

    assert {"a": (1, False), "b": (0, True)} == {
        name: (version, gone) for name, (version, gone, _) in stored(tmp_path).items()
    }
    assert 2 == (await in_order.load()).generation


async def test_when_a_first_run_ends_early_and_the_feed_is_the_same_then_the_next_goes_on(
    in_order: StoreInOrder, clock: FakeClock, tmp_path: Path
) -> None:
    """In the same generation, with one request more to know that it is the same."""
    feed = FakeFeed([record("a"), record("b"), record("c")])
    job = sync_job(feed, in_order, clock)
    await end_after_first_write(job, in_order)
    feed.calls.clear()

    report = await job.run()

    assert (SyncStatus.COMPLETE, 1) == (report.status, report.records_changed)
    assert [("", 2), ("2", 1), ("2", 2)] == [(cursor, limit) for cursor, limit, _ in feed.calls]
    assert ("3", "", 0) == (
        (await in_order.load()).cursor,
        (await in_order.load()).feed_cursor,
        (await in_order.load()).generation,
    )
    assert {"a", "b", "c"} == stored(tmp_path).keys()


async def test_when_the_api_is_dead_after_an_early_end_then_no_run_begins_a_generation(
    in_order: StoreInOrder, clock: FakeClock
) -> None:
    """Runs that read nothing know nothing: the checkpoint stays as it is."""
    feed = FakeFeed([record("a")])
    job = sync_job(feed, in_order, clock)
    await end_after_first_write(job, in_order)
    before = await in_order.load()
    feed.before_answer = _refuse

    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            await job.run()

    assert before == await in_order.load()


def _refuse(_cursor: str) -> None:
    raise BackendUnavailable("dead")


async def test_when_a_feed_stays_empty_then_its_runs_save_nothing(
    in_order: StoreInOrder, clock: FakeClock
) -> None:
    """There is nothing to know of it: its cursor may be good for any other feed as well."""
    job = sync_job(FakeFeed(), in_order, clock)

    for _ in range(3):
        await job.run()

    assert (0, BEGINNING) == (in_order.saves, await in_order.load())


async def test_when_a_feed_was_empty_and_is_replaced_in_its_first_page_then_nothing_old_stays(
    in_order: StoreInOrder, clock: FakeClock, tmp_path: Path
) -> None:
    """That the feed had been read before, when it was empty, tells nothing of its records."""
    feed = FakeFeed()
    job = sync_job(feed, in_order, clock, share=1.0)
    await job.run()
    feed.changes_so_far = [record("a", 7), record("b")]
    await end_after_first_write(job, in_order)
    feed.start_anew([record("a", 1)])

    await job.run()

    assert {"a": (1, False), "b": (0, True)} == {
        name: (version, gone) for name, (version, gone, _) in stored(tmp_path).items()
    }


async def test_when_a_new_feed_is_empty_then_it_is_read_to_its_end_once(
    in_order: StoreInOrder, clock: FakeClock
) -> None:
    """The checkpoint stays at the beginning, and the next run begins no other generation."""
    feed = FakeFeed([record("a")])
    job = sync_job(feed, in_order, clock, share=1.0)
    await job.run()
    feed.start_anew([])
    first = await job.run()
    before = await in_order.load()

    second = await job.run()

    assert (SyncStatus.COMPLETE, SyncStatus.COMPLETE) == (first.status, second.status)
    assert ("", 1, False) == (before.cursor, before.generation, before.is_rereading)
    assert before == await in_order.load()


async def test_when_records_of_a_later_generation_are_stored_then_a_new_one_is_later_still(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """As where the checkpoint was set back, and the records were not."""
    feed = FakeFeed([record("a", 7)])
    job = sync_job(feed, store, clock)
    await job.run()
    await store.begin_generation(6)
    feed.start_anew([record("a", 1)])

    report = await job.run()

    assert (SyncStatus.COMPLETE, 7) == (report.status, (await store.load()).generation)
    assert {"a": 1} == {name: version for name, (version, _, _) in stored(tmp_path).items()}


async def test_when_the_feed_was_refused_otherwise_then_the_run_fails(
    store: SqliteStore, clock: FakeClock
) -> None:
    """Only an expired cursor is a reason to start over."""
    feed = FakeFeed([record("a"), record("b"), record("c")])

    def refuse(cursor: str) -> None:
        if cursor:
            raise BackendRejected("Not you.", status=403)

    feed.before_answer = refuse

    with pytest.raises(BackendRejected):
        await sync_job(feed, store, clock).run()


async def test_when_an_item_is_no_valid_record_then_it_is_set_aside_and_the_rest_goes_on(
    store: SqliteStore, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Poison is kept with its reason and counted; the records around it arrive."""
    feed = FakeFeed(
        [
            record("a"),
            PoisonRecord(id="p", reason="the version is no number", raw=b'{"id":"p"}'),
            record("", 1),
            record("b"),
        ]
    )

    with caplog.at_level(logging.WARNING):
        report = await sync_job(feed, store, clock).run()

    assert (SyncStatus.COMPLETE, 4, 2, 2) == (
        report.status,
        report.records_read,
        report.records_changed,
        report.records_set_aside,
    )
    assert {"a", "b"} == stored(tmp_path).keys()
    assert {
        ("p", "the version is no number", "run-1"),
        ("", "the id is not 1 to 512 characters long", "run-1"),
    } == set(set_aside(tmp_path))
    assert ["records_set_aside"] * 2 == [line.getMessage() for line in caplog.records]


async def test_when_poison_comes_again_then_it_is_kept_once(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Setting aside is idempotent, like everything that a run may do twice."""
    poison = PoisonRecord(id="p", reason="no version", raw=b'{"id":"p"}')

    await sync_job(FakeFeed([poison]), store, clock).run()
    await sync_job(FakeFeed([record("a"), poison]), store, clock).run()

    assert [("p", "no version", "run-1")] == set_aside(tmp_path)


async def test_when_a_record_has_data_that_no_store_holds_then_it_is_set_aside(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """Data without a JSON form cannot end a run either."""
    await sync_job(FakeFeed([record("a", odd=float("nan"))]), store, clock).run()

    assert [("a", "the data has no JSON form", "run-1")] == set_aside(tmp_path)


async def test_when_an_item_is_set_aside_then_where_it_came_from_is_kept(
    store: SqliteStore, clock: FakeClock
) -> None:
    """Page, generation, run and time, to fetch it again by."""
    feed = FakeFeed([record("a"), record("b"), PoisonRecord("p", "bad", b"{}")])

    await sync_job(feed, store, clock).run()

    (entry,) = await store.list_poison()
    assert PoisonOrigin("run-1", "2023-11-14T22:13:20.000Z", 0, "2", 2) == entry.origin


async def test_when_a_tombstone_is_set_aside_then_it_counts_and_is_logged_apart(
    store: SqliteStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The sink goes on having what the source has deleted, which is worse than being late."""
    changes: list[Record | PoisonRecord] = [
        PoisonRecord("a", "bad", b"{}", is_tombstone=True),
        record("", 2, deleted=True),
        record(""),
        PoisonRecord("c", "bad", b"{}"),
    ]

    with caplog.at_level(logging.ERROR):
        report = await sync_job(FakeFeed(changes), store, clock).run()

    assert (4, 2) == (report.records_set_aside, report.tombstones_set_aside)
    assert report == await store.load_report()
    assert ["tombstones_set_aside"] == [line.getMessage() for line in caplog.records]
    assert {("a", True), ("c", False)} <= {
        (entry.id, entry.is_tombstone) for entry in await store.list_poison()
    }


async def test_when_the_store_refuses_a_record_then_it_is_set_aside_whole_and_the_rest_goes_on(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """With the store's reason; the checkpoint passes the page."""
    await store.load()
    connection = sqlite3.connect(tmp_path / "records.sqlite3")
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON records WHEN new.id LIKE 'bad%'"
        " BEGIN SELECT RAISE(ABORT, 'not here'); END"
    )
    connection.close()
    feed = FakeFeed([record(name) for name in ("a", "bad1", "b", "c", "bad2")])

    report = await sync_job(feed, store, clock, page_size=5).run()

    assert (SyncStatus.COMPLETE, 5, 3, 2) == (
        report.status,
        report.records_read,
        report.records_changed,
        report.records_set_aside,
    )
    assert {"a", "b", "c"} == stored(tmp_path).keys()
    refused = "the SQLite file does not take it: not here"
    assert {("bad1", refused, "run-1"), ("bad2", refused, "run-1")} == set(set_aside(tmp_path))
    kept = [await store.get_poison(entry.key) for entry in await store.list_poison()]
    assert {"bad1 v1", "bad2 v1"} == {json.loads(item.raw)["data"]["name"] for item in kept if item}
    assert "5" == (await store.load()).cursor


def poison_page(count_of: int) -> list[Record | PoisonRecord]:
    """So many items that are no records, for the same reason but one."""
    return [
        PoisonRecord(f"p{number}", "odd" if number == 0 else "no version", b"{}")
        for number in range(count_of)
    ]


@pytest.mark.parametrize(
    ("records", "poison", "share", "is_too_much"),
    [
        (50, 50, 0.5, False),
        (49, 51, 0.5, True),
        (0, 20, 0.5, False),
        (0, 21, 0.5, True),
        (79, 21, 0.0, True),
        (0, 100, 1.0, False),
        (0, 1, 0.0, False),
    ],
)
async def test_when_too_much_of_a_page_is_poison_then_the_run_fails_and_nothing_is_lost(
    store: SqliteStore,
    clock: FakeClock,
    records: int,
    poison: int,
    share: float,
    *,
    is_too_much: bool,
) -> None:
    """Then it is the API that is wrong; but a page of few items may be all poison."""
    feed = FakeFeed([*(record(f"r{number}") for number in range(records)), *poison_page(poison)])
    job = replace(sync_job(feed, store, clock, page_size=100), most_poison_share=share)

    if not is_too_much:
        assert poison == (await job.run()).records_set_aside
        return

    with pytest.raises(RecordsUnfit, match="most because no version"):
        await job.run()
    report = await store.load_report()
    assert report is not None
    assert (SyncStatus.FAILED, "records_unfit") == (report.status, report.error_code)
    assert BEGINNING == await store.load()
    assert [] == await store.list_poison()


async def test_when_no_share_is_set_then_half_of_a_page_may_be_unfit(
    store: SqliteStore, clock: FakeClock
) -> None:
    """As the setting's default is."""
    feed = FakeFeed([*(record(f"r{number}") for number in range(25)), *poison_page(25)])

    assert 25 == (await sync_job(feed, store, clock, page_size=50).run()).records_set_aside


async def test_when_pages_are_small_and_all_poison_then_the_run_still_fails(
    store: SqliteStore, clock: FakeClock
) -> None:
    """What a run excuses adds up, or a small page size would let everything pass."""
    job = sync_job(FakeFeed(poison_page(200)), store, clock, page_size=8)

    with pytest.raises(RecordsUnfit):
        await job.run()

    assert "16" == (await store.load()).cursor


async def test_when_the_store_refuses_all_then_the_run_fails_before_it_has_tried_all(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """A store that takes nothing is no reason to set everything aside, one by one."""
    writes = 0

    class TakesNothing(SqliteStore):
        async def write(self, *_: object, **__: object) -> int:
            nonlocal writes
            writes += 1
            raise ContentRefused("never")

        async def write_page(self, *_: object, **__: object) -> Step:
            raise ContentRefused("never")

    refusing = TakesNothing(tmp_path / "records.sqlite3")
    feed = FakeFeed([record(f"r{number}") for number in range(200)])

    with pytest.raises(RecordsUnfit, match="never"):
        await sync_job(feed, refusing, clock, page_size=200).run()
    await refusing.aclose()

    assert "" == (await store.load()).cursor
    assert writes < 250


async def test_when_a_new_feed_has_a_record_as_poison_only_then_it_is_not_marked_as_deleted(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    """It is there, if unfit; a tombstone that is unfit says itself that it is not."""
    feed = FakeFeed([record(name, 7) for name in "abcd"])
    job = sync_job(feed, store, clock, share=1.0)
    await job.run()
    feed.start_anew(
        [
            PoisonRecord("a", "bad", b"{}"),
            replace(record("b"), updated_at="never"),
            PoisonRecord("c", "bad", b"{}", is_tombstone=True),
            record("d"),
        ]
    )

    await job.run()

    assert {"a": False, "b": False, "c": True, "d": False} == {
        name: gone for name, (_, gone, _) in stored(tmp_path).items()
    }
    feed.changes_so_far.append(record("a", 2))
    assert 1 == (await job.run()).records_changed


async def test_when_a_run_ends_then_its_report_is_one_line_of_the_log(
    store: SqliteStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The last line that a run logs is its whole report as JSON."""
    with caplog.at_level(logging.INFO):
        report = await sync_job(FakeFeed([record("a")]), store, clock).run()

    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert ("sync_finished", "complete", 1, report.run_id) == (
        line["event"],
        line["status"],
        line["records_changed"],
        line["run_id"],
    )


def changes_of(ids: str) -> list[Record]:
    """A feed in which each letter is one more change of the record of that name."""
    versions: dict[str, int] = {}
    changes = []
    for name in ids:
        versions[name] = versions.get(name, 0) + 1
        changes.append(record(name, versions[name], deleted=versions[name] % 3 == 0))
    return changes


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ids=st.text("abcd", max_size=24),
    page_size=st.integers(1, 5),
    failures=st.lists(st.integers(0, 12), max_size=6),
    overlaps=st.integers(1, 3),
)
def test_when_runs_fail_and_overlap_then_the_sink_still_ends_up_as_the_feed_says(
    tmp_path_factory: pytest.TempPathFactory,
    ids: str,
    page_size: int,
    failures: list[int],
    overlaps: int,
) -> None:
    """Whatever fails and whoever overlaps: the newest version of each record, and no other."""
    folder = tmp_path_factory.mktemp("sync")
    feed = FakeFeed(changes_of(ids))
    calls = count()

    def fail_now_and_then(_cursor: str) -> None:
        if next(calls) in failures:
            raise BackendUnavailable("The API is down.")

    feed.before_answer = fail_now_and_then

    async def run_all() -> None:
        async with AsyncExitStack() as closing:
            stores = [SqliteStore(folder / "records.sqlite3") for _ in range(overlaps)]
            for store in stores:
                closing.push_async_callback(store.aclose)
            jobs = [sync_job(feed, store, FakeClock(), page_size=page_size) for store in stores]
            for _ in range(2):
                await asyncio.gather(*(job.run() for job in jobs), return_exceptions=True)
            failures.clear()

            final = await jobs[0].run()

            assert SyncStatus.COMPLETE == final.status
            assert (str(len(ids)) if ids else "") == (await stores[0].load()).cursor

    asyncio.run(run_all())

    newest = {change.id: change for change in feed.changes_so_far if isinstance(change, Record)}
    assert {
        change.id: (change.version, change.deleted, dict(change.data)) for change in newest.values()
    } == stored(folder)


async def test_when_nothing_was_ever_saved_then_the_checkpoint_is_the_beginning(
    store: SqliteStore,
) -> None:
    """A new store loads the beginning and no report."""
    assert BEGINNING == await store.load()
    assert await store.load_report() is None


class StallingStore(SqliteStore):
    """Once stalled, answers nothing until the time that it was given is over."""

    def __init__(self, path: Path, clock: FakeClock, pages: int | None = None) -> None:
        """Take the clock that it holds up, and after how many pages it stalls by itself."""
        super().__init__(path)
        self.clock = clock
        self.pages = pages
        self.is_stalled = False
        self.report_seconds: list[float] = []

    def _stall(self, deadline: Deadline | None) -> None:
        assert deadline is not None
        if self.is_stalled:
            self.clock.advance(deadline.remaining_seconds())
            raise StoreTimedOut("stalled")

    async def load(self, *, deadline: Deadline | None = None) -> Checkpoint:
        """What the store has, or nothing in time."""
        self._stall(deadline)
        return await super().load(deadline=deadline)

    async def write_page(self, *args: Any, deadline: Deadline | None = None, **kwargs: Any) -> Step:
        """Take the page, or do nothing in time."""
        self._stall(deadline)
        step = await super().write_page(*args, deadline=deadline, **kwargs)
        if self.pages is not None:
            self.pages -= 1
            self.is_stalled = self.pages == 0
        return step

    async def save_report(self, report: SyncReport, *, deadline: Deadline | None = None) -> None:
        """Note what time there was for it."""
        assert deadline is not None
        self.report_seconds.append(deadline.remaining_seconds())
        await super().save_report(report, deadline=deadline)


async def test_when_the_store_stalls_in_mid_run_then_the_next_run_goes_on(
    clock: FakeClock, tmp_path: Path
) -> None:
    """What was checkpointed stays done, so it is a pause; without any progress it is a failure."""
    store = StallingStore(tmp_path / "records.sqlite3", clock, pages=1)
    feed = FakeFeed([record(name) for name in "abcd"])
    began_at = clock.monotonic()
    job = sync_job(feed, store, clock, run_seconds=100.0)
    report = await job.run()
    over_at = clock.monotonic()
    with pytest.raises(StoreTimedOut):
        await job.run()
    await store.aclose()

    assert (SyncStatus.PAUSED, 1) == (report.status, report.pages)
    assert 105.0 == pytest.approx(over_at - began_at)
    # A store that has just failed is not waited for.
    assert [1.0, 1.0] == store.report_seconds


async def test_when_the_store_stalls_between_two_stretches_of_a_sweep_then_the_next_run_goes_on(
    clock: FakeClock, tmp_path: Path
) -> None:
    """A run that has only swept has come further too."""

    class StallingSweep(StallingStore):
        """Sweeps so many stretches, and then stalls."""

        stretches = 0

        async def sweep_page(
            self, checkpoint: Checkpoint, *, deadline: Deadline | None = None
        ) -> Step:
            self.stretches -= 1
            self.is_stalled = self.stretches < 0
            self._stall(deadline)
            return await super().sweep_page(checkpoint, deadline=deadline)

    store = StallingSweep(tmp_path / "records.sqlite3", clock)
    feed = FakeFeed([record("a"), record("b")])
    job = sync_job(feed, store, clock, run_seconds=100.0)
    await job.run()
    feed.start_anew([record("a")])
    await job.run()
    store.is_stalled, store.stretches = False, 1

    report = await job.run()
    await store.aclose()

    assert (SyncStatus.PAUSED, 0) == (report.status, report.records_read)


async def test_when_a_page_was_read_late_then_the_store_still_gets_a_little_time(
    clock: FakeClock, tmp_path: Path
) -> None:
    """A page that is there is not thrown away because reading it took the rest of the run."""
    store = StallingStore(tmp_path / "records.sqlite3", clock)
    feed = FakeFeed([record(name) for name in "abcd"])
    feed.before_answer = lambda _cursor: clock.advance(130.0)

    report = await sync_job(feed, store, clock, run_seconds=100.0).run()
    await store.aclose()

    assert (SyncStatus.PAUSED, 1) == (report.status, report.pages)
    assert [5.0] == store.report_seconds


async def test_when_a_run_is_held_then_one_line_of_the_log_can_be_an_alert(
    store: SqliteStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that says how many there are, how many would go, and what to do."""
    feed = FakeFeed([record(f"r{n}") for n in range(40)])
    job = sync_job(feed, store, clock)
    await job.run()
    feed.start_anew([record("r0")])
    caplog.clear()

    with caplog.at_level(logging.ERROR):
        await job.run()

    held, finished = (json.loads(JsonLines().format(line)) for line in caplog.records)
    assert ("deletions_held", 40, 39, 0.2, 1) == (
        held["event"],
        held["live"],
        held["missing"],
        held["most_deleted_share"],
        held["generation"],
    )
    assert "bridge sync --accept-deletions" in held["what_to_change"]
    assert ("sync_finished", "held", 39) == (
        finished["event"],
        finished["status"],
        finished["records_missing"],
    )
