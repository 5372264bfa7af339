"""What becomes of a message, whenever it comes: over a feed in memory and a real SQLite file."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from azure_function_app.errors import (
    BackendRejected,
    BackendUnavailable,
    RecordsUnfit,
    StoreUnavailable,
)
from azure_function_app.fan_out.shard_message import MessageKind, ShardMessage
from azure_function_app.sync.checkpoint_store import PLAN_ROW, SyncStatus, shard_row
from azure_function_app.sync.deletions import accept_deletions
from azure_function_app.sync.sweep import SweepPhase
from tests.support.sharded_sync import DyingStore, Killed, ShardedPlace

NAMES = [f"r{number}" for number in range(20)]


async def begin_new_feed(place: ShardedPlace, *, lacks: int) -> None:
    """Read everything, and then have another feed that lacks so many of the records."""
    place.feed.put(*NAMES, *NAMES)
    await place.settle()
    place.feed.start_anew()
    place.feed.put(*NAMES[lacks:])


async def test_when_a_message_comes_then_its_shard_is_read_to_its_end(
    place: ShardedPlace,
) -> None:
    """And no other one."""
    place.feed.put(*NAMES)
    await place.tick()

    report = await place.deliver(place.queue[1])

    assert report is not None
    assert (1, SyncStatus.COMPLETE) == (report.shard, report.status)
    assert {name for name in NAMES if place.feed.shard_of(name) == 1} == place.live().keys()


async def test_when_time_is_up_then_the_rest_is_put_back(place: ShardedPlace) -> None:
    """From where the shard stands by then."""
    place.feed.put(*NAMES)
    await place.tick()
    first = place.queue.pop(0)
    place.queue.clear()
    place.feed.before_answer = lambda _cursor: place.clock.advance(130.0)

    report = await place.deliver(first)

    assert report is not None
    assert (SyncStatus.PAUSED, 2) == (report.status, report.pages)
    assert [(MessageKind.READ, 0)] == place.kinds()
    assert (await place.row(0)).cursor in place.queue[0]


async def test_when_a_new_feeds_shard_goes_on_growing_then_the_next_tick_asks_again(
    place: ShardedPlace,
) -> None:
    """A message that was put back at once would ask without a pause."""
    await begin_new_feed(place, lacks=0)
    await place.tick()
    first = place.queue.pop(0)
    place.queue.clear()
    own = next(name for name in NAMES if place.feed.shard_of(name) == 0)
    place.feed.before_answer = lambda _cursor: place.feed.put(own)

    report = await place.deliver(first)

    assert report is not None
    assert SyncStatus.PAUSED is report.status
    assert [] == place.queue
    await place.tick()
    assert (MessageKind.READ, 0) in place.kinds()


async def test_when_messages_come_again_then_nothing_is_read_and_no_report_is_saved(
    place: ShardedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """A host delivers at least once, also an hour later and in another order."""
    place.feed.put(*NAMES)
    await place.tick()
    old = list(place.queue)
    await place.drain()
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.calls.clear()
    before = len(await place.store.load_reports())
    caplog.clear()

    with caplog.at_level(logging.INFO):
        reports = [await place.deliver(text) for text in reversed(old * 2)]

    assert [None] * 6 == reports
    assert ["shard_message_late"] * 6 == caplog.messages
    assert ([], []) == (place.feed.calls, place.queue)
    assert before == len(await place.store.load_reports())


async def test_when_a_message_is_doubled_at_once_then_one_worker_goes_on(
    place: ShardedPlace,
) -> None:
    """The other is superseded at its first page, and puts nothing back."""
    place.feed.put(*NAMES)
    await place.tick()
    text = place.queue[0]
    place.queue.clear()

    reports = await asyncio.gather(*(place.deliver(text) for _ in range(4)))

    ends = [report.status for report in reports if report is not None]
    assert 1 == ends.count(SyncStatus.COMPLETE)
    assert {SyncStatus.COMPLETE, SyncStatus.SUPERSEDED} == set(ends)
    assert [] == place.queue
    shard = {name: 1 for name in NAMES if place.feed.shard_of(name) == 0}
    assert shard == place.live()


async def test_when_messages_are_lost_then_the_next_tick_sends_them_anew(
    place: ShardedPlace,
) -> None:
    """From where each shard stands."""
    place.feed.put(*NAMES)
    await place.tick()
    await place.deliver(place.queue[1])
    place.queue.clear()

    await place.tick()

    assert [(MessageKind.READ, 0), (MessageKind.READ, 2)] == place.kinds()
    await place.settle()
    assert place.feed.live() == place.live()


async def test_when_a_message_of_an_old_generation_comes_late_then_nothing_is_done(
    place: ShardedPlace,
) -> None:
    """An hour later, with another feed read meanwhile."""
    place.feed.put(*NAMES)
    await place.tick()
    old = list(place.queue)
    place.queue.clear()
    place.feed.start_anew()
    place.feed.put("r1")
    await place.settle()
    place.clock.advance(3_600.0)
    before = place.records()

    reports = [await place.deliver(text) for text in old]

    assert [None] * 3 == reports
    assert before == place.records()


async def test_when_a_worker_wakes_in_a_later_generation_then_it_changes_nothing(
    place: ShardedPlace,
) -> None:
    """It has a page of the old feed in its hands."""
    place.feed.put(*NAMES)
    await place.tick()
    text = place.queue[2]
    place.queue.clear()
    is_frozen, wakes = asyncio.Event(), asyncio.Event()
    feed = place.feed

    class Frozen:
        """Hands the page over late."""

        async def changes(self, *args: Any, **options: Any) -> Any:
            page = await feed.changes(*args, **options)
            is_frozen.set()
            await wakes.wait()
            return page

    late = asyncio.create_task(place.deliver(text, source=Frozen()))
    await is_frozen.wait()
    feed.start_anew()
    feed.put("r1")
    await place.settle()
    before = place.records()
    wakes.set()
    report = await late

    assert report is not None
    assert SyncStatus.SUPERSEDED == report.status
    assert ([], before) == (place.queue, place.records())


async def test_when_the_feed_is_replaced_in_the_middle_then_the_next_tick_sees_it(
    place: ShardedPlace,
) -> None:
    """The API takes the old cursors no more: the worker leaves it to the plan."""
    place.feed.put(*NAMES)
    await place.tick()
    await place.deliver(place.queue.pop(0))
    place.feed.start_anew(shards=2)
    place.feed.put(*NAMES[:5])

    ends = [report.status for report in await place.drain()]
    await place.settle()

    assert [SyncStatus.SUPERSEDED] * 2 == ends
    assert place.feed.live() == place.live()


@pytest.mark.parametrize("does_last", [True, False])
async def test_when_a_process_dies_at_any_call_to_the_store_then_the_next_ones_heal_it(
    tmp_path: Path, *, does_last: bool
) -> None:
    """Planner or worker, before the call or after it, in every step of a new generation."""
    for most in range(1, 60):
        (tmp_path / str(most)).mkdir()
        place = ShardedPlace(tmp_path / str(most), page_size=10)
        await begin_new_feed(place, lacks=5)
        store = DyingStore(place.store, [most], does_last=does_last)
        was_killed = False
        try:
            await place.tick(store=store, checkpoints=store)
            while place.queue:
                await place.deliver(place.queue.pop(0), store=store, checkpoints=store)
            await place.tick(store=store, checkpoints=store)
            while place.queue:
                await place.deliver(place.queue.pop(0), store=store, checkpoints=store)
        except Killed:
            was_killed = True
        await place.settle()
        records = place.records()
        await place.store.aclose()

        assert place.feed.live() == {n: v for n, (_, v, gone) in records.items() if not gone}
        assert 20 == len(records)
        if not was_killed:
            break
    else:
        raise AssertionError("There are more calls than were tried.")
    assert most > 30


# --- the sweep ------------------------------------------------------------------------------------


async def test_when_a_sweep_message_comes_before_every_shard_is_read_then_nothing_is_marked(
    place: ShardedPlace,
) -> None:
    """Whoever sent it: nothing is missing from what nobody has read."""
    await begin_new_feed(place, lacks=5)
    await place.tick()
    await place.deliver(place.queue.pop())
    early = ShardMessage(MessageKind.SWEEP, "feed-2", 1).encode()

    report = await place.deliver(early)

    assert report is not None
    assert SyncStatus.SUPERSEDED == report.status
    assert 20 == len(place.live())
    assert (await place.plan()).sweep is None
    await place.settle()
    assert place.feed.live() == place.live()


async def test_when_a_shards_row_is_lost_before_the_sweep_then_nothing_is_marked(
    place: ShardedPlace,
) -> None:
    """Nobody knows any more that the shard was read in this generation."""
    await begin_new_feed(place, lacks=5)
    await place.tick()
    await place.drain()
    await place.tick()
    (sweep,) = place.queue
    place.queue.clear()
    await place.store.for_row(shard_row(1)).reset()

    report = await place.deliver(sweep)

    assert report is not None
    assert SyncStatus.SUPERSEDED == report.status
    assert 20 == len(place.live())


async def test_when_a_sweep_message_comes_twice_then_the_second_does_nothing(
    place: ShardedPlace,
) -> None:
    """The generation is swept already."""
    await begin_new_feed(place, lacks=5)
    await place.tick()
    await place.drain()
    await place.tick()
    (text,) = place.queue

    first = await place.deliver(text)
    second = await place.deliver(text)

    assert first is not None
    assert (SyncStatus.COMPLETE, 5) == (first.status, first.records_changed)
    assert second is None


async def test_when_a_sweep_message_is_of_another_feed_by_now_then_nothing_is_marked(
    place: ShardedPlace,
) -> None:
    """It was sent before the feed was replaced, and comes before the plan knows of it."""
    await begin_new_feed(place, lacks=5)
    await place.tick()
    await place.drain()
    await place.tick()
    place.feed.start_anew()

    report = await place.deliver(place.queue.pop())

    assert report is not None
    assert SyncStatus.SUPERSEDED == report.status
    assert 20 == len(place.live())


async def test_when_time_is_up_in_a_sweep_then_its_message_is_put_back(
    tmp_path: Path,
) -> None:
    """And goes on at the stretch where the plan says."""
    place = ShardedPlace(tmp_path)
    await begin_new_feed(place, lacks=5)
    await place.tick()
    await place.drain()
    await place.tick()
    place.feed.before_listing = lambda: place.clock.advance(500.0)

    report = await place.deliver(place.queue.pop())
    waiting = place.kinds()
    place.feed.before_listing = lambda: None
    await place.drain()
    live = place.live()
    await place.store.aclose()

    assert report is not None
    assert SyncStatus.PAUSED == report.status
    assert [(MessageKind.SWEEP, 0)] == waiting
    assert place.feed.live() == live


async def test_when_too_much_is_missing_then_the_sweep_is_held_until_a_person_agrees(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ticks and reports say so, the shards are read on, and nothing is marked."""
    place = ShardedPlace(tmp_path, share=0.2)
    await begin_new_feed(place, lacks=15)
    await place.tick()
    await place.drain()
    await place.tick()
    (held,) = await place.drain()
    place.feed.put("r16")
    tick = await place.tick()
    await place.drain()
    (still,) = (await place.tick(), await place.drain())[1]
    live = place.live()

    missing = await accept_deletions(place.store.for_row(PLAN_ROW))
    await place.settle()
    after = place.live()
    await place.store.aclose()

    assert (SyncStatus.HELD, "deletions_held", 15) == (
        held.status,
        held.error_code,
        held.records_missing,
    )
    assert (SyncStatus.HELD, 15) == (tick.status, tick.records_missing)
    assert SyncStatus.HELD == still.status
    assert (20, 2) == (len(live), live["r16"])
    assert 15 == missing
    assert place.feed.live() == after
    assert "deletions_held" in caplog.messages


