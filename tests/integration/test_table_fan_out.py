"""The sync by shards over Table Storage, as Azurite keeps its rules: several workers at once."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from azure_function_app.fan_out.sharded_sync import ShardedSync
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_store import StoresInOrder
from emulator.azurite import Azurite
from shared.clock import SystemClock
from tests.support.azurite import no_credential
from tests.support.fake_feed import ShardedFeed

NAMES = [f"r{number}" for number in range(120)]


@pytest.fixture
async def stores(azurite: Azurite) -> AsyncIterator[list[TableStore]]:
    """The stores of four instances, on the same tables."""
    prefix = f"t{uuid4().hex[:12]}"
    stores = [build_table_store(azurite.table_url, no_credential, prefix=prefix) for _ in range(4)]
    # At first one by one: several that make the same tables at once are another matter.
    await stores[0].newest_generation()
    yield stores
    for store in stores:
        await store.aclose()


def sync(feed: ShardedFeed, store: TableStore) -> ShardedSync:
    """An instance's sync."""
    return ShardedSync(
        source=feed,
        store=StoresInOrder(store, store),
        checkpoints=store,
        clock=SystemClock(),
        new_run_id=lambda: str(uuid4()),
        page_size=10,
        run_seconds=60.0,
        page_seconds=5.0,
        deletion_limit=DeletionLimit(1.0),
        most_poison_share=1.0,
    )


async def live(store: TableStore) -> dict[str, int]:
    """The versions of what is not deleted, by ID."""
    held = await store.view.held_versions(NAMES)
    return {name: found.version for name, found in held.items() if not found.deleted}


async def settle(feed: ShardedFeed, stores: list[TableStore]) -> None:
    """Tick in every instance, and have all of them work on messages, each delivered twice."""
    for number in count():
        assert number < 10
        queue: list[str] = []
        reports = await asyncio.gather(*(sync(feed, store).tick(queue.extend) for store in stores))
        if {SyncStatus.COMPLETE} == {report.status for report in reports}:
            return
        waiting = queue * 2

        async def work(store: TableStore, waiting: list[str] = waiting) -> None:
            while waiting:
                left: list[str] = []
                await sync(feed, store).work(waiting.pop(0).encode(), left.extend)
                waiting += left

        await asyncio.gather(*(work(store) for store in stores))


async def test_when_four_instances_share_the_shards_then_the_sink_ends_as_the_source(
    stores: list[TableStore],
) -> None:
    """A first load, an increment, and another feed with its sweep; planned by all of them."""
    feed = ShardedFeed(5)
    feed.put(*NAMES)
    await settle(feed, stores)
    first = await live(stores[0])
    assert feed.live() == first

    feed.put(*NAMES[::7])
    feed.delete("r3")
    await settle(feed, stores)
    second = await live(stores[0])
    assert feed.live() == second

    feed.start_anew(shards=3)
    feed.put(*NAMES[:90])
    await settle(feed, stores)
    third = await live(stores[0])
    assert feed.live() == third
    reports: list[Any] = list(await stores[0].load_reports())
    assert {None, 0, 1, 2, 3, 4} == {report.shard for report in reports}
