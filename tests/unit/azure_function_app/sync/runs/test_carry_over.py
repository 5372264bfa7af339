"""From one way of reading to the other, and back: what is carried over, and what begins anew."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from azure_function_app.errors import BackendUnavailable
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    MAX_SHARDS,
    PLAN_ROW,
    WHOLE_FEED_ROW,
    Checkpoint,
    SyncStatus,
    shard_row,
)
from azure_function_app.sync.runs.carry_over import AfterShards, CarryOver
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from tests.support.sharded_sync import DyingStore, Killed, ShardedPlace

NAMES = [f"r{number}" for number in range(20)]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[ShardedPlace]:
    """A feed of three shards with twenty records, and a store."""
    place = ShardedPlace(tmp_path)
    place.feed.put(*NAMES)
    yield place
    await place.store.aclose()


def whole(place: ShardedPlace, *, run_seconds: float = 240.0) -> SyncJob:
    """The job that reads the feed as a whole."""
    return SyncJob(
        source=place.feed,
        store=place.store,
        clock=place.clock,
        new_run_id=lambda: f"whole-{place.clock.monotonic()}-{len(place.feed.calls)}",
        page_size=2,
        run_seconds=run_seconds,
        page_seconds=30.0,
        deletion_limit=DeletionLimit(1.0),
        after_shards=AfterShards(place.store, CarryOver(place.feed, place.clock, 30.0)),
    )


def generations(place: ShardedPlace) -> set[int]:
    """Of the records that are not deleted."""
    return {generation for generation, _, gone in place.records().values() if not gone}


async def rows(place: ShardedPlace) -> set[str]:
    """The rows that hold a checkpoint."""
    names = [WHOLE_FEED_ROW, PLAN_ROW, *(shard_row(shard) for shard in range(MAX_SHARDS))]
    return {name for name in names if await place.store.for_row(name).load() != BEGINNING}


async def test_when_the_feed_was_read_as_a_whole_then_its_shards_are_read_once_from_the_beginning(
    place: ShardedPlace,
) -> None:
    """In the same generation; the whole feed's checkpoint is forgotten."""
    await whole(place).run()
    place.feed.put("r1")

    await place.settle()

    assert {PLAN_ROW, *(shard_row(shard) for shard in range(3))} == await rows(place)
    assert ({0}, place.feed.live()) == (generations(place), place.live())


async def test_when_the_feed_was_read_in_shards_then_it_is_read_once_as_a_whole(
    place: ShardedPlace,
) -> None:
    """In the same generation; plan and shards are forgotten."""
    await place.settle()
    place.feed.put("r1")

    report = await whole(place).run()
    place.feed.calls.clear()
    again = await whole(place).run()

    assert {WHOLE_FEED_ROW} == await rows(place)
    assert ({0}, place.feed.live()) == (generations(place), place.live())
    assert (1, 0, 1) == (report.records_changed, again.records_read, len(place.feed.calls))


@pytest.mark.parametrize("to_shards", [True, False])
async def test_when_a_new_generation_is_half_read_then_the_other_way_sweeps_it_too(
    place: ShardedPlace, *, to_shards: bool
) -> None:
    """What the new feed lacks must not stay because the setting changed in the middle."""
    await (whole(place).run() if to_shards else place.settle())
    place.feed.start_anew()
    place.feed.put(*NAMES[5:])
    if to_shards:
        place.feed.before_answer = lambda _cursor: place.clock.advance(30.0)
        half = await whole(place, run_seconds=100.0).run()
        place.feed.before_answer = lambda _cursor: None
        assert SyncStatus.PAUSED == half.status
        await place.settle()
    else:
        await place.tick()
        await place.deliver(place.queue.pop())
        await whole(place).run()

    assert ({1}, place.feed.live()) == (generations(place), place.live())


@pytest.mark.parametrize("to_shards", [True, False])
async def test_when_the_feed_became_another_one_too_then_a_new_generation_begins(
    place: ShardedPlace, *, to_shards: bool
) -> None:
    """The cursors of the way that was left tell: the API takes them no more."""
    place.feed.put(*NAMES)
    await (whole(place).run() if to_shards else place.settle())
    place.feed.start_anew()
    place.feed.put(*NAMES[5:])

    await (place.settle() if to_shards else whole(place).run())

    assert ({1}, place.feed.live()) == (generations(place), place.live())


@pytest.mark.parametrize(("row", "to_shards"), [(WHOLE_FEED_ROW, True), (PLAN_ROW, False)])
async def test_when_what_was_left_cannot_be_read_then_a_new_generation_begins(
    place: ShardedPlace, row: str, *, to_shards: bool
) -> None:
    """Nobody has to heal what is to be forgotten."""
    await (whole(place).run() if to_shards else place.settle())
    place.query("UPDATE state SET value = 'x' WHERE name = ?", row)

    await (place.settle() if to_shards else whole(place).run())

    assert ({1}, place.feed.live()) == (generations(place), place.live())
    assert row not in await rows(place)


async def test_when_the_setting_goes_to_and_fro_then_no_state_in_between_does_harm(
    place: ShardedPlace,
) -> None:
    """A process that dies at any call while it changes leaves what the next one can go on from."""
    for most in range(1, 25):
        await place.settle()
        place.feed.put(f"r{most % 20}")
        store = DyingStore(place.store, [most], does_last=True)
        with contextlib.suppress(Killed):
            await dying_job(place, store).run()
        place.feed.delete(f"r{(most + 7) % 20}")
        if most % 5 == 0:
            place.feed.start_anew()
            place.feed.put(*NAMES[most % 20 :])

        await place.settle()

        assert place.feed.live() == place.live()
        await whole(place).run()
        assert place.feed.live() == place.live()


async def test_when_the_api_cannot_be_asked_then_nothing_is_forgotten(
    place: ShardedPlace,
) -> None:
    """The run fails, and the next one tries again."""
    await whole(place).run()

    def fail(_cursor: str) -> None:
        raise BackendUnavailable("The API is down.")

    place.feed.before_answer = fail

    with pytest.raises(BackendUnavailable):
        await place.tick()

    assert {WHOLE_FEED_ROW} == await rows(place)


async def test_when_rows_of_both_ways_are_there_then_a_new_generation_begins(
    place: ShardedPlace,
) -> None:
    """Nobody can tell which of them is the older."""
    await place.settle()
    await place.store.save(Checkpoint("1.all.3", "", 0), replacing=BEGINNING)

    await place.settle()

    assert ({1}, place.feed.live()) == (generations(place), place.live())
    assert WHOLE_FEED_ROW not in await rows(place)


def dying_job(place: ShardedPlace, store: DyingStore) -> SyncJob:
    """The job of a process that dies."""
    dying = cast("Any", store)
    after = AfterShards(dying, CarryOver(place.feed, place.clock, 30.0))
    return replace(whole(place), store=dying, after_shards=after)
