"""Finding the records that a store refuses."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.errors import ContentRefused, StoreUnavailable
from azure_function_app.sync.records import Record
from azure_function_app.sync.unfit_records import write_fit
from tests.support.fake_feed import record


class PickyStore:
    """Takes a batch as a whole or not at all, and counts."""

    def __init__(self, refused: set[str]) -> None:
        """Refuse these IDs."""
        self.refused = refused
        self.batches: list[list[str]] = []
        self.held: list[str] = []

    async def write(self, records: Sequence[Record]) -> int:
        """Store a batch."""
        names = [item.id for item in records]
        self.batches.append(names)
        if self.refused & set(names):
            raise ContentRefused("no")
        self.held += names
        return len(names)


@given(size=st.integers(0, 300), bad=st.sets(st.integers(0, 299), max_size=5))
async def test_when_some_are_refused_then_they_are_found_in_few_writes(
    size: int, bad: set[int]
) -> None:
    """All others are written once, in their order; a refused one costs 2 log2(n) + 1 writes."""
    store = PickyStore({f"r{number}" for number in bad})
    records = [record(f"r{number}") for number in range(size)]
    refused: list[str] = []

    changed = await write_fit(
        store.write, records, on_refused=lambda item, _reason: refused.append(item.id)
    )

    expected = [item.id for item in records if item.id in store.refused]
    assert expected == refused
    assert [item.id for item in records if item.id not in store.refused] == store.held
    assert len(store.held) == changed
    a_record = 2 * math.ceil(math.log2(max(size, 1))) + 1
    assert len(store.batches) <= max(1, len(expected) * a_record)


async def test_when_the_store_is_not_there_then_nothing_is_halved() -> None:
    """An outage is no record's fault."""
    calls = 0

    async def fail(_records: Sequence[Record]) -> int:
        nonlocal calls
        calls += 1
        raise StoreUnavailable("down")

    with pytest.raises(StoreUnavailable):
        await write_fit(fail, [record("a"), record("b")], on_refused=lambda *_: None)
    assert 1 == calls


async def test_when_part_of_a_refused_batch_was_written_then_it_counts_once() -> None:
    """A store of several transactions says what it changed besides refusing."""
    held: set[str] = set()

    async def write(records: Sequence[Record]) -> int:
        names = {item.id for item in records} - {"bad"}
        changed = len(names - held)
        held.update(names)
        if len(names) < len(records):
            raise ContentRefused("no", changed=changed)
        return changed

    records = [record(name) for name in ("a", "bad", "b", "c")]

    assert 3 == await write_fit(write, records, on_refused=lambda *_: None)
