"""Reads a feed of three shards, on the model of DynamoDB: whole, and shard by shard."""

from dataclasses import replace

import pytest

from aws_backend.cursor import Cursor, FeedCursor, ShardCursor, WholeCursor, parse_cursor
from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import CursorExpired
from aws_backend.record_import import import_records
from aws_backend.record_store import FeedPage, ListedShard
from aws_backend.table_layout import shard_of
from tests.support.dynamodb import create_table, open_store
from tests.support.dynamodb_model.client import ModelClient
from tests.support.dynamodb_model.service import DynamoDbModel
from tests.support.record_store_promises import START, follow, ids, put

SHARDS = 3
NAMES = [f"r{number}" for number in range(12)]


@pytest.fixture
def store() -> DynamoDbRecordStore:
    """A store on an empty table, whose feed gets three shards."""
    client = ModelClient(DynamoDbModel()).as_boto3()
    return open_store(client, create_table(client), SHARDS)


@pytest.fixture
def filled(store: DynamoDbRecordStore) -> DynamoDbRecordStore:
    """The same with twelve records."""
    for name in NAMES:
        put(store, name)
    return store


def whole_end(store: DynamoDbRecordStore) -> WholeCursor:
    """The place behind all changes."""
    cursor = store.read_changes(START, 1000).next_cursor
    assert isinstance(cursor, WholeCursor)
    return cursor


def listed(store: DynamoDbRecordStore) -> tuple[ListedShard, ...]:
    """The shards of the feed."""
    listing = store.list_shards()
    assert listing is not None
    return listing.shards


def test_when_a_feed_of_shards_is_read_by_one_cursor_then_each_record_comes_once(
    filled: DynamoDbRecordStore,
) -> None:
    """The cursor of each page holds how far each shard has been handed out."""
    cursor: FeedCursor = START
    found: list[str] = []
    for _ in NAMES:
        page = filled.read_changes(cursor, 2)
        found += ids(page)
        cursor = page.next_cursor

    assert sorted(NAMES) == sorted(found)
    assert FeedPage((), cursor, has_more=False) == filled.read_changes(cursor, 2)


def test_when_a_feed_has_begun_then_the_shards_without_a_record_are_at_their_ends(
    store: DynamoDbRecordStore,
) -> None:
    """Or a reader by shards would wait for ever for what is not there."""
    written = put(store, NAMES[0])

    assert [int(shard == shard_of(written.id, SHARDS)) for shard in range(SHARDS)] == [
        shard.end.sequence for shard in listed(store)
    ]


def test_when_a_shard_has_no_record_then_its_place_in_the_cursor_stays_at_the_start(
    store: DynamoDbRecordStore,
) -> None:
    """The cursor is spelled and read like any other."""
    written = put(store, NAMES[0])
    cursor = whole_end(store)

    assert cursor == parse_cursor(cursor.to_text())
    assert cursor.sequences == tuple(
        int(shard == shard_of(written.id, SHARDS)) for shard in range(SHARDS)
    )


def test_when_nothing_was_imported_then_the_whole_feeds_cursor_is_one_at_the_start() -> None:
    """It goes to the reader and comes back, as any does."""
    client = ModelClient(DynamoDbModel()).as_boto3()
    table = create_table(client)
    import_records(client, table, [], shards=SHARDS)
    page = open_store(client, table).read_changes(START, 10)

    assert () == page.records
    assert WholeCursor(page.next_cursor.feed, (0, 0, 0), 0) == parse_cursor(
        page.next_cursor.to_text()
    )


def test_when_a_feed_has_one_shard_then_the_list_has_it() -> None:
    """A reader by shards needs no other way for such a feed."""
    client = ModelClient(DynamoDbModel()).as_boto3()
    store = open_store(client, create_table(client))
    for name in NAMES:
        put(store, name)
    (shard,) = listed(store)

    assert NAMES == [change.id for change in follow(store, shard.start)]
    assert (1, 0, len(NAMES)) == (shard.end.shards, shard.end.shard, shard.end.sequence)


def test_when_a_shard_is_read_from_its_start_then_its_records_come_up_to_its_end(
    filled: DynamoDbRecordStore,
) -> None:
    """The list says where both are, and an empty page leaves its reader where it is."""
    for number, shard in enumerate(listed(filled)):
        assert 0 == shard.start.sequence

        page = filled.read_changes(shard.start, 1000)

        assert [name for name in NAMES if shard_of(name, SHARDS) == number] == ids(page)
        assert shard.end == page.next_cursor
        assert FeedPage((), shard.end, has_more=False) == filled.read_changes(shard.end, 1)


