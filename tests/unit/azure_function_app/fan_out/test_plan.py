"""What a tick sends, over a feed in memory and a real SQLite file."""

import asyncio

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendUnavailable, CheckpointUnreadable, FeedMissing
from azure_function_app.fan_out.shard_message import MessageKind
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    PLAN_ROW,
    Checkpoint,
    SyncStatus,
    shard_row,
)
from tests.support.sharded_sync import ShardedPlace

READ, SWEEP = MessageKind.READ, MessageKind.SWEEP
NAMES = [f"r{number}" for number in range(20)]


async def test_when_nothing_was_read_yet_then_each_shard_gets_a_message(
    place: ShardedPlace,
) -> None:
    """In the generation that the records are of, which nobody needs to sweep."""
    place.feed.put(*NAMES)

    report = await place.tick()

    assert (SyncStatus.PAUSED, None) == (report.status, report.shard)
    assert [(READ, 0), (READ, 1), (READ, 2)] == place.kinds()
    assert ("feed-1", 0, False) == (
        (await place.plan()).cursor,
        (await place.plan()).generation,
        (await place.plan()).is_rereading,
    )


async def test_when_every_shard_is_read_then_a_tick_sends_nothing(place: ShardedPlace) -> None:
    """And asks the API once."""
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.calls.clear()
    place.feed.listings = 0

    report = await place.tick()

    assert (SyncStatus.COMPLETE, [], [], 1) == (
        report.status,
        place.queue,
        place.feed.calls,
        place.feed.listings,
    )
    assert place.feed.live() == place.live()


async def test_when_one_record_changes_then_its_shard_is_read_by_one_request(
    place: ShardedPlace,
) -> None:
    """An increment costs a request for each shard that has something, and the list."""
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.calls.clear()
    place.feed.put("r7")

    await place.tick()
    kinds = place.kinds()
    await place.drain()

    assert [(READ, place.feed.shard_of("r7"))] == kinds
    assert 1 == len(place.feed.calls)
    assert 2 == place.live()["r7"]


async def test_when_the_feed_is_another_one_then_a_generation_begins_and_ends_with_a_sweep(
    place: ShardedPlace,
) -> None:
    """Whatever the versions are, and with another number of shards."""
    place.feed.put(*NAMES, *NAMES)
    await place.settle()
    place.feed.start_anew(shards=5)
    place.feed.put(*NAMES[:15])

    await place.tick()
    reads = place.kinds()
    await place.drain()
    await place.tick()
    sweeps = place.kinds()
    await place.settle()

    assert [(READ, shard) for shard in range(5)] == reads
    assert [(SWEEP, 0)] == sweeps
    assert (
        dict.fromkeys(NAMES[:15], (1, 1, False)) | dict.fromkeys(NAMES[15:], (1, 0, True))
        == place.records()
    )
    assert (False, None) == ((await place.plan()).is_rereading, (await place.plan()).sweep)


async def test_when_the_name_of_the_new_feed_sorts_before_the_old_one_then_it_is_another_one(
    place: ShardedPlace,
) -> None:
    """Names of feeds are opaque, and say nothing of which came first."""
    place.feed.feed = 9
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.start_anew()
    place.feed.put(*NAMES[:15])

    await place.settle()

    assert ("feed-10", 1) == ((await place.plan()).cursor, (await place.plan()).generation)
    assert place.feed.live() == place.live()


async def test_when_a_new_feed_is_planned_then_earlier_writes_are_refused_before_any_message(
    place: ShardedPlace,
) -> None:
    """The store knows of the generation when the first message is under way."""
    place.feed.put("a")
    await place.settle()
    place.feed.start_anew()

    await place.tick()

    assert 1 == await place.store.newest_generation()


async def test_when_another_has_begun_a_later_generation_then_the_plan_begins_one_after_it(
    place: ShardedPlace,
) -> None:
    """Or every run of a shard would end as superseded for ever, which is no failure."""
    place.feed.put(*NAMES)
    await place.settle()
    await place.store.begin_generation(7)
    place.feed.put("r1")

    await place.settle()

    assert place.feed.live() == place.live()
    assert {8} == {generation for generation, _, _ in place.records().values()}


async def test_when_a_shard_goes_on_then_its_generation_is_looked_after_whatever_cursors_look_like(
    place: ShardedPlace,
) -> None:
    """They are opaque: the one behind ten changes sorts before the one behind nine."""
    place.feed.put(*["a"] * 9)
    await place.settle()
    await place.store.begin_generation(7)
    place.feed.put("a")

    await place.tick()

    assert 8 == (await place.plan()).generation


async def test_when_the_plan_is_lost_then_shards_are_read_again_from_their_beginnings(
    place: ShardedPlace,
) -> None:
    """What the rows say then is of an unknown time."""
    place.feed.put(*NAMES)
    await place.settle()
    await place.store.for_row(PLAN_ROW).reset()

    await place.settle()

    assert {1} == {generation for generation, _, _ in place.records().values()}
    assert place.feed.live() == place.live()


