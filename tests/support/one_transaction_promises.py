"""What a store promises besides that takes in a page and its checkpoint in one transaction."""

from copy import replace

import pytest

from azure_function_app.errors import CheckpointConflict, ContentRefused
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint
from azure_function_app.sync.record_sink import Batch
from azure_function_app.sync.records import PoisonRecord
from azure_function_app.sync.sweep import Sweep, SweepPhase
from azure_function_app.sync.sync_store import SyncStore
from tests.support.fake_feed import record
from tests.support.sync_store_promises import StorePlace, at_ease, origin


class OneTransactionPromises:
    """The promises."""

    @pytest.fixture
    def both(self, place: StorePlace) -> SyncStore:
        """The store, which is its own sync store."""
        store = place.open()
        sync_store = place.as_sync_store(store)
        assert id(store) == id(sync_store)
        return sync_store

    async def test_when_a_page_is_overtaken_in_its_own_generation_then_nothing_of_it_is_written(
        self, both: SyncStore, place: StorePlace
    ) -> None:
        """The checkpoint guards every page, whatever its generation."""
        await both.save(Checkpoint("one", ""), replacing=BEGINNING, deadline=at_ease())

        with pytest.raises(CheckpointConflict):
            await both.write_page(
                Batch([record("a")], [PoisonRecord("p", "bad", b"{}")], origin("late")),
                Checkpoint("stale", ""),
                replacing=BEGINNING,
                deadline=at_ease(),
            )

        assert {} == place.records()
        assert [] == place.set_aside()

    async def test_when_a_record_is_refused_then_neither_page_nor_checkpoint_is_there(
        self, both: SyncStore, place: StorePlace
    ) -> None:
        """Records, what is set aside and the checkpoint stand or fall together."""
        first = await both.save(Checkpoint("one", ""), replacing=BEGINNING, deadline=at_ease())
        place.refuse_long_times()
        bad = replace(record("bad"), updated_at="x" * 40_000)

        with pytest.raises(ContentRefused):
            await both.write_page(
                Batch([record("good"), bad], [PoisonRecord("p", "bad", b"{}")], origin()),
                Checkpoint("two", ""),
                replacing=first,
                deadline=at_ease(),
            )

        assert first == await both.load(deadline=at_ease())
        assert {} == place.records()
        assert [] == place.set_aside()

    async def test_when_a_sweep_is_overtaken_then_its_stretch_marks_nothing(
        self, both: SyncStore, place: StorePlace
    ) -> None:
        """Also within a generation: what the other run counted stays right."""
        await both.write([record("a")], generation=0, deadline=at_ease())
        await both.begin_generation(1, deadline=at_ease())
        marking = Checkpoint(
            "c", "", generation=1, is_rereading=True, sweep=Sweep(SweepPhase.MARKING)
        )
        late = await both.save(marking, replacing=BEGINNING, deadline=at_ease())
        await both.save(marking, replacing=late, deadline=at_ease())

        with pytest.raises(CheckpointConflict):
            await both.sweep_page(late, deadline=at_ease())

        assert not place.records()["a"].deleted
