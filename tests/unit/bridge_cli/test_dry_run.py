"""A dry run says what the run does then."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from azure_function_app.errors import RecordsUnfit
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import Checkpoint, SyncStatus
from azure_function_app.sync.records import PoisonRecord
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from bridge_cli.syncing.dry_run import preview_run
from shared.clock import SystemClock
from tests.support.fake_feed import FakeFeed, record


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store in a new file."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    yield store
    await store.aclose()


def job(feed: FakeFeed, store: SqliteStore) -> SyncJob:
    """The job, with the limits that it has by default."""
    return SyncJob(
        source=feed,
        store=store,
        clock=SystemClock(),
        new_run_id=lambda: "run",
        page_size=100,
        run_seconds=60,
        page_seconds=10,
        deletion_limit=DeletionLimit(0.2),
    )


async def previewed_and_run(
    feed: FakeFeed, store: SqliteStore
) -> tuple[tuple[SyncStatus, int], tuple[SyncStatus, int]]:
    """How a run would end and what it would change, and how it does and what it does."""
    present = await store.load()
    start = Checkpoint("", present.fence, present.generation + 1, is_rereading=True)
    preview = await preview_run(job(feed, store), store.view, start)
    await store.save(start, replacing=present)
    report = await job(feed, store).run()
    is_held = preview.status is SyncStatus.HELD
    missing = preview.records_missing or 0
    changed = preview.records_changed - (missing if is_held else 0)
    return (preview.status, changed), (report.status, report.records_changed)


@pytest.mark.parametrize("gone", [5, 20, 30, 100])
async def test_when_a_new_feed_lacks_records_then_the_dry_run_ends_as_the_run_does(
    store: SqliteStore, gone: int
) -> None:
    """Below the limit, at it, beyond it, and where everything is gone."""
    await store.write([record(f"r{number}") for number in range(100)])
    feed = FakeFeed([record(f"r{number}") for number in range(gone, 100)])

    previewed, done = await previewed_and_run(feed, store)

    assert done == previewed
    assert (SyncStatus.HELD if gone > 20 else SyncStatus.COMPLETE) == done[0]


async def test_when_a_record_is_there_but_unfit_then_the_dry_run_does_not_call_it_missing(
    store: SqliteStore,
) -> None:
    """The run leaves it as it is."""
    await store.write([record(f"r{number}") for number in range(100)])
    unfit = [PoisonRecord(f"r{number}", "no version", b"{}") for number in range(30)]
    feed = FakeFeed([*unfit, *(record(f"r{number}") for number in range(30, 100))])

    previewed, done = await previewed_and_run(feed, store)

    assert done == previewed == (SyncStatus.COMPLETE, 70)


async def test_when_a_page_is_mostly_unfit_then_the_dry_run_fails_as_the_run_would(
    store: SqliteStore,
) -> None:
    """The schema has changed, and no single record is to blame."""
    feed = FakeFeed([PoisonRecord(f"r{number}", "no version", b"{}") for number in range(90)])

    with pytest.raises(RecordsUnfit):
        await preview_run(job(feed, store), store.view, await store.load())


async def test_when_the_feed_is_another_one_at_its_beginning_then_the_dry_run_says_so(
    store: SqliteStore,
) -> None:
    """After `--full`, say, a run finds out by the cursor that it had before."""
    feed = FakeFeed([record("a", 3)])
    await job(feed, store).run()
    feed.start_anew([record("a")])
    begun = replace(await store.load(), cursor="", feed_cursor="1")

    preview = await preview_run(job(feed, store), store.view, begun)
    await store.save(begun, replacing=await store.load())
    report = await job(feed, store).run()

    assert (True, 1) == (preview.begins_generation, preview.records_updated)
    assert (1, 1) == (report.records_changed, (await store.load()).generation)