async def test_when_records_come_back_then_a_held_sweep_goes_on_by_itself(
    tmp_path: Path,
) -> None:
    """What the shards read since counts, wherever they read it; and it is counted once anew."""
    place = ShardedPlace(tmp_path, share=0.2)
    await begin_new_feed(place, lacks=15)
    await place.settle_until_held()
    plan = await place.plan()
    place.feed.put(*NAMES[:13])
    await place.settle()
    live = place.live()
    await place.store.aclose()

    assert plan.sweep is not None
    assert SweepPhase.HELD == plan.sweep.phase
    assert place.feed.live() == live


# --- poison and failures --------------------------------------------------------------------------


async def test_when_an_item_is_poison_then_it_is_set_aside_and_its_shard_goes_on(
    place: ShardedPlace,
) -> None:
    """In a new generation it is not missing either."""
    await begin_new_feed(place, lacks=0)
    place.feed.put_poison("r3")

    await place.settle()

    assert {"r3"} == {entry.id for entry in await place.store.list_poison()}
    assert place.feed.live() | {"r3": 0} == place.live()


async def test_when_most_of_a_shard_is_poison_then_its_run_fails_and_the_others_go_on(
    place: ShardedPlace,
) -> None:
    """The failure is the shard's own."""
    place.page_size = 100
    place.feed.put(*NAMES)
    bad = [f"x{number}" for number in range(200)]
    for name in bad:
        if place.feed.shard_of(name) == 1:
            place.feed.put_poison(name)
    await place.tick()
    texts = list(place.queue)

    with pytest.raises(RecordsUnfit):
        await place.deliver(texts[1], most_poison_share=0.5)
    await place.deliver(texts[0])
    await place.deliver(texts[2])

    ends = {
        report.shard: report.error_code
        for report in await place.store.load_reports()
        if report.shard is not None
    }
    assert {0: None, 1: "records_unfit", 2: None} == ends
    assert "1.1.0" == (await place.row(1)).cursor


