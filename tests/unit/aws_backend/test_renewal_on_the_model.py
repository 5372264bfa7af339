"""A renewal beside readers and writers, on a DynamoDB whose transactions show item by item."""

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import CursorExpired, StorageUnavailable
from aws_backend.feed_renewal import renew_feed
from aws_backend.record_import import import_records
from aws_backend.table_layout import shard_of
from tests.support.dynamodb import create_table, open_store
from tests.support.dynamodb_model.client import ModelClient
from tests.support.dynamodb_model.service import DynamoDbModel
from tests.support.dynamodb_model.weather import Calm, Shares, Storm
from tests.support.record_store_promises import START, follow

if TYPE_CHECKING:
    from aws_backend.cursor import FeedCursor

COUNT = 40


def fill(model: DynamoDbModel, shards: int) -> str:
    """A table of the model with a feed of so many shards."""
    client = ModelClient(model).as_boto3()
    table = create_table(client)
    import_records(client, table, [(f"r{n}", {"n": n}) for n in range(COUNT)], shards=shards)
    return table


def renew(model: DynamoDbModel, table: str, shards: int | None = None) -> None:
    """Renew the feed at once, whatever the weather."""
    renew_feed(ModelClient(model).as_boto3(), table, shards=shards, sleep=lambda _seconds: None)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (2, 3), (4, 1), (5, 4), (4, 64)])
def test_when_a_feed_was_resharded_then_who_has_read_a_shard_stands_at_its_end(
    before: int, after: int
) -> None:
    """Whoever compares the two would else ask for more for ever."""
    model = DynamoDbModel()
    table = fill(model, before)

    renew(model, table, after)

    store = open_store(ModelClient(model).as_boto3(), table)
    listing = store.list_shards()
    assert listing is not None
    for shard in listing.shards:
        cursor: FeedCursor = shard.start
        while records := store.read_changes(cursor, 7).records:
            cursor = store.read_changes(cursor, 7).next_cursor
            assert {shard.shard} == {shard_of(record.id, after) for record in records}
        assert shard.end == cursor


class Interrupted:
    """A client that lets something else happen right before its first query."""

    def __init__(self, model: DynamoDbModel, act: Any) -> None:
        """Take what is to happen, once."""
        self._client = ModelClient(model)
        self._act = act

    def __getattr__(self, name: str) -> Any:
        """The model's own operation."""
        if name == "query" and self._act is not None:
            act, self._act = self._act, None
            act()
        return getattr(self._client, name)


def read_to_the_end(store: DynamoDbRecordStore, cursor: "FeedCursor", limit: int) -> set[str]:
    """The IDs on all pages until one has nothing."""
    found: set[str] = set()
    while (page := store.read_changes(cursor, limit)).records:
        found |= {record.id for record in page.records}
        cursor = page.next_cursor
    return found


@pytest.mark.parametrize("read_already", [0, 9, COUNT - 2, COUNT - 1])
@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 3), (4, 1)])
def test_when_records_move_away_under_a_page_then_it_is_not_the_end_of_the_feed(
    before: int, after: int, read_already: int
) -> None:
    """A reader of a new generation would mark what it has not read as deleted."""
    model = DynamoDbModel()
    table = fill(model, before)
    store = open_store(ModelClient(model).as_boto3(), table, before)
    cursor: FeedCursor = START
    for _ in range(read_already):
        cursor = store.read_changes(cursor, 1).next_cursor
    interrupted: Any = Interrupted(model, partial(renew, model, table, after))

    with pytest.raises((CursorExpired, StorageUnavailable)):
        read_to_the_end(open_store(interrupted, table, before), cursor, COUNT)

    assert COUNT == len(follow(store))


@pytest.mark.parametrize("shard", [0, 2])
def test_when_records_move_away_under_a_shards_page_then_it_is_not_the_shards_end(
    shard: int,
) -> None:
    """The same for who reads one shard."""
    model = DynamoDbModel()
    table = fill(model, 3)
    store = open_store(ModelClient(model).as_boto3(), table, 3)
    listing = store.list_shards()
    assert listing is not None
    interrupted: Any = Interrupted(model, partial(renew, model, table, 64))

    with pytest.raises((CursorExpired, StorageUnavailable)):
        read_to_the_end(
            open_store(interrupted, table, 3),
            replace(listing.shards[shard].end, sequence=listing.shards[shard].end.sequence - 1),
            1,
        )


BUSY = Shares(0.0, 0.0, 0.0, throttles=0.02, odd_conflicts=0.01, stalls=0.0)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (2, 2)])
def test_when_dynamodb_is_busy_then_the_renewal_goes_on_after_a_pause(
    before: int, after: int
) -> None:
    """Nobody else has taken the feed over, and it would stay closed."""
    model = DynamoDbModel()
    table = fill(model, before)
    model.weather = Storm(Random(after), BUSY)  # noqa: S311 - chooses what goes wrong
    pauses: list[float] = []

    renewed = renew_feed(ModelClient(model).as_boto3(), table, shards=after, sleep=pauses.append)

    assert COUNT == renewed.records
    assert pauses
    model.weather = Calm()
    assert COUNT == len(follow(open_store(ModelClient(model).as_boto3(), table, after)))
