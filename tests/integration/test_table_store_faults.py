"""Table Storage that fails, hangs or loses answers: what a run makes of it, and in what time."""

from typing import Any
from uuid import uuid4

import pytest

from azure_function_app.errors import StoreTimedOut, StoreUnavailable
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.records import PoisonRecord
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.sync_store import StoresInOrder
from emulator.azurite import Azurite
from shared.clock import SystemClock
from tests.support.fake_feed import FakeFeed, record
from tests.support.faulty_azurite import (
    Fault,
    be_busy,
    break_after,
    faulty_azurite,
    lose_answer,
    reset_before,
    tear_answer,
)
from tests.support.faulty_server import (
    Behavior,
    answer,
    drip_body,
    drip_head,
    faulty_server,
    say_nothing,
)


def table_store(url: str, prefix: str = "bridge") -> TableStore:
    """A store behind that URL."""

    def no_credential() -> Any:
        raise AssertionError

    return build_table_store(url, no_credential, prefix=prefix)


def sync_job(feed: FakeFeed, store: TableStore, run_seconds: float) -> SyncJob:
    """A job of that length."""
    return SyncJob(
        source=feed,
        store=StoresInOrder(store, store),
        clock=SystemClock(),
        new_run_id=lambda: uuid4().hex,
        page_size=40,
        run_seconds=run_seconds,
        page_seconds=5.0,
        deletion_limit=DeletionLimit(1.0),
    )


@pytest.mark.parametrize("fault", [reset_before, lose_answer, tear_answer, be_busy, break_after])
async def test_when_every_request_goes_wrong_once_then_the_run_completes_and_counts_right(
    azurite: Azurite, fault: Fault
) -> None:
    """Tables, records, what is set aside, checkpoints, a sweep and reports; POST as well as GET."""
    feed = FakeFeed([*(record(f"r{n}", 2) for n in range(60)), PoisonRecord("p", "bad", b"{}")])
    prefix = f"t{uuid4().hex[:12]}"
    async with faulty_azurite(azurite.table_url, fault) as (url, server):
        store = table_store(url, prefix)
        first = await sync_job(feed, store, 60.0).run()
        feed.start_anew([record(f"r{n}") for n in range(40)])
        second = await sync_job(feed, store, 60.0).run()
        reports = await store.load_reports()
        await store.aclose()
        posts = [request for request in server.requests if request.method == "POST"]

    assert (SyncStatus.COMPLETE, 60, 1) == (
        first.status,
        first.records_changed,
        first.records_set_aside,
    )
    assert (SyncStatus.COMPLETE, 60) == (second.status, second.records_changed)
    assert {first.run_id, second.run_id} == {report.run_id for report in reports}
    assert len(posts) > 60


@pytest.mark.parametrize("behavior", [say_nothing, drip_head, drip_body])
async def test_when_table_storage_hangs_then_a_run_is_over_in_its_time(behavior: Behavior) -> None:
    """Its own two seconds and a tenth, the last attempt to leave a report included."""
    async with faulty_server(behavior) as server:
        store = table_store(f"http://127.0.0.1:{server.port}/devstoreaccount1")
        began_at = SystemClock().monotonic()
        with pytest.raises(StoreTimedOut):
            await sync_job(FakeFeed([record("a")]), store, 2.0).run()
        took_seconds = SystemClock().monotonic() - began_at
        await server.stop()
        await store.aclose()

    # A twentieth more for the machine.
    assert 1.9 <= took_seconds <= 2.3


async def test_when_table_storage_fails_at_once_then_it_is_asked_four_times() -> None:
    """An outage is told from a moment's trouble, and not waited for."""
    async with faulty_server(answer(500, b"<error/>")) as server:
        store = table_store(f"http://127.0.0.1:{server.port}/devstoreaccount1")
        with pytest.raises(StoreUnavailable, match="500"):
            await store.load()
        await store.aclose()

    assert 4 == len(server.requests)


async def test_when_table_storage_refuses_then_it_is_asked_once() -> None:
    """A missing role does not get better by asking again."""
    async with faulty_server(answer(403, b"<error/>")) as server:
        store = table_store(f"http://127.0.0.1:{server.port}/devstoreaccount1")
        with pytest.raises(StoreUnavailable, match="Storage Table Data Contributor"):
            await store.load()
        await store.aclose()

    assert 1 == len(server.requests)
