"""What `RecordSink` and `CheckpointStore` promise to the sync job: one suite that each store runs.

A test module makes it its own by a subclass, and gives it the fixture `place`. A store that takes
in page and checkpoint at once runs `OneTransactionPromises` besides.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from copy import replace
from dataclasses import asdict
from itertools import count
from typing import Any, NamedTuple, Protocol, cast

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    CheckpointConflict,
    CheckpointUnreadable,
    ContentRefused,
    StoreTimedOut,
)
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    PLAN_ROW,
    SHARD_RUNS_KEPT,
    WHOLE_FEED_ROW,
    Checkpoint,
    SyncReport,
    SyncStatus,
    shard_row,
)
from azure_function_app.sync.deletions import accept_deletions
from azure_function_app.sync.poison_replay import (
    ReplayOutcome,
    all_poison,
    drop_all_poison,
    replay_poison,
)
from azure_function_app.sync.poison_store import PoisonEntry, PoisonOrigin
from azure_function_app.sync.record_sink import (
    MAX_DATA_BYTES,
    Batch,
    reason_unfit,
)
from azure_function_app.sync.records import ChangePage, PoisonRecord, Record, encode_data
from azure_function_app.sync.runs.page_loop import ChangeSource
from azure_function_app.sync.sweep import DeletionLimit, Stretch, Sweep
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.sync_store import Step, SyncStore
from azure_function_app.sync.unfit_records import write_fit
from shared.clock import Clock, SystemClock
from tests.support.fake_clock import FakeClock
from tests.support.fake_feed import FakeFeed, record
from tests.support.record_view_promises import RecordViewPromises, ViewedStore


class Store(ViewedStore, Protocol):
    """All in one, as every store is."""


class Stored(NamedTuple):
    """A record as someone else finds it in the store."""

    version: int
    updated_at: str
    deleted: bool
    data: str


class SetAside(NamedTuple):
    """An item that was set aside, as someone else finds it in the store."""

    id: str
    reason: str
    raw: bytes
    run_id: str


class StorePlace(Protocol):
    """Where stores of one kind keep their things, empty at first."""

    def open(self) -> Store:
        """Another store on the same place; it is closed with the place."""

    def as_sync_store(self, store: Store) -> SyncStore:
        """The store as the sync job gets it."""

    def tables(self) -> AbstractSet[str]:
        """The names of the tables that are there, read past the store."""

    def records(self) -> dict[str, Stored]:
        """The records by ID, read past the store."""

    def set_aside(self) -> list[SetAside]:
        """What was set aside, read past the store."""

    def refuse_long_times(self) -> None:
        """Make the place refuse a record whose time has 40,000 characters, if it takes it."""

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint past the store, as a person would who wants all read again."""

    def put_checkpoint(self, text: str) -> None:
        """Put that text in the place of the checkpoint's, past the store."""


def report(
    run_id: str, status: SyncStatus, error_code: str | None, finished_at: str = "b"
) -> SyncReport:
    """A run's report."""
    return SyncReport(run_id, status, 1, 2, 3, 4, "a", finished_at, error_code)


def at_ease() -> Deadline:
    """A deadline that no test comes near."""
    return Deadline.after(60.0, SystemClock())


def sync_job(
    feed: ChangeSource, store: SyncStore, clock: Clock | None = None, share: float = 0.2
) -> SyncJob:
    """A job that reads ten records at a time for 60 seconds."""
    numbers = count(1)
    return SyncJob(
        source=feed,
        store=store,
        clock=clock or SystemClock(),
        new_run_id=lambda: f"run-{next(numbers)}",
        page_size=10,
        run_seconds=60.0,
        page_seconds=5.0,
        deletion_limit=DeletionLimit(share),
    )


async def sweep_to_end(take: Callable[..., Awaitable[Stretch]], generation: int) -> list[Stretch]:
    """What a walk over all stretches finds."""
    stretches = [await take("", generation=generation)]
    while (position := stretches[-1].position) is not None:
        stretches.append(await take(position, generation=generation))
    return stretches


class FrozenFeed:
    """A feed whose reader is frozen with the page in its hands, until it is woken."""

    def __init__(self, feed: FakeFeed, *, after_pages: int = 0) -> None:
        """Freeze whoever reads a page more than so many."""
        self._feed = feed
        self._pages_left = after_pages
        self.is_frozen, self.wakes = asyncio.Event(), asyncio.Event()

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """The page, sooner or later."""
        page = await self._feed.changes(cursor, limit=limit, deadline=deadline)
        self._pages_left -= 1
        if self._pages_left < 0:
            self.is_frozen.set()
            await self.wakes.wait()
        return page


def origin(run_id: str = "run", *, generation: int = 0) -> PoisonOrigin:
    """Where an item was found."""
    return PoisonOrigin(run_id, "2026-11-21T06:00:00.000Z", generation, "cursor", 500)


def valid(record_id: str, version: int, *, deleted: bool = False) -> PoisonRecord:
    """An item that was set aside by a rule of yesterday, and is a valid record today."""
    item = asdict(record(record_id, version, deleted=deleted))
    return PoisonRecord(record_id, "yesterday's rule", json.dumps(item).encode())