async def test_when_the_api_fails_then_the_run_does_and_its_report_names_the_shard(
    place: ShardedPlace,
) -> None:
    """The host tries the message again."""
    place.feed.put(*NAMES)
    await place.tick()

    def fail(_cursor: str) -> None:
        raise BackendUnavailable("The API is down.")

    place.feed.before_answer = fail

    with pytest.raises(BackendUnavailable):
        await place.deliver(place.queue[2])
    report = await place.store.load_report()

    assert report is not None
    assert (2, SyncStatus.FAILED) == (report.shard, report.status)


async def test_when_the_row_cannot_be_looked_at_then_the_run_fails_and_says_so(
    place: ShardedPlace,
) -> None:
    """A look that fails is not taken for a message that is late."""
    place.feed.put(*NAMES)
    await place.tick()
    place.query("UPDATE state SET value = 'x' WHERE name = ?", shard_row(0))

    with pytest.raises(StoreUnavailable):
        await place.deliver(place.queue[0])
    report = await place.store.load_report()

    assert report is not None
    assert (0, "checkpoint_damaged") == (report.shard, report.error_code)


# --- cursors that expire in the same feed ---------------------------------------------------------


async def test_when_the_feed_was_set_back_under_its_name_then_a_new_generation_reads_it(
    place: ShardedPlace,
) -> None:
    """The list of shards has not changed, and no tick would ever notice."""
    place.feed.put(*NAMES)
    await place.settle()
    take_back = place.feed.remember()
    place.feed.put(*NAMES)
    await place.settle()
    take_back()

    await place.settle()

    assert place.feed.live() == place.live()
    assert (1, False) == ((await place.plan()).generation, (await place.plan()).is_rereading)


async def test_when_a_shards_beginning_is_refused_then_the_run_fails(place: ShardedPlace) -> None:
    """A new generation would begin there too, at every tick."""
    place.feed.put(*NAMES)
    await place.tick()

    def refuse(_cursor: str) -> None:
        raise BackendRejected("The cursor has expired.", status=410, code="cursor_expired")

    place.feed.before_answer = refuse
    for _ in range(2):
        with pytest.raises(BackendRejected):
            await place.deliver(place.queue[0])

    assert 0 == (await place.plan()).generation
    assert SyncStatus.FAILED is (await place.store.load_reports())[0].status
