"""What `RecordSink` and `CheckpointStore` promise to the sync job: one suite that each store runs.

A test module makes it its own by a subclass, and gives it the fixture `place`.
"""

import asyncio
from typing import NamedTuple, Protocol

import pytest

from azure_function_app.errors import CheckpointConflict
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    CheckpointStore,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.record_sink import (
    MAX_DATA_BYTES,
    MAX_RAW_LENGTH,
    RecordSink,
    encode_data,
    reason_unfit,
    storable_poison,
)
from azure_function_app.sync.records import PoisonRecord, Record
from tests.support.fake_feed import record


class SyncStore(RecordSink, CheckpointStore, Protocol):
    """Both in one, as every store is."""


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
    raw: str
    run_id: str


class StorePlace(Protocol):
    """Where stores of one kind keep their things, empty at first."""

    def open(self) -> SyncStore:
        """Another store on the same place; it is closed with the place."""

    def records(self) -> dict[str, Stored]:
        """The records by ID, read past the store."""

    def set_aside(self) -> list[SetAside]:
        """What was set aside, read past the store."""

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint past the store, as a person would who wants all read again."""


def report(run_id: str, status: SyncStatus, error_code: str | None) -> SyncReport:
    """A run's report."""
    return SyncReport(run_id, status, 1, 2, 3, 4, "a", "b", error_code)


class SyncStorePromises:
    """The promises."""

    @pytest.fixture
    def store(self, place: StorePlace) -> SyncStore:
        """A store there."""
        return place.open()

    # --- records ----------------------------------------------------------------------------------

    async def test_when_records_are_written_then_they_are_there(
        self, store: SyncStore, place: StorePlace
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
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """Writing is idempotent, first versions, later ones and tombstones alike."""
        batch = [record("a"), record("b"), record("c", 7), record("d", 2, deleted=True)]

        assert 4 == await store.write(batch)
        before = place.records()
        assert 0 == await store.write(batch)
        assert before == place.records()

    @pytest.mark.parametrize(("version", "changed"), [(4, 0), (5, 0), (6, 1)])
    async def test_when_a_record_is_there_then_only_a_newer_version_replaces_it(
        self, store: SyncStore, place: StorePlace, version: int, changed: int
    ) -> None:
        """Older and same versions change nothing, and are not counted."""
        await store.write([record("a", 5)])

        assert changed == await store.write([record("a", version)])
        assert max(5, version) == place.records()["a"].version

    async def test_when_a_first_version_comes_late_then_it_does_not_replace_a_later_one(
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """A batch that mixes what is new with what is old counts only what is new."""
        await store.write([record("a", 2)])

        assert 1 == await store.write([record("a", 1), record("new", 1)])
        assert 2 == place.records()["a"].version

    async def test_when_a_record_was_deleted_then_only_a_newer_version_brings_it_back(
        self, store: SyncStore, place: StorePlace
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
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """A version replaces the one before it as a whole."""
        await store.write([record("a", 1, text="x" * 50_000)])
        await store.write([record("a", 2)])

        assert '{"name":"a v2"}' == place.records()["a"].data

    async def test_when_a_batch_names_a_record_twice_then_the_newest_counts(
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """The count is of records, not of changes, and their order in the batch plays no part."""
        assert 1 == await store.write([record("a", 2), record("a", 1), record("a", 3)])
        assert 3 == place.records()["a"].version

    async def test_when_ids_are_hostile_then_each_record_is_one_of_its_own(
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """Neither case, nor quotes, nor what a key or a path would give a meaning."""
        names = {"a", "A", "a'--", 'a"', "a/b", "a\\b", "a?b", "a#b", "a%62", "..", " ", "é", "😀"}

        assert len(names) == await store.write([record(name) for name in names])
        assert names == place.records().keys()

    @pytest.mark.parametrize("filler", ["x", "\u00e9", "\u20ac", "😀", '"'])
    async def test_when_data_is_as_large_as_it_may_be_then_it_is_stored_whole(
        self, store: SyncStore, place: StorePlace, filler: str
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
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """Versions are compared within a generation; an earlier generation replaces nothing."""
        await store.write([record("a", 7), record("b", 7)])

        assert 1 == await store.write([record("a", 1)], generation=1)
        assert 0 == await store.write([record("a", 9)], generation=0)
        assert 1 == place.records()["a"].version
        assert 1 == await store.newest_generation()

    async def test_when_records_are_missing_from_a_generation_then_they_are_marked(
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """However many; what is deleted already does not count, and their data stays."""
        names = [f"r{number}" for number in range(2_000)]
        await store.write([record(name, 7) for name in names])
        await store.write([record("gone", 7, deleted=True)])
        await store.write([record(name, 1) for name in names[:500]], generation=1)

        assert 1_500 == await store.mark_missing(generation=1)
        assert 0 == await store.mark_missing(generation=1)

        kept = place.records()
        assert set(names[:500]) == {name for name, found in kept.items() if not found.deleted}
        assert (0, '{"name":"r1999 v7"}') == (kept["r1999"].version, kept["r1999"].data)
        assert 1 == await store.write([record("r1999", 1)], generation=1)

    async def test_when_nothing_was_ever_written_then_the_store_is_at_the_beginning(
        self, store: SyncStore
    ) -> None:
        """Without anything there is no generation, no checkpoint and no report."""
        assert 0 == await store.newest_generation()
        assert BEGINNING == await store.load()
        assert await store.load_report() is None

    # --- what is set aside ------------------------------------------------------------------------

    async def test_when_poison_is_set_aside_twice_then_it_is_kept_once_with_its_first_run(
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """What is set aside is found again by what it is."""
        poison = PoisonRecord("p", "no version", '{"id":"p"}')

        await store.set_aside([poison], run_id="first")
        await store.set_aside([poison, PoisonRecord("q", "no version", "{}")], run_id="second")

        assert [
            SetAside("p", "no version", '{"id":"p"}', "first"),
            SetAside("q", "no version", "{}", "second"),
        ] == sorted(place.set_aside())

    async def test_when_poison_is_as_bad_as_can_be_then_it_is_still_kept(
        self, store: SyncStore, place: StorePlace
    ) -> None:
        """Longest, widest and not encodable: nothing that is set aside can block a run."""
        poison = storable_poison(
            PoisonRecord("\ud800\0" * 1_000, "bad", "😀" * MAX_RAW_LENGTH + "\udfff")
        )

        await store.set_aside([poison], run_id="run")

        (kept,) = place.set_aside()
        assert "😀" * MAX_RAW_LENGTH == kept.raw

    # --- the checkpoint ---------------------------------------------------------------------------

    async def test_when_a_checkpoint_is_saved_then_every_store_there_loads_it(
        self, store: SyncStore, place: StorePlace
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
        self, store: SyncStore
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
        self, store: SyncStore, place: StorePlace
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

    async def test_when_a_report_is_saved_then_it_replaces_the_last_one(
        self, store: SyncStore
    ) -> None:
        """Only the last run's report is kept, apart from the checkpoint."""
        await store.save_report(report("first", SyncStatus.FAILED, "code"))
        await store.save_report(report("second", SyncStatus.COMPLETE, None))

        assert report("second", SyncStatus.COMPLETE, None) == await store.load_report()
        assert BEGINNING == await store.load()