class SyncStorePromises(RecordViewPromises):
    """The promises, those to a person who looks included."""

    @pytest.fixture
    def store(self, place: StorePlace) -> Store:
        """A store there."""
        return place.open()

    @pytest.fixture
    def sync_store(self, place: StorePlace, store: Store) -> SyncStore:
        """The same, as the job gets it."""
        return place.as_sync_store(store)

    # --- records ----------------------------------------------------------------------------------

    async def test_when_records_are_written_then_they_are_there(
        self, store: Store, place: StorePlace
    ) -> None:
        """Every field of a record is kept."""
        changed = await store.write([record("a", 3, city="Zürich"), record("b", 2, deleted=True)])

        assert 2 == changed
        assert {
            "a": Stored(
                3, "2026-11-21T05:47:00.000Z", deleted=False, data='{"city":"Zürich","name":"a v3"}'
            ),
            "b": Stored(2, "2026-11-21T05:47:00.000Z", deleted=True, data="{}"),
        } == place.records()

    async def test_when_a_batch_is_written_twice_then_the_second_time_changes_nothing(
        self, store: Store, place: StorePlace
    ) -> None:
        """Writing is idempotent, first versions, later ones and tombstones alike."""
        batch = [record("a"), record("b"), record("c", 7), record("d", 2, deleted=True)]

        assert 4 == await store.write(batch)
        before = place.records()
        assert 0 == await store.write(batch)
        assert before == place.records()

    @pytest.mark.parametrize(("version", "changed"), [(4, 0), (5, 0), (6, 1)])
    async def test_when_a_record_is_there_then_only_a_newer_version_replaces_it(
        self, store: Store, place: StorePlace, version: int, changed: int
    ) -> None:
        """Older and same versions change nothing, and are not counted."""
        await store.write([record("a", 5)])

        assert changed == await store.write([record("a", version)])
        assert max(5, version) == place.records()["a"].version

    async def test_when_a_first_version_comes_late_then_it_does_not_replace_a_later_one(
        self, store: Store, place: StorePlace
    ) -> None:
        """A batch that mixes what is new with what is old counts only what is new."""
        await store.write([record("a", 2)])

        assert 1 == await store.write([record("a", 1), record("new", 1)])
        assert 2 == place.records()["a"].version

    async def test_when_a_record_was_deleted_then_only_a_newer_version_brings_it_back(
        self, store: Store, place: StorePlace
    ) -> None:
        """A tombstone has a version like any other, so nothing from before it comes back."""
        await store.write([record("a", 1, city="Bern")])
        await store.write([record("a", 3, deleted=True)])

        assert 0 == await store.write([record("a", 2)])
        assert (3, True, "{}") == (
            place.records()["a"].version,
            place.records()["a"].deleted,
            place.records()["a"].data,
        )
        assert 1 == await store.write([record("a", 4)])
        assert not place.records()["a"].deleted

    async def test_when_new_data_is_shorter_then_nothing_of_the_old_is_left(
        self, store: Store, place: StorePlace
    ) -> None:
        """A version replaces the one before it as a whole."""
        await store.write([record("a", 1, text="x" * 50_000)])
        await store.write([record("a", 2)])

        assert '{"name":"a v2"}' == place.records()["a"].data

    async def test_when_a_batch_names_a_record_twice_then_the_newest_counts(
        self, store: Store, place: StorePlace
    ) -> None:
        """The count is of records, not of changes, and their order in the batch plays no part."""
        assert 1 == await store.write([record("a", 2), record("a", 1), record("a", 3)])
        assert 3 == place.records()["a"].version

    async def test_when_ids_are_hostile_then_each_record_is_one_of_its_own(
        self, store: Store, place: StorePlace
    ) -> None:
        """Neither case, nor quotes, nor what a key or a path would give a meaning."""
        names = {"a", "A", "a'--", 'a"', "a/b", "a\\b", "a?b", "a#b", "a%62", "..", " ", "é", "😀"}

        assert len(names) == await store.write([record(name) for name in names])
        assert names == place.records().keys()

    @pytest.mark.parametrize("filler", ["x", "\u00e9", "\u20ac", "😀", '"'])
    async def test_when_data_is_as_large_as_it_may_be_then_it_is_stored_whole(
        self, store: Store, place: StorePlace, filler: str
    ) -> None:
        """The largest data that passes the check fits into the store, whatever it is made of."""
        empty = len(encode_data(Record("a", 1, "", deleted=False, data={"text": ""})).encode())
        escaped = len(encode_data(Record("a", 1, "", deleted=False, data={"t": filler})).encode())
        largest = Record(
            "a",
            1,
            "2026-11-21T05:47:00Z",
            deleted=False,
            data={"text": filler * ((MAX_DATA_BYTES - empty) // (escaped - len('{"t":""}')))},
        )
        assert reason_unfit(largest) is None

        await store.write([largest])

        assert encode_data(largest) == place.records()["a"].data

    async def test_when_two_runs_write_the_same_records_at_once_then_the_newest_versions_win(
        self, place: StorePlace
    ) -> None:
        """In whatever order they take turns."""
        stores = [place.open() for _ in range(4)]
        batches = [[record(f"r{n}", version) for n in range(40)] for version in (1, 2, 3, 4)]

        # At first one by one: several that make the same tables at once are another matter.
        await stores[0].write([record("r0")])
        await asyncio.gather(
            *(store.write(batch) for store, batch in zip(stores, batches, strict=True))
        )

        assert {f"r{n}": 4 for n in range(40)} == {
            name: found.version for name, found in place.records().items()
        }

    async def test_when_several_instances_start_at_once_then_each_finds_its_place(
        self, place: StorePlace
    ) -> None:
        """Making what a store needs is idempotent too."""
        stores = [place.open() for _ in range(4)]

        changed = await asyncio.gather(
            *(store.write([record(f"r{number}")]) for number, store in enumerate(stores))
        )

        assert [1, 1, 1, 1] == changed

    # --- generations ------------------------------------------------------------------------------

    async def test_when_a_later_generation_is_written_then_its_versions_count(
        self, store: Store, place: StorePlace
    ) -> None:
        """Versions are compared within a generation; an earlier generation replaces nothing."""
        await store.write([record("a", 7), record("b", 7)])

        assert 1 == await store.write([record("a", 1)], generation=1)
        with contextlib.suppress(CheckpointConflict):
            assert 0 == await store.write([record("a", 9)], generation=0)
        assert 1 == place.records()["a"].version
        assert 1 == await store.newest_generation()

    async def test_when_records_are_missing_from_a_generation_then_they_are_marked(
        self, store: Store, place: StorePlace
    ) -> None:
        """However many; what is deleted already does not count, and their data stays."""
        names = [f"r{number}" for number in range(2_000)]
        await store.write([record(name, 7) for name in names])
        await store.write([record("gone", 7, deleted=True)])
        await store.write([record(name, 1) for name in names[:500]], generation=1)

        counted = await sweep_to_end(store.count_missing, 1)
        marked = await sweep_to_end(store.mark_missing, 1)
        again = await sweep_to_end(store.mark_missing, 1)

        assert (2_000, 1_500) == (
            sum(stretch.live for stretch in counted),
            sum(stretch.missing for stretch in counted),
        )
        assert (1_500, 0) == (
            sum(stretch.missing for stretch in marked),
            sum(stretch.missing for stretch in again),
        )
        # However many there are, one call takes so many at most, in whatever order.
        assert 500 <= max(stretch.missing for stretch in marked) < 1_500
        kept = place.records()
        assert set(names[:500]) == {name for name, found in kept.items() if not found.deleted}
        assert (0, '{"name":"r1999 v7"}') == (kept["r1999"].version, kept["r1999"].data)
        assert 1 == await store.write([record("r1999", 1)], generation=1)

    async def test_when_a_generation_has_begun_then_none_before_it_writes_or_marks(
        self, store: Store, place: StorePlace
    ) -> None:
        """Not even where the new one has written nothing yet, nor with what was known before."""
        late = place.open()
        await late.write([record(f"r{n}") for n in range(64)])
        await late.begin_generation(1)
        await store.begin_generation(2)
        await store.begin_generation(2)
        before = place.records()

        for n in range(64):
            with pytest.raises(CheckpointConflict):
                await late.write([record(f"ghost{n}"), record(f"r{n}", 5)], generation=1)
        with pytest.raises(CheckpointConflict):
            await late.begin_generation(1)
        with pytest.raises(CheckpointConflict):
            await sweep_to_end(late.mark_missing, 1)

        assert before == place.records()
        assert 2 == await late.newest_generation()

    async def test_when_nothing_was_ever_written_then_the_store_is_at_the_beginning(
        self, store: Store
    ) -> None:
        """Without anything there is no generation, no checkpoint and no report."""
        assert 0 == await store.newest_generation()
        assert BEGINNING == await store.load()
        assert await store.load_report() is None

    # --- a page and its checkpoint ----------------------------------------------------------------

    async def test_when_a_page_is_taken_in_then_all_of_it_is_there(
        self, sync_store: SyncStore, place: StorePlace
    ) -> None:
        """Records, what is set aside, and the checkpoint past them."""
        poison = PoisonRecord("p", "no version", b'{"id":"p"}')

        step = await sync_store.write_page(
            Batch([record("a"), record("b")], [poison], origin("run")),
            Checkpoint("one", ""),
            replacing=BEGINNING,
            deadline=at_ease(),
        )

        assert (2, "one") == (step.changed, step.checkpoint.cursor)
        assert step.checkpoint == await sync_store.load(deadline=at_ease())
        assert {"a", "b"} == place.records().keys()
        assert ["p"] == [item.id for item in place.set_aside()]

    @pytest.mark.parametrize("pages", [0, 1])
    async def test_when_a_run_of_an_old_generation_wakes_late_then_it_changes_nothing(
        self, sync_store: SyncStore, place: StorePlace, pages: int
    ) -> None:
        """An hour later the feed is another one, read to its end: no ghost comes back."""
        olds = [record(f"old{n}") for n in range(10)]
        feed = FakeFeed([*olds, *olds[:pages]])
        await sync_job(feed, sync_store).run()
        begun_at = await sync_store.load(deadline=at_ease())
        feed.changes_so_far += [
            *(record(f"ghost{n}") for n in range(4)),
            record("old1", 9),
            PoisonRecord("poison", "bad", b"{}"),
            *(record(f"ghost{n}") for n in range(4, 20)),
        ]
        frozen = FrozenFeed(FakeFeed(feed.changes_so_far), after_pages=pages)
        late = asyncio.create_task(sync_job(frozen, place.as_sync_store(place.open())).run())
        await frozen.is_frozen.wait()
        # It reads one page ahead, so the one before may still be on its way into the store.
        while pages and begun_at == await sync_store.load(deadline=at_ease()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        feed.start_anew([record(f"old{n}", 1, now="new") for n in range(9)])
        await sync_job(feed, sync_store).run()
        before = place.records(), place.set_aside(), await sync_store.load(deadline=at_ease())

        frozen.wakes.set()
        report = await late

        assert SyncStatus.SUPERSEDED is report.status
        assert before == (
            place.records(),
            place.set_aside(),
            await sync_store.load(deadline=at_ease()),
        )

    async def test_when_a_late_page_is_only_poison_then_it_changes_nothing_either(
        self, sync_store: SyncStore, place: StorePlace
    ) -> None:
        """What is set aside belongs to no generation, but its page to a checkpoint."""
        await sync_store.save(Checkpoint("one", ""), replacing=BEGINNING, deadline=at_ease())

        with pytest.raises(CheckpointConflict):
            await sync_store.write_page(
                Batch([], [PoisonRecord("p", "bad", b"{}")], origin("late")),
                Checkpoint("stale", ""),
                replacing=BEGINNING,
                deadline=at_ease(),
            )

        assert [] == place.set_aside()

    # --- sweeps -----------------------------------------------------------------------------------

    async def test_when_a_new_feed_is_empty_then_nothing_is_deleted_until_somebody_agrees(
        self, sync_store: SyncStore, store: Store, place: StorePlace
    ) -> None:
        """The run is held and says so, however often; with the word given, all is marked."""
        feed = FakeFeed([record(f"r{n}") for n in range(30)])
        job = sync_job(feed, sync_store)
        await job.run()
        feed.start_anew([])

        held = [await job.run() for _ in range(2)]
        kept = {name for name, found in place.records().items() if not found.deleted}
        accepted = await accept_deletions(store)
        done = await job.run()

        assert [(SyncStatus.HELD, "deletions_held", 30, 0)] * 2 == [
            (report.status, report.error_code, report.records_missing, report.records_changed)
            for report in held
        ]
        assert 30 == len(kept)
        assert (30, SyncStatus.COMPLETE, 30) == (accepted, done.status, done.records_changed)
        assert all(found.deleted for found in place.records().values())

    async def test_when_a_new_feed_is_half_filled_then_the_sweep_waits_for_the_rest(
        self, sync_store: SyncStore, store: Store, place: StorePlace
    ) -> None:
        """What comes back in time was never deleted, and nobody has to agree to the rest."""
        names = [f"r{n}" for n in range(100)]
        feed = FakeFeed([record(name, 7) for name in names])
        job = sync_job(feed, sync_store)
        await job.run()
        feed.start_anew([record(name) for name in names[:50]])

        first = await job.run()
        gone = [name for name, found in place.records().items() if found.deleted]
        feed.changes_so_far += [record(name) for name in names[50:85]]
        second = await job.run()

        assert (SyncStatus.HELD, 50) == (first.status, first.records_missing)
        assert [] == gone
        assert (SyncStatus.COMPLETE, 35 + 15) == (second.status, second.records_changed)
        assert set(names[85:]) == {name for name, found in place.records().items() if found.deleted}
        assert await accept_deletions(store) is None

    async def test_when_its_time_is_up_then_a_sweep_goes_on_where_it_stood(
        self, sync_store: SyncStore, place: StorePlace
    ) -> None:
        """Counting and marking take as many runs as they need, and each brings them further."""
        clock = FakeClock()

        class Slow:
            """One call takes a whole run's time."""

            def __getattr__(self, name: str) -> Any:
                return getattr(sync_store, name)

            async def sweep_page(self, checkpoint: Checkpoint, *, deadline: Deadline) -> Step:
                step = await sync_store.sweep_page(checkpoint, deadline=deadline)
                clock.advance(60.0)
                return step

        feed = FakeFeed([record(f"r{n}", 7) for n in range(2_500)])
        job = replace(sync_job(feed, sync_store, clock, share=1.0), page_size=1_000)
        await job.run()
        feed.start_anew([record("r0")])
        slow = replace(job, store=cast("SyncStore", Slow()))

        reports = [await slow.run()]
        while reports[-1].status is SyncStatus.PAUSED:
            reports.append(await slow.run())

        assert SyncStatus.COMPLETE is reports[-1].status
        assert len(reports) >= 3
        assert 1 + 2_499 == sum(report.records_changed for report in reports)
        assert {"r0"} == {name for name, found in place.records().items() if not found.deleted}

    async def test_when_nothing_is_held_then_there_is_nothing_to_accept(
        self, sync_store: SyncStore, store: Store
    ) -> None:
        """A word given too early or too late counts for nothing."""
        assert await accept_deletions(store) is None
        await sync_job(FakeFeed([record("a")]), sync_store).run()
        before = await store.load()

        assert await accept_deletions(store) is None
        assert before == await store.load()

    async def test_when_another_feed_comes_then_what_was_accepted_before_does_not_count(
        self, sync_store: SyncStore, store: Store, place: StorePlace
    ) -> None:
        """The word is for one generation."""
        feed = FakeFeed([record(f"r{n}") for n in range(30)])
        job = sync_job(feed, sync_store)
        await job.run()
        feed.start_anew([record("other")])
        await job.run()
        await accept_deletions(store)
        feed.start_anew([record("other")])

        again = await job.run()

        assert SyncStatus.HELD is again.status
        assert not any(found.deleted for found in place.records().values())

    # --- what is set aside ------------------------------------------------------------------------

    async def test_when_poison_is_set_aside_twice_then_it_is_kept_once_with_its_first_run(
        self, store: Store
    ) -> None:
        """What is set aside is found again by what it is, with where it came from."""
        poison = PoisonRecord("p", "no version", b'{"id":"p"}', is_tombstone=True)

        await store.set_aside([poison], origin=origin("first"))
        await store.set_aside(
            [poison, PoisonRecord("q", "none", b"\xff\0{}")], origin=origin("2nd")
        )

        p, q = sorted([entry async for entry in all_poison(store)], key=lambda entry: entry.id)
        assert ("p", "no version", True, 10, True, origin("first")) == (
            p.id,
            p.reason,
            p.is_tombstone,
            p.size,
            p.is_whole,
            p.origin,
        )
        assert ("q", "none", False, 4, True, origin("2nd")) == (
            q.id,
            q.reason,
            q.is_tombstone,
            q.size,
            q.is_whole,
            q.origin,
        )

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 16_001, 500_000])
    async def test_when_poison_is_set_aside_then_every_byte_of_it_is_kept(
        self, store: Store, size: int
    ) -> None:
        """Whatever the bytes are, also where one property does not hold them."""
        raw = bytes(range(256)) * (size // 256 + 1)

        await store.set_aside([PoisonRecord("p", "bad", raw[:size])], origin=origin())

        (entry,) = await store.list_poison()
        kept = await store.get_poison(entry.key)
        assert kept is not None
        assert raw[:size] == kept.raw

    async def test_when_poison_is_larger_than_a_store_may_hold_then_it_can_be_fetched_again(
        self, store: Store
    ) -> None:
        """It is kept whole, or with what to fetch it by, and its own size."""
        raw = b"x" * 5_000_000

        await store.set_aside([PoisonRecord("p" * 9_999, "bad", raw)], origin=origin())

        (entry,) = await store.list_poison()
        kept = await store.get_poison(entry.key)
        assert kept is not None
        assert ("p" * 512, len(raw), "cursor") == (entry.id, entry.size, entry.origin.cursor)
        assert entry.is_whole is (raw == kept.raw)
        assert raw.startswith(kept.raw)
        assert len(kept.raw) >= 900_000

    async def test_when_an_id_is_as_bad_as_can_be_then_its_poison_is_still_kept(
        self, store: Store
    ) -> None:
        """Nothing that is set aside can block a run."""
        poison = PoisonRecord("\ud800\0" * 1_000, "bad \udfff\0", b"{}")

        await store.set_aside([poison], origin=origin())

        (entry,) = await store.list_poison()
        assert entry.id.startswith("\\ud800\\x00")

    async def test_when_much_is_set_aside_then_it_is_listed_page_by_page(
        self, store: Store
    ) -> None:
        """Each item once, whatever the limit."""
        poison = [PoisonRecord(f"p{number}", "bad", b"{}") for number in range(25)]
        await store.set_aside(poison, origin=origin())

        listed: list[PoisonEntry] = []
        while page := await store.list_poison(after=listed[-1].key if listed else "", limit=10):
            assert len(page) <= 10
            listed += page

        assert {item.id for item in poison} == {entry.id for entry in listed}
        assert 25 == len(listed)

    async def test_when_poison_is_dropped_then_it_is_gone(self, store: Store) -> None:
        """One by its key, some by their reason, or all; what is gone cannot be dropped again."""
        poison = [PoisonRecord(f"p{number}", f"why {number % 2}", b"{}") for number in range(6)]
        await store.set_aside(poison, origin=origin())
        first, *_ = await store.list_poison()

        assert await store.drop_poison(first.key)
        assert not await store.drop_poison(first.key)
        assert await store.get_poison(first.key) is None
        other = "why 1" if first.reason == "why 0" else "why 0"
        assert 3 == await drop_all_poison(store, reason=other)
        assert 2 == await drop_all_poison(store)
        assert 0 == await drop_all_poison(store)

    # --- what the store refuses -------------------------------------------------------------------

    async def test_when_the_store_refuses_one_record_then_all_others_are_written(
        self, store: Store, place: StorePlace
    ) -> None:
        """The one is found, with the store's reason; and the count is of what changed."""
        await store.write([record("old")])
        place.refuse_long_times()
        bad = replace(record("bad"), updated_at="x" * 40_000)
        batch = [record(f"r{number}") for number in range(60)]
        batch.insert(17, bad)
        refused: list[tuple[str, str]] = []

        with pytest.raises(ContentRefused):
            await store.write([bad])
        changed = await write_fit(
            store.write, batch, on_refused=lambda item, reason: refused.append((item.id, reason))
        )

        assert {f"r{number}" for number in range(60)} | {"old"} == place.records().keys()
        assert 60 == changed
        assert ["bad"] == [name for name, _ in refused]

    # --- what is tried again ----------------------------------------------------------------------

    async def test_when_poison_is_valid_by_now_then_it_is_stored_and_no_longer_kept(
        self, store: Store, place: StorePlace
    ) -> None:
        """Replaying after a mend empties what was set aside; a tombstone takes effect."""
        await store.write([record("gone", 1)])
        await store.set_aside([valid("new", 3), valid("gone", 2, deleted=True)], origin=origin())

        report = await replay_poison(store, store)

        assert {ReplayOutcome.STORED: 2} == report.outcomes
        assert [] == await store.list_poison()
        assert {"new": (3, False), "gone": (2, True)} == {
            name: (found.version, found.deleted) for name, found in place.records().items()
        }
        assert {} == (await replay_poison(store, store)).outcomes

    async def test_when_poison_is_still_unfit_then_it_stays(self, store: Store) -> None:
        """Tried any number of times, with today's reason."""
        await store.set_aside([PoisonRecord("a", "old rule", b'{"id":"a"}')], origin=origin())

        for _ in range(2):
            report = await replay_poison(store, store)

            assert {ReplayOutcome.UNFIT: 1} == report.outcomes
            assert {"version is not a whole number from 1": 1} == report.reasons
        assert 1 == len(await store.list_poison())

    @pytest.mark.parametrize(
        "poison",
        [
            PoisonRecord("a", "bad", b'{"id":"a","version":4}'),
            PoisonRecord("a", "bad", b'{"id":"a","version":4,"data":NaN}'),
        ],
    )
    async def test_when_poison_was_overtaken_then_it_is_no_longer_kept(
        self, store: Store, place: StorePlace, poison: PoisonRecord
    ) -> None:
        """An older version changes nothing, whether it can be read by now or not."""
        await store.write([record("a", 5)])
        await store.set_aside([poison, valid("a", 3)], origin=origin())

        report = await replay_poison(store, store)

        assert {ReplayOutcome.OVERTAKEN: 2} == report.outcomes
        assert [] == await store.list_poison()
        assert 5 == place.records()["a"].version

    async def test_when_poison_is_newer_than_the_record_then_it_is_not_dropped_unread(
        self, store: Store
    ) -> None:
        """Only a later version makes an unreadable one needless."""
        await store.write([record("a", 4)])
        bad = [
            PoisonRecord("a", "bad", b'{"id":"a","version":5}'),
            PoisonRecord("a", "bad", b'{"id":"a","version":"x"}'),
            PoisonRecord("a", "bad", b'{"id":"a","version":4}'),
        ]
        await store.set_aside(bad, origin=origin())

        report = await replay_poison(store, store)

        assert {ReplayOutcome.UNFIT: 3} == report.outcomes

    async def test_when_the_feed_is_another_one_by_now_then_poison_of_the_old_one_is_dropped(
        self, store: Store, place: StorePlace
    ) -> None:
        """It must not come back as a ghost that the new feed knows nothing of."""
        await store.set_aside([valid("ghost", 9)], origin=origin(generation=0))
        await store.set_aside([valid("early", 9)], origin=origin(generation=2))
        await store.save(Checkpoint("c", "", generation=1), replacing=BEGINNING)

        report = await replay_poison(store, store)

        assert {ReplayOutcome.OVERTAKEN: 1, ReplayOutcome.UNFIT: 1} == report.outcomes
        assert {} == place.records()

    async def test_when_the_checkpoint_is_gone_then_the_records_tell_the_generation(
        self, store: Store, place: StorePlace
    ) -> None:
        """What is replayed is of the feed that the records are of."""
        await store.write([record("a", 1)], generation=1)
        await store.set_aside([valid("old", 9)], origin=origin(generation=0))
        await store.set_aside([valid("new", 1)], origin=origin(generation=1))

        report = await replay_poison(store, store)

        assert {ReplayOutcome.OVERTAKEN: 1, ReplayOutcome.STORED: 1} == report.outcomes
        assert {"a", "new"} == place.records().keys()

    async def test_when_records_are_retained_then_a_sweep_leaves_them_and_a_version_replaces_them(
        self, store: Store, place: StorePlace
    ) -> None:
        """Their data stays; what is of the generation already, or not there, plays no part."""
        names = [f"r{number}" for number in range(120)]
        await store.write([record(name, 7) for name in [*names, "other"]])
        await store.write([record("new", 3)], generation=1)

        for _ in range(2):
            await store.retain([*names, "new", "nowhere"], generation=1)

        stretch = await store.mark_missing("", generation=1)
        assert 1 == stretch.missing
        kept = place.records()
        assert {"other"} == {name for name, found in kept.items() if found.deleted}
        assert (0, '{"name":"r1 v7"}') == (kept["r1"].version, kept["r1"].data)
        assert (3, 122) == (kept["new"].version, len(kept))
        assert 1 == await store.write([record("r1", 1)], generation=1)
        before = place.records()
        with contextlib.suppress(CheckpointConflict):
            await store.retain(["r2", "other"], generation=0)
        assert before == place.records()

    async def test_when_orders_are_asked_for_then_those_that_are_there_are_told(
        self, store: Store
    ) -> None:
        """By ID, whatever it is."""
        names = ["a", "b'/\\#?", 'c"', *(f"r{number}" for number in range(40))]
        await store.write([record(name, 7) for name in names], generation=3)

        orders = await store.stored_orders([*names, "missing"])

        assert dict.fromkeys(names, (3, 7)) == orders

    # --- the checkpoint ---------------------------------------------------------------------------

    async def test_when_a_checkpoint_is_saved_then_every_store_there_loads_it(
        self, store: Store, place: StorePlace
    ) -> None:
        """Each save gets a fence of its own, and all else comes back as it was."""
        first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
        second = await store.save(
            Checkpoint("two", "", generation=3, is_rereading=True), replacing=first
        )

        assert ("two", 3, True) == (second.cursor, second.generation, second.is_rereading)
        assert first.fence != second.fence
        assert second == await place.open().load()

    async def test_when_the_checkpoint_was_moved_since_then_a_save_is_refused(
        self, store: Store
    ) -> None:
        """A run with an old fence, or none, cannot move the checkpoint back."""
        first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
        second = await store.save(Checkpoint("two", ""), replacing=first)

        with pytest.raises(CheckpointConflict):
            await store.save(Checkpoint("stale", ""), replacing=first)
        with pytest.raises(CheckpointConflict):
            await store.save(Checkpoint("stale", ""), replacing=BEGINNING)
        assert second == await store.load()

    async def test_when_the_checkpoint_was_deleted_then_a_run_from_before_cannot_save(
        self, store: Store, place: StorePlace
    ) -> None:
        """It stays deleted until a run that began after it, and also once that has saved."""
        first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
        place.delete_checkpoint()

        with pytest.raises(CheckpointConflict):
            await store.save(Checkpoint("two", ""), replacing=first)
        assert BEGINNING == await store.load()
        await store.save(Checkpoint("new", ""), replacing=BEGINNING)
        with pytest.raises(CheckpointConflict):
            await store.save(Checkpoint("two", ""), replacing=first)

    async def test_when_many_save_at_once_then_exactly_one_succeeds(
        self, place: StorePlace
    ) -> None:
        """Compare-and-swap: of several that know the same fence one moves the checkpoint."""
        stores = [place.open() for _ in range(8)]
        start = await stores[0].save(Checkpoint("start", ""), replacing=BEGINNING)

        outcomes = await asyncio.gather(
            *(
                store.save(Checkpoint(f"c{n}", ""), replacing=start)
                for n, store in enumerate(stores)
            ),
            return_exceptions=True,
        )

        assert [await stores[0].load()] == [
            outcome for outcome in outcomes if isinstance(outcome, Checkpoint)
        ]
        assert 7 == sum(isinstance(outcome, CheckpointConflict) for outcome in outcomes)

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("not json", "checkpoint_damaged"),
            ('{"bookmark": 1}', "checkpoint_foreign"),
            ('{"cursor": "c", "format": 2}', "checkpoint_newer"),
        ],
    )
    async def test_when_the_checkpoint_cannot_be_read_then_a_reset_heals_it(
        self, store: Store, place: StorePlace, text: str, code: str
    ) -> None:
        """The error is told apart, and a run from before the reset can save no more."""
        saved = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
        place.put_checkpoint(text)

        with pytest.raises(CheckpointUnreadable) as raised:
            await store.load()
        await store.reset()
        await store.reset()

        assert code == raised.value.code
        assert BEGINNING == await store.load()
        with pytest.raises(CheckpointConflict):
            await store.save(Checkpoint("two", ""), replacing=saved)

    # --- rows -------------------------------------------------------------------------------------

    async def test_when_checkpoints_are_saved_in_rows_then_each_is_independent(
        self, store: Store, place: StorePlace
    ) -> None:
        """Those of the shards, that of the plan, and that of the whole feed."""
        rows = [WHOLE_FEED_ROW, PLAN_ROW, *(shard_row(shard) for shard in (0, 1, 10))]
        saved = {
            row: await store.for_row(row).save(Checkpoint(row, "", number), replacing=BEGINNING)
            for number, row in enumerate(rows)
        }

        other = place.open()

        assert saved == {row: await other.for_row(row).load() for row in rows}
        assert saved[WHOLE_FEED_ROW] == await other.load()
        assert saved[PLAN_ROW] == await other.for_row(shard_row(1)).for_row(PLAN_ROW).load()
        assert BEGINNING == await other.for_row(shard_row(2)).load()

    async def test_when_a_row_was_moved_since_then_only_saves_of_that_row_are_refused(
        self, store: Store
    ) -> None:
        """Compare-and-swap, each by itself: a fence of one row is worth nothing in another."""
        one, other = store.for_row(shard_row(1)), store.for_row(shard_row(2))
        first = await one.save(Checkpoint("one", ""), replacing=BEGINNING)
        second = await other.save(Checkpoint("other", ""), replacing=BEGINNING)
        moved = await one.save(Checkpoint("two", ""), replacing=first)

        for row, replacing in ((one, first), (one, second), (other, moved), (other, BEGINNING)):
            with pytest.raises(CheckpointConflict):
                await row.save(Checkpoint("stale", ""), replacing=replacing)
        await other.save(Checkpoint("on", ""), replacing=second)

        assert moved == await one.load()

    async def test_when_a_row_is_reset_then_the_others_stay(self, store: Store) -> None:
        """Also that of the whole feed, and the records."""
        rows = [WHOLE_FEED_ROW, PLAN_ROW, shard_row(0), shard_row(1)]
        for row in rows:
            await store.for_row(row).save(Checkpoint(row, ""), replacing=BEGINNING)

        await store.for_row(shard_row(0)).reset()

        left = [(await store.for_row(row).load()).cursor for row in rows]
        assert [WHOLE_FEED_ROW, PLAN_ROW, "", shard_row(1)] == left

    async def test_when_a_page_is_written_for_a_row_then_its_checkpoint_guards_it(
        self, sync_store: SyncStore, place: StorePlace
    ) -> None:
        """What comes too late for its row is refused, whatever the other rows say."""
        one, other = sync_store.for_row(shard_row(1)), sync_store.for_row(shard_row(2))
        poison = [PoisonRecord("late", "bad", b"{}")]
        seen = BEGINNING
        step = await one.write_page(
            Batch([record("a")], (), origin()),
            Checkpoint("1", ""),
            replacing=seen,
            deadline=at_ease(),
        )

        with pytest.raises(CheckpointConflict):
            await one.write_page(
                Batch([], poison, origin()),
                Checkpoint("stale", ""),
                replacing=seen,
                deadline=at_ease(),
            )
        await other.write_page(
            Batch([record("b")], (), origin()),
            Checkpoint("1", ""),
            replacing=BEGINNING,
            deadline=at_ease(),
        )

        assert step.checkpoint == await one.load(deadline=at_ease())
        assert {"a", "b"} == place.records().keys()
        assert [] == place.set_aside()

    async def test_when_a_sweep_stands_in_a_row_then_it_goes_on_there(
        self, sync_store: SyncStore, store: Store
    ) -> None:
        """The plan has the sweep of a feed that is read in shards."""
        await store.write([record("a")])
        plan = sync_store.for_row(PLAN_ROW)
        begun = await plan.save(
            Checkpoint("feed", "", 1, is_rereading=True, sweep=Sweep()),
            replacing=BEGINNING,
            deadline=at_ease(),
        )

        step = await plan.sweep_page(begun, deadline=at_ease())

        assert step.checkpoint.sweep is not None
        assert (1, 1) == (step.checkpoint.sweep.live, step.checkpoint.sweep.missing)
        assert step.checkpoint == await store.for_row(PLAN_ROW).load()
        assert BEGINNING == await store.load()

    # --- reports ----------------------------------------------------------------------------------

    async def test_when_runs_have_ended_then_their_reports_are_kept_newest_first(
        self, store: Store
    ) -> None:
        """By when they ended, whatever the order in which they were saved."""
        ended = [
            report(f"run-{n}", SyncStatus.COMPLETE, None, f"2026-11-21T05:4{n}:00.000Z")
            for n in range(4)
        ]
        for n in (2, 0, 3, 1):
            await store.save_report(ended[n])

        assert ended[::-1] == list(await store.load_reports())
        assert ended[3] == await store.load_report()
        assert BEGINNING == await store.load()

    async def test_when_a_report_is_saved_again_then_the_first_one_stays(
        self, store: Store
    ) -> None:
        """No run writes over what was kept, its own report included."""
        await store.save_report(report("run", SyncStatus.FAILED, "code"))
        await store.save_report(report("other", SyncStatus.COMPLETE, None))
        await store.save_report(report("run", SyncStatus.COMPLETE, None))

        assert {("run", SyncStatus.FAILED), ("other", SyncStatus.COMPLETE)} == {
            (kept.run_id, kept.status) for kept in await store.load_reports()
        }

    async def test_when_there_are_many_runs_then_the_newest_hundred_are_kept(
        self, store: Store
    ) -> None:
        """The history does not grow for ever."""
        names = [f"run-{n:03}" for n in range(103)]
        for n, name in enumerate(names):
            await store.save_report(report(name, SyncStatus.COMPLETE, None, f"2026-{n:03}"))

        assert names[:2:-1] == [kept.run_id for kept in await store.load_reports()]

    async def test_when_shards_have_runs_then_none_pushes_out_those_of_another(
        self, store: Store
    ) -> None:
        """The newest of each are kept, and come in one order; the shard is kept with them."""
        for number in range(SHARD_RUNS_KEPT + 5):
            for shard in (None, 0, 1, 10):
                run = f"{shard}-{number:02}"
                ended = report(run, SyncStatus.COMPLETE, None, f"2026-{number:02}")
                await store.for_row(shard_row(shard or 0)).save_report(
                    replace(ended, shard=shard) if shard != 1 or number < 2 else ended
                )

        kept = await store.load_reports()

        assert sorted((run.finished_at for run in kept), reverse=True) == [
            run.finished_at for run in kept
        ]
        by_shard = Counter(run.shard for run in kept)
        assert Counter(
            {None: 2 * SHARD_RUNS_KEPT + 8, 0: SHARD_RUNS_KEPT, 1: 2, 10: SHARD_RUNS_KEPT}
        ) == (by_shard)

    async def test_when_a_shard_fails_for_long_then_since_when_is_not_forgotten(
        self, store: Store
    ) -> None:
        """Its last success, and the first failure after it, outlive what came between."""
        for number in range(3 * SHARD_RUNS_KEPT):
            status = SyncStatus.COMPLETE if number == 2 else SyncStatus.FAILED
            ended = report(f"run-{number:02}", status, None, f"2026-{number:02}")
            await store.save_report(replace(ended, shard=3))

        names = [run.run_id for run in await store.load_reports()]

        newest = [f"run-{n:02}" for n in range(2 * SHARD_RUNS_KEPT, 3 * SHARD_RUNS_KEPT)]
        assert [*newest[::-1], "run-03", "run-02"] == names

    # --- deadlines --------------------------------------------------------------------------------

    async def test_when_the_deadline_has_passed_then_nothing_is_asked_of_the_store(
        self, store: Store, place: StorePlace
    ) -> None:
        """Every call says at once that there is no time."""
        await store.write([record("a")])
        over = Deadline.after(0.0, SystemClock())

        for call in (
            store.write([record("b")], deadline=over),
            store.begin_generation(1, deadline=over),
            store.count_missing("", generation=1, deadline=over),
            store.mark_missing("", generation=1, deadline=over),
            store.newest_generation(deadline=over),
            store.set_aside([PoisonRecord("p", "bad", b"{}")], origin=origin("r"), deadline=over),
            store.stored_orders(["a"], deadline=over),
            store.retain(["a"], generation=1, deadline=over),
            store.list_poison(deadline=over),
            store.get_poison("key", deadline=over),
            store.drop_poison("key", deadline=over),
            store.load(deadline=over),
            store.save(Checkpoint("c", ""), replacing=BEGINNING, deadline=over),
            store.reset(deadline=over),
            store.save_report(report("r", SyncStatus.COMPLETE, None), deadline=over),
            store.load_reports(deadline=over),
            store.load_report(deadline=over),
        ):
            with pytest.raises(StoreTimedOut):
                await call

        assert {"a"} == place.records().keys()
        assert not place.records()["a"].deleted

    async def test_when_a_job_runs_then_every_call_to_the_store_has_a_deadline(
        self, sync_store: SyncStore, store: Store
    ) -> None:
        """Whatever a run comes to: from the first page through a new generation to the sweep."""
        seen: dict[str, list[float]] = {}

        class Watched:
            """Notes how much time each call was given."""

            def __getattr__(self, name: str) -> Any:
                async def call(*args: Any, deadline: Deadline, **options: Any) -> Any:
                    is_first = name not in seen
                    seen.setdefault(name, []).append(deadline.remaining_seconds())
                    if name == "write_page" and is_first:
                        raise ContentRefused("Not as a whole.")
                    return await getattr(sync_store, name)(*args, deadline=deadline, **options)

                return call

        feed = FakeFeed([record(f"r{n}") for n in range(30)])
        job = sync_job(feed, cast("SyncStore", Watched()))
        await job.run()
        feed.start_anew([PoisonRecord("r0", "bad", b"{}")])
        await job.run()
        await accept_deletions(store)
        await job.run()

        calls = {name for name in vars(SyncStore) if not name.startswith("_")} - {"for_row"}
        assert calls == seen.keys()
        assert max(max(seconds) for seconds in seen.values()) <= 66.0
