"""Pages of a whole feed, put together from shards in memory."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_backend.feed.feed_table import ShardReading
from aws_backend.feed.whole_page import PAGE_BYTES, WholePage, read_in_turn
from aws_backend.record import StoredRecord
from aws_backend.table_layout import shard_of


@dataclass
class Shards:
    """A feed in memory: of each shard its counter, and its records by ID."""

    count: int
    ends: list[int] = field(init=False)
    records: list[dict[str, StoredRecord]] = field(init=False)
    asked: list[int] = field(default_factory=list)
    most_at_once: int = 1000

    def __post_init__(self) -> None:
        """Start empty."""
        self.ends = [0] * self.count
        self.records = [{} for _ in range(self.count)]

    def put(self, record_id: str, data: str = "{}", shard: int | None = None) -> StoredRecord:
        """Write the record, with the next sequence of its shard."""
        shard = shard_of(record_id, self.count) if shard is None else shard
        before = self.records[shard].get(record_id)
        self.ends[shard] += 1
        written = StoredRecord(
            id=record_id,
            version=before.version + 1 if before else 1,
            sequence=self.ends[shard],
            updated_at="2026-11-21T05:47:00.000Z",
            deleted=False,
            data=data,
        )
        self.records[shard][record_id] = written
        return written

    def read(self, shard: int, after: int, end: int, limit: int) -> ShardReading:
        """A page of one shard, as DynamoDB gives it."""
        self.asked.append(shard)
        found = sorted(
            (r for r in self.records[shard].values() if after < r.sequence <= end),
            key=lambda r: r.sequence,
        )
        page = tuple(found[: min(limit, self.most_at_once)])
        return ShardReading(page, len(page) < len(found))

    def page(self, before: WholePage | None = None, limit: int = 1000) -> WholePage:
        """The page after another one."""
        places = before.sequences if before else (0,) * self.count
        next_shard = before.next_shard if before else 0
        return read_in_turn(places, next_shard, tuple(self.ends), limit, self.read)


@given(
    seed=st.integers(0, 2**32),
    shards=st.integers(2, 16),
    limit=st.integers(1, 40),
    most_at_once=st.integers(1, 20),
)
def test_when_writers_and_a_reader_take_turns_then_nothing_is_missed_or_out_of_order(
    seed: int, shards: int, limit: int, most_at_once: int
) -> None:
    """A reader at any pace ends with the latest of each record, and saw its versions grow."""
    chosen = random.Random(seed)  # noqa: S311 - a repeatable choice of turns
    feed = Shards(shards, most_at_once=most_at_once)
    seen: dict[str, int] = {}
    page: WholePage | None = None

    def read() -> WholePage:
        after = feed.page(page, limit)
        assert len(after.records) <= limit
        assert after.records or not after.has_more
        for record in after.records:
            assert seen.get(record.id, 0) < record.version
            seen[record.id] = record.version
        return after

    for _ in range(60):
        # A page is bounded by the counters at its start; the writers go on between two pages.
        for _ in range(chosen.randrange(8)):
            feed.put(f"r{chosen.randrange(30)}")
        if chosen.random() < 0.4:
            page = read()
    page = read()
    while page.has_more:
        page = read()

    assert {r.id: r.version for shard in feed.records for r in shard.values()} == seen
    assert tuple(feed.ends) == page.sequences


@pytest.mark.parametrize("busy", [0, 7, 15])
def test_when_one_shard_is_written_to_without_end_then_the_others_are_read_all_the_same(
    busy: int,
) -> None:
    """Each waiting shard comes first within as many pages as there are shards."""
    feed = Shards(16)
    for number in range(2000):
        feed.put(f"busy{number}", shard=busy)
    for shard in range(16):
        feed.put(f"quiet{shard}", shard=shard)
    page: WholePage | None = None
    seen: set[str] = set()
    for _ in range(16):
        page = feed.page(page, limit=5)
        seen |= {record.id for record in page.records}
        for number in range(5):
            feed.put(f"busier{number}", shard=busy)

    assert {f"quiet{shard}" for shard in range(16) if shard != busy} <= seen


def test_when_a_few_records_have_changed_then_one_page_has_them_all() -> None:
    """An increment of ten in sixteen shards is one page, and shards without news are not asked."""
    feed = Shards(16)
    for number in range(500):
        feed.put(f"r{number}")
    page = feed.page()
    feed.asked.clear()
    changed = {feed.put(f"r{number}").id for number in range(10)}

    increment = feed.page(page)

    assert changed == {record.id for record in increment.records}
    assert not increment.has_more
    assert {shard_of(record_id, 16) for record_id in changed} == set(feed.asked)
    assert len(feed.asked) == len(set(feed.asked))


def test_when_nothing_has_changed_then_the_cursor_stays_as_it_is() -> None:
    """A reader at the end has one cursor, not one for each time that it asks."""
    feed = Shards(4)
    feed.put("a")
    page = feed.page()

    assert page._replace(records=()) == feed.page(page)


@pytest.mark.parametrize("letter", ["x", "ü", "✈"])
def test_when_the_records_are_large_then_a_page_holds_no_more_than_one_of_dynamodbs(
    letter: str,
) -> None:
    """Bytes are counted, not characters: Lambda takes an answer of 6 MB."""
    feed = Shards(8, most_at_once=3)
    large = letter * (250_000 // len(letter.encode()))
    for number in range(48):
        feed.put(f"r{number}", large, shard=number % 8)
    pages = [feed.page()]
    while pages[-1].has_more:
        pages.append(feed.page(pages[-1]))

    assert 48 == len({record.id for page in pages for record in page.records})
    assert all(len(page.records) * 250_000 <= PAGE_BYTES for page in pages)
    assert all(page.records for page in pages)


def test_when_one_record_is_larger_than_what_is_left_then_it_begins_the_next_page() -> None:
    """What does not fit waits, and the shard that it is in comes first."""
    feed = Shards(3)
    feed.put("small", "{}", shard=0)
    feed.put("large", "x" * PAGE_BYTES, shard=1)

    first = feed.page()
    second = feed.page(first)

    assert (["small"], True) == ([r.id for r in first.records], first.has_more)
    assert (["large"], False) == ([r.id for r in second.records], second.has_more)


def test_when_a_record_does_not_fit_then_its_shard_is_the_next_one_and_none_gets_ahead_of_it() -> (
    None
):
    """However small what the others have is."""
    feed = Shards(3)
    for shard, size in enumerate([PAGE_BYTES * 6 // 10, PAGE_BYTES // 2, 2]):
        feed.put(f"r{shard}", "x" * size, shard)

    page = feed.page()

    assert (["r0"], 1, True) == ([r.id for r in page.records], page.next_shard, page.has_more)


def test_when_a_record_takes_just_what_is_left_then_it_is_on_the_page() -> None:
    """With what is around its data counted."""
    feed = Shards(2)
    for shard in range(2):
        feed.put(f"r{shard}", "x" * (PAGE_BYTES // 2 - 200), shard)

    assert ["r0", "r1"] == [record.id for record in feed.page().records]


def test_when_a_page_is_more_than_full_then_no_other_shard_is_asked() -> None:
    """What comes of that would have no place."""
    feed = Shards(2)
    feed.put("r0", "x" * (PAGE_BYTES + 1), 0)
    feed.put("r1", "{}", 1)

    page = feed.page()

    assert ([0], True) == (feed.asked, page.has_more)


def test_when_a_shards_last_change_does_not_show_yet_then_the_page_ends_all_the_same() -> None:
    """Its place stays before the change, and nobody is told to ask again at once."""
    feed = Shards(2)
    feed.put("a", shard=0)
    feed.put("b", shard=1)
    del feed.records[1]["b"]

    page = feed.page()

    assert (["a"], (1, 0), False) == ([r.id for r in page.records], page.sequences, page.has_more)
    assert ((1, 0), False) == ((again := feed.page(page)).sequences, again.has_more)