async def test_when_the_plan_is_lost_and_the_feed_is_another_one_then_what_it_lacks_is_missed(
    place: ShardedPlace,
) -> None:
    """Without a plan nobody knows that it is another one, so the new generation is swept."""
    place.feed.put(*NAMES)
    await place.settle()
    await place.store.for_row(PLAN_ROW).reset()
    place.feed.start_anew()
    place.feed.put(*NAMES[5:])

    await place.settle()

    assert set(NAMES[5:]) == place.live().keys()


async def test_when_a_row_is_lost_then_its_shard_is_read_again(place: ShardedPlace) -> None:
    """And no other."""
    place.feed.put(*NAMES)
    await place.settle()
    await place.store.for_row(shard_row(1)).reset()

    await place.tick()

    assert [(READ, 1)] == place.kinds()


async def test_when_two_plan_at_once_then_one_plan_counts(place: ShardedPlace) -> None:
    """The other one is superseded, or finds the plan as it would have made it."""
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.start_anew()
    place.feed.put(*NAMES[:5])

    await asyncio.gather(*(place.tick() for _ in range(4)))
    await place.settle()

    assert {1} == {generation for generation, _, _ in place.records().values()}
    assert place.feed.live() == place.live()


async def test_when_a_planner_has_an_old_list_then_it_cannot_plan_by_it(
    place: ShardedPlace,
) -> None:
    """It would take the feed back to one that is over, a generation later."""
    place.feed.put("a")
    await place.settle()
    place.feed.start_anew()
    place.feed.put("b")
    old = await place.feed.shards(deadline=Deadline.after(60.0, place.clock))
    later = {}

    class Frozen:
        """Lists the shards as they were, after another one has planned."""

        async def shards(self, **_: object) -> object:
            place.feed.start_anew()
            later["report"] = await place.tick()
            return old

    report = await place.tick(source=Frozen())

    assert SyncStatus.SUPERSEDED == report.status
    assert "feed-3" == (await place.plan()).cursor


async def test_when_there_is_no_feed_yet_then_a_tick_is_complete_and_stores_nothing(
    place: ShardedPlace,
) -> None:
    """The first day in an empty account; the first write is read by the tick after it."""
    place.feed.is_there = False

    first = await place.tick()
    plan = await place.plan()
    place.feed.put("a")
    last = await place.settle()

    assert (SyncStatus.COMPLETE, None, BEGINNING) == (first.status, first.error_code, plan)
    assert (SyncStatus.COMPLETE, {"a": 1}) == (last.status, place.live())
    assert 0 == (await place.plan()).generation


async def test_when_the_feed_is_gone_then_the_tick_fails_and_deletes_nothing(
    place: ShardedPlace,
) -> None:
    """The table was made anew and is empty: whoever fills it has the sync go on by itself."""
    place.feed.put(*NAMES)
    await place.settle()
    before = place.records()
    place.feed.lose()

    with pytest.raises(FeedMissing):
        await place.tick()
    report = await place.store.load_report()
    untouched = place.records()
    place.feed.put(*NAMES)
    await place.settle()

    assert report is not None
    assert (SyncStatus.FAILED, "feed_missing", []) == (
        report.status,
        report.error_code,
        place.queue,
    )
    assert before == untouched
    assert {1} == {generation for generation, _, _ in place.records().values()}


async def test_when_the_feed_goes_while_messages_wait_then_they_do_nothing(
    place: ShardedPlace,
) -> None:
    """Those that read, and a sweep."""
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.start_anew()
    place.feed.put("r1")
    await place.tick()
    await place.drain()
    await place.tick()
    assert [(SWEEP, 0)] == place.kinds()
    place.feed.lose()

    (report,) = await place.drain()

    assert SyncStatus.SUPERSEDED == report.status
    assert len(NAMES) == len(place.live())


@pytest.mark.parametrize("row", ["plan", "checkpoint-shard-0"])
async def test_when_one_row_of_a_feed_that_is_gone_is_left_then_the_tick_fails(
    place: ShardedPlace, row: str
) -> None:
    """A lost plan, say, makes no first day."""
    left = Checkpoint("somewhere", "")
    await place.store.for_row(row).save(left, replacing=BEGINNING)
    place.feed.is_there = False

    with pytest.raises(FeedMissing):
        await place.tick()


async def test_when_the_whole_feed_that_was_read_is_gone_then_the_tick_fails(
    place: ShardedPlace,
) -> None:
    """The API takes its cursor no more."""
    place.feed.put(*NAMES)
    whole = await place.store.save(Checkpoint("1.all.20", ""), replacing=BEGINNING)
    place.feed.lose()

    with pytest.raises(FeedMissing):
        await place.tick()

    assert whole == await place.store.load()


async def test_when_the_whole_feed_was_read_before_there_was_one_then_a_tick_is_complete(
    place: ShardedPlace,
) -> None:
    """The API takes the cursor that it has handed out then, and there is nothing to lose."""
    place.feed.is_there = False
    await place.store.save(Checkpoint("start.all.0", ""), replacing=BEGINNING)

    report = await place.tick()
    place.feed.put("a")
    await place.settle()

    assert SyncStatus.COMPLETE == report.status
    assert {"a": 1} == place.live()