def test_when_the_page_of_a_shard_is_full_then_the_next_one_goes_on_behind_it(
    filled: DynamoDbRecordStore,
) -> None:
    """Page by page the shard's records are what they are at once."""
    for shard in listed(filled):
        assert follow(filled, shard.start) == follow(filled, shard.start, 1)


def test_when_the_table_has_no_feed_then_only_a_cursor_at_the_start_is_good(
    store: DynamoDbRecordStore,
) -> None:
    """A reader that has read something is told that it is gone, not that it has all."""
    feed = b"f" * 16
    assert None is store.list_shards()
    assert FeedPage((), START, has_more=False) == store.read_changes(
        WholeCursor(feed, (0, 0, 0)), 10
    )

    for cursor in (Cursor(feed, 1), WholeCursor(feed, (0, 0, 1)), ShardCursor(feed, 3, 0, 0)):
        with pytest.raises(CursorExpired):
            store.read_changes(cursor, 10)


@pytest.mark.parametrize(
    "change",
    [
        {"feed": b"g" * 16},
        {"feed": b"g" * 16, "sequence": 0},
        {"shards": 2},
        {"shards": 4},
        {"shards": 4, "shard": 3, "sequence": 0},
        {"sequence": 1000},
    ],
)
def test_when_a_shard_cursor_is_of_another_feed_then_it_has_expired(
    filled: DynamoDbRecordStore, change: dict[str, int | bytes]
) -> None:
    """Also at the shard's start: in another feed the shard has other records."""
    end = listed(filled)[1].end
    cursor = ShardCursor(
        **{"feed": end.feed, "shards": 3, "shard": 1, "sequence": end.sequence} | change  # type: ignore[arg-type]
    )

    with pytest.raises(CursorExpired):
        filled.read_changes(cursor, 10)


def test_when_a_shard_cursor_is_one_change_ahead_then_it_has_expired(
    filled: DynamoDbRecordStore,
) -> None:
    """What comes at its place later would never be handed out."""
    end = listed(filled)[1].end

    with pytest.raises(CursorExpired):
        filled.read_changes(replace(end, sequence=end.sequence + 1), 10)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_when_a_whole_cursor_is_one_change_ahead_in_any_shard_then_it_has_expired(
    filled: DynamoDbRecordStore, shard: int
) -> None:
    """One shard whose changes are not all there is enough."""
    end = whole_end(filled)
    ahead = [sequence + (number == shard) for number, sequence in enumerate(end.sequences)]

    with pytest.raises(CursorExpired):
        filled.read_changes(replace(end, sequences=tuple(ahead)), 10)


def test_when_a_whole_cursor_is_of_another_feed_or_of_other_shards_then_it_has_expired(
    filled: DynamoDbRecordStore,
) -> None:
    """Each is enough by itself."""
    end = whole_end(filled)
    for cursor in (
        replace(end, feed=b"g" * 16),
        replace(end, sequences=end.sequences[:2]),
        replace(end, sequences=(*end.sequences, 0)),
        Cursor(end.feed, 1),
    ):
        with pytest.raises(CursorExpired):
            filled.read_changes(cursor, 10)


def test_when_a_page_is_asked_for_then_it_begins_with_the_shard_that_is_next(
    filled: DynamoDbRecordStore,
) -> None:
    """A page of one record shows whose turn it is."""
    feed = whole_end(filled).feed
    for shard in range(SHARDS):
        behind_one = tuple(int(number == 0) for number in range(SHARDS))
        page = filled.read_changes(WholeCursor(feed, behind_one, shard), 1)

        assert [shard] == [shard_of(name, SHARDS) for name in ids(page)]


def test_when_nothing_was_handed_out_yet_then_the_first_page_begins_with_the_first_shard(
    filled: DynamoDbRecordStore,
) -> None:
    """Whatever feed the cursor names."""
    for cursor in (START, WholeCursor(b"g" * 16, (0, 0, 0), 2)):
        page = filled.read_changes(cursor, 1)

        assert [0] == [shard_of(name, SHARDS) for name in ids(page)]
