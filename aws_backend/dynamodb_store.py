"""The record store on DynamoDB. Why it is built like this: docs/adr/0002-change-feed.md."""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aws_backend.cursor import FEED_ID_BYTES, FeedCursor
from aws_backend.feed import record_writing
from aws_backend.feed.feed_reading import FeedReader
from aws_backend.feed.feed_table import FeedTable, read_counter
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.feed.open_feed import check_open
from aws_backend.feed.record_writing import RecordWriter
from aws_backend.record import StoredRecord
from aws_backend.record_store import DecideData, FeedPage, ShardListing
from aws_backend.table_layout import FeedState, item_to_record, record_key, shard_of
from shared.clock import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["MAX_ATTEMPTS", "SIZE_LOGGED_FROM_GIGABYTES", "DynamoDbRecordStore", "read_counter"]

MAX_ATTEMPTS: Final = record_writing.MAX_ATTEMPTS
SIZE_LOGGED_FROM_GIGABYTES: Final = record_writing.SIZE_LOGGED_FROM_GIGABYTES


@dataclass(frozen=True, slots=True)
class DynamoDbRecordStore:
    """Implements `aws_backend.record_store.RecordStore` over one table."""

    client: "DynamoDBClient"
    table: str
    clock: Clock
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    """Gives a random number from 0 to 1, for the pauses between attempts."""
    new_feed_id: Callable[[], bytes] = lambda: secrets.token_bytes(FEED_ID_BYTES)
    longest_write_seconds: float = math.inf
    """From when on a write that other writers keep back is not tried again."""
    known: KnownFeed = field(default_factory=lambda: KnownFeed(new_shards=1))
    """What this process has seen of the feed, and how many shards it gives a new one."""

    def read_changes(self, after: FeedCursor, limit: int) -> FeedPage:
        """See `RecordStore.read_changes`. A page ends early where a DynamoDB page does, at 1 MB."""
        return FeedReader(self._table, self.known).read_changes(after, limit)

    def list_shards(self) -> ShardListing | None:
        """See `RecordStore.list_shards`."""
        return FeedReader(self._table, self.known).list_shards()

    def get_record(self, record_id: str) -> StoredRecord | None:
        """See `RecordStore.get_record`."""
        remembered = self.known.seen
        record = self._get_record(record_id, self.known.likely_shards)
        if record is not None:
            return record
        # It is not where this process has looked for it; another feed may have another place.
        (first,) = self._table.get_counters([0])
        if first is None:
            return self._get_record(record_id, 1)
        if first.state is FeedState.RENEWING:
            # It may be on its way from one shard to another.
            check_open(first)
        if first.state is FeedState.OPEN and self.known.learn(first) == remembered:
            return None
        return self._get_record(record_id, first.shards)

    def write_record(self, record_id: str, decide: DecideData) -> StoredRecord:
        """See `RecordStore.write_record`."""
        writer = RecordWriter(
            self._table, self.known, self.clock, self.new_feed_id, self.longest_write_seconds
        )
        return writer.write_record(record_id, decide)

    @property
    def _table(self) -> FeedTable:
        return FeedTable(self.client, self.table, self.sleep, self.jitter)

    def _get_record(self, record_id: str, shards: int) -> StoredRecord | None:
        (item,) = self._table.get_items([record_key(record_id, shard_of(record_id, shards))])
        return None if item is None else item_to_record(item)
