"""What `aws_backend.record_store.RecordStore` promises: one suite that each store runs.

A test module makes it its own by a subclass, and gives it the two fixtures.
"""

import itertools

import pytest

from aws_backend.cursor import Cursor, FeedCursor
from aws_backend.errors import CursorExpired, RecordNotFound
from aws_backend.record import StoredRecord
from aws_backend.record_store import FeedPage, RecordStore

START: FeedCursor = Cursor.at_start()

_numbers = itertools.count(1)


def put(store: RecordStore, record_id: str, data: str | None = None) -> StoredRecord:
    """The record as written, whatever there was; without data given, it says something new."""
    text = f'{{"write":{next(_numbers)}}}' if data is None else data
    return store.write_record(record_id, lambda _current: text)


def follow(store: RecordStore, after: FeedCursor = START, limit: int = 1000) -> list[StoredRecord]:
    """Every change from the cursor to the end of the feed."""
    changes: list[StoredRecord] = []
    while True:
        page = store.read_changes(after, limit)
        changes += page.records
        after = page.next_cursor
        if not page.has_more:
            return changes


def place(cursor: FeedCursor) -> int:
    """The sequence in a cursor of a feed of one shard."""
    assert isinstance(cursor, Cursor)
    return cursor.sequence


def ids(page: FeedPage) -> list[str]:
    """The page's records by ID."""
    return [record.id for record in page.records]


class RecordStorePromises:
    """The promises; `store` is empty, and `other_store` too, with a feed of its own."""

    def test_when_nothing_was_written_then_the_feed_is_empty(self, store: RecordStore) -> None:
        """An empty table reads as an empty feed whose cursor stays good."""
        page = store.read_changes(START, 10)

        assert FeedPage((), START, has_more=False) == page

        put(store, "a")

        assert ["a"] == ids(store.read_changes(page.next_cursor, 10))

    def test_when_records_change_then_each_appears_once_with_its_latest_change(
        self, store: RecordStore
    ) -> None:
        """The feed is in the order of commit, and an older change gives way to a newer one."""
        for record_id in ("a", "b", "c", "a"):
            put(store, record_id)

        page = store.read_changes(START, 10)

        assert [("b", 1, 2), ("c", 1, 3), ("a", 2, 4)] == [
            (record.id, record.version, record.sequence) for record in page.records
        ]
        assert not page.has_more
        assert 4 == place(page.next_cursor)

    def test_when_the_limit_cuts_the_feed_then_the_pages_join_without_gap_or_overlap(
        self, store: RecordStore
    ) -> None:
        """A page of exactly what is left says that there is no more."""
        for record_id in "abcd":
            put(store, record_id)

        first = store.read_changes(START, 2)
        second = store.read_changes(first.next_cursor, 2)
        third = store.read_changes(second.next_cursor, 2)

        assert (["a", "b"], True) == (ids(first), first.has_more)
        assert (["c", "d"], False) == (ids(second), second.has_more)
        assert ([], False) == (ids(third), third.has_more)
        assert second.next_cursor == third.next_cursor

    def test_when_a_record_is_deleted_then_its_tombstone_is_in_the_feed(
        self, store: RecordStore
    ) -> None:
        """A tombstone has the next version, no data, and takes the record's place."""
        put(store, "a", '{"x":1}')
        put(store, "b")
        store.write_record("a", lambda _current: None)

        changes = follow(store)

        assert [("b", False), ("a", True)] == [(change.id, change.deleted) for change in changes]
        assert (2, 3, "{}") == (changes[1].version, changes[1].sequence, changes[1].data)
        assert changes[1] == store.get_record("a")

    def test_when_a_deleted_record_is_written_again_then_its_version_goes_on(
        self, store: RecordStore
    ) -> None:
        """An ETag that was valid before a deletion never becomes valid again."""
        put(store, "a")
        store.write_record("a", lambda _current: None)

        assert 3 == put(store, "a").version

    def test_when_a_record_says_that_already_then_nothing_is_written(
        self, store: RecordStore
    ) -> None:
        """The same data is no change: no version, no place in the feed."""
        put(store, "a", '{"x":1}')
        first = put(store, "b", '{"x":1}')
        before = follow(store)

        assert first == put(store, "b", '{"x":1}')
        assert before == follow(store)

    @pytest.mark.parametrize("data", ['{"x": 1}', '{"x":1.0}', '{"x":1,"y":null}', "{}"])
    def test_when_the_data_is_spelled_in_another_way_then_it_is_a_change(
        self, store: RecordStore, data: str
    ) -> None:
        """What is compared is the stored text; what it means to its owner is not known here."""
        put(store, "a", '{"x":1}')

        assert (2, data) == ((written := put(store, "a", data)).version, written.data)

    def test_when_a_deleted_record_is_written_with_its_tombstones_data_then_it_is_there_again(
        self, store: RecordStore
    ) -> None:
        """A tombstone says nothing, whatever its data looks like."""
        put(store, "a", "{}")
        store.write_record("a", lambda _current: None)

        assert (3, False) == ((written := put(store, "a", "{}")).version, written.deleted)

    def test_when_data_is_stored_then_it_comes_back_as_it_was(self, store: RecordStore) -> None:
        """Numbers, order and text beyond ASCII survive."""
        data = '{"z":1.0,"a":12345678901234567890123456789012345678901,"Ω":"\U0001f6eb","n":null}'
        put(store, "a", data)

        read = store.get_record("a")

        assert read is not None
        assert data == read.data

    def test_when_a_write_is_refused_then_nothing_is_written(self, store: RecordStore) -> None:
        """What `decide` raises leaves record and feed alone."""
        put(store, "a")
        before = follow(store)

        def refuse(_current: StoredRecord | None) -> str:
            raise RecordNotFound("refused")

        with pytest.raises(RecordNotFound):
            store.write_record("a", refuse)

        assert before == follow(store)

    def test_when_the_feed_is_another_one_then_old_cursors_have_expired(
        self, store: RecordStore, other_store: RecordStore
    ) -> None:
        """A cursor of another feed is refused instead of read as a place in this one."""
        put(store, "a")
        cursor = store.read_changes(START, 10).next_cursor

        with pytest.raises(CursorExpired):
            other_store.read_changes(cursor, 10)

        put(other_store, "b")
        with pytest.raises(CursorExpired):
            other_store.read_changes(cursor, 10)

    def test_when_a_cursor_is_ahead_of_the_feed_then_it_has_expired(
        self, store: RecordStore
    ) -> None:
        """A feed set back to a backup does not let its readers wait for numbers to repeat."""
        put(store, "a")
        cursor = store.read_changes(START, 10).next_cursor

        assert not store.read_changes(cursor, 10).records
        with pytest.raises(CursorExpired):
            store.read_changes(Cursor(cursor.feed, place(cursor) + 1), 10)
