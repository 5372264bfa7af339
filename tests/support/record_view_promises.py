"""What `RecordView` promises to a person who looks: a part of the suite that each store runs."""

from collections.abc import Set as AbstractSet
from typing import Protocol

from azure_function_app.sync.checkpoint_store import CheckpointStore
from azure_function_app.sync.record_sink import RecordSink
from azure_function_app.sync.record_view import HeldVersion, RecordView
from tests.support.fake_feed import record


class ViewedStore(RecordSink, CheckpointStore, Protocol):
    """A store that can be looked into."""

    @property
    def view(self) -> RecordView:
        """Looks into it."""


class ViewedPlace(Protocol):
    """Where such a store keeps its things, empty at first."""

    def open(self) -> ViewedStore:
        """Another store on the same place."""

    def tables(self) -> AbstractSet[str]:
        """The names of the tables that are there, read past the store."""


class RecordViewPromises:
    """The promises."""

    async def test_when_records_are_held_then_their_versions_are_told(
        self, place: ViewedPlace
    ) -> None:
        """Of as many as a page has; tombstones too; of those that are not held, nothing."""
        store = place.open()
        await store.write([record(f"r{number}") for number in range(40)])
        await store.write([record("r1", 2), record("r2", 3, deleted=True)])
        await store.write([record("o'neil/%?#", 7)], generation=1)

        held = await store.view.held_versions(
            [*(f"r{number}" for number in range(60)), "o'neil/%?#"]
        )

        assert {
            **{f"r{number}": HeldVersion(0, 1, deleted=False) for number in range(40)},
            "r1": HeldVersion(0, 2, deleted=False),
            "r2": HeldVersion(0, 3, deleted=True),
            "o'neil/%?#": HeldVersion(1, 7, deleted=False),
        } == held
        assert 39 == await store.view.count_live(before=1)
        assert 40 == await store.view.count_live(before=2)
        assert {} == await store.view.held_versions([])

    async def test_when_nothing_has_been_written_yet_then_looking_makes_nothing(
        self, place: ViewedPlace
    ) -> None:
        """An empty store is no error, and who only looks may not be allowed to make any table."""
        store = place.open()

        assert {} == await store.view.held_versions(["a"])
        assert 0 == await store.view.count_live(before=1)
        assert 0 == await store.view.newest_generation()
        assert [] == await store.load_reports()
        assert await store.load_report() is None
        assert set() == place.tables()

    async def test_when_a_generation_has_begun_then_the_view_knows_it_as_the_store_does(
        self, place: ViewedPlace
    ) -> None:
        """Also before any record of it is there, and where there is nothing at all."""
        store = place.open()
        nothing = await store.view.newest_generation()
        await store.write([record("a")], generation=1)
        await store.begin_generation(2)

        assert 0 == nothing
        assert 2 == await store.newest_generation()
        assert 2 == await store.view.newest_generation()