async def test_when_the_list_cannot_be_had_then_the_run_is_one_that_failed(
    place: ShardedPlace,
) -> None:
    """Its report says so, and nothing is sent."""

    def fail() -> None:
        raise BackendUnavailable("The API is down.")

    place.feed.before_listing = fail

    with pytest.raises(BackendUnavailable):
        await place.tick()

    report = await place.store.load_report()
    assert report is not None
    assert (SyncStatus.FAILED, "backend_unavailable") == (report.status, report.error_code)
    assert [] == place.queue
    assert BEGINNING == await place.plan()


async def test_when_a_row_cannot_be_read_then_the_tick_fails_and_sends_nothing(
    place: ShardedPlace,
) -> None:
    """A person has to reset it."""
    place.feed.put("a")
    await place.settle()
    place.query("UPDATE state SET value = 'x' WHERE name = ?", shard_row(2))

    with pytest.raises(CheckpointUnreadable):
        await place.tick()

    assert [] == place.queue


async def test_when_nobody_works_on_messages_then_the_ticks_say_so_and_send_now_and_then(
    place: ShardedPlace, caplog: pytest.LogCaptureFixture
) -> None:
    """A queue that nobody reads must not look like a sync that goes well."""
    place.feed.put(*NAMES)
    first = await place.tick()
    place.clock.advance(600.0)
    still_well = [await place.tick(), await place.tick()]
    place.clock.advance(300.0)
    place.queue.clear()

    late = await place.tick()
    place.clock.advance(300.0)
    later = await place.tick()

    ends = [first, *still_well, late, later]
    assert [SyncStatus.PAUSED] * 3 + [SyncStatus.FAILED] * 2 == [end.status for end in ends]
    assert "shards_not_running" == later.error_code == late.error_code
    assert 2 == caplog.messages.count("shards_not_running")
    assert [] == place.queue
    place.clock.advance(3_600.0)
    await place.tick()
    assert 3 == len(place.queue)
    await place.settle()
    assert place.feed.live() == place.live()


@pytest.mark.parametrize(("every_seconds", "ticks", "most"), [(600, 288, 4 + 48), (1, 300, 101)])
async def test_when_nobody_works_on_messages_for_long_then_the_queue_stays_short(
    place: ShardedPlace, every_seconds: int, ticks: int, most: int
) -> None:
    """Who comes back would work on each of them before what is new."""
    place.feed.put(*NAMES)

    for _ in range(ticks):
        place.clock.advance(every_seconds - 1.0)
        await place.tick()

    # A message for each of three shards: every time while all may be well, then every hour.
    assert 3 * most >= len(place.queue)
    await place.settle()
    assert place.feed.live() == place.live()


async def test_when_many_ticks_come_in_a_short_time_then_they_are_content(
    place: ShardedPlace,
) -> None:
    """A shard's run may take all of its time, which is 240 s here: three of them must be over."""
    place.feed.put(*NAMES)
    for _ in range(3):
        await place.tick()
    place.clock.advance(717.0)

    ends = [(await place.tick()).status for _ in range(2)]

    assert [SyncStatus.PAUSED, SyncStatus.FAILED] == ends


async def test_when_the_app_was_stopped_for_days_then_its_first_tick_is_content(
    place: ShardedPlace,
) -> None:
    """Nobody could have worked on what the last ticks before that had sent."""
    place.feed.put(*NAMES)
    await place.tick()
    await place.tick()
    place.clock.advance(200_000.0)

    assert SyncStatus.PAUSED == (await place.tick()).status


async def test_when_shards_are_worked_on_for_long_then_the_ticks_are_content(
    place: ShardedPlace,
) -> None:
    """Any shard's run that has ended shows that somebody reads the queue."""
    place.feed.put(*NAMES)
    await place.settle()

    for _ in range(6):
        place.clock.advance(300.0)
        place.feed.put(*NAMES)
        assert SyncStatus.PAUSED == (await place.tick()).status
        await place.deliver(place.queue.pop(0))


async def test_when_a_person_has_begun_a_generation_then_the_plan_goes_on_with_it(
    place: ShardedPlace,
) -> None:
    """Who begins one need not know the feed."""
    place.feed.put(*NAMES)
    await place.settle()
    plan = await place.plan()
    begun = Checkpoint("", "", plan.generation + 1, is_rereading=True)
    await place.store.for_row(PLAN_ROW).save(begun, replacing=plan)

    await place.settle()

    assert {1} == {generation for generation, _, _ in place.records().values()}
    assert ("feed-1", 1, False) == (
        (await place.plan()).cursor,
        (await place.plan()).generation,
        (await place.plan()).is_rereading,
    )


async def test_when_a_tick_has_planned_then_its_report_says_for_how_many_shards(
    place: ShardedPlace,
) -> None:
    """Health then knows which of those that failed are gone; a shard's own run does not say it."""
    place.feed.put(*NAMES)
    await place.tick()
    await place.deliver(place.queue[0])

    assert [None, 3] == [report.shards for report in await place.store.load_reports()]
