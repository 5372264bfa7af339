"""Reads the feed: by pages of the whole, by pages of one shard, and where its shards stand."""

from dataclasses import dataclass

from aws_backend.cursor import Cursor, FeedCursor, ShardCursor, WholeCursor, identify_feed
from aws_backend.errors import CursorExpired
from aws_backend.feed.feed_table import FeedTable
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.feed.open_feed import read_all_counters, read_counters_of
from aws_backend.feed.whole_page import read_in_turn
from aws_backend.record_store import FeedPage, ListedShard, ShardListing
from aws_backend.table_layout import Counter


@dataclass(frozen=True, slots=True)
class FeedReader:
    """Reads one table's feed.

    The counters come first in each page, because they bound it: what is committed while the page
    is read may show up in it without what was committed just before, and is left to the next page.
    A cursor goes no further than what has been handed out: the change that a counter names may be
    committed there and not yet visible in the index.
    """

    table: FeedTable
    known: KnownFeed

    def read_changes(self, after: FeedCursor, limit: int) -> FeedPage:
        """See `RecordStore.read_changes`. A page ends early where a DynamoDB page does, at 1 MB."""
        if isinstance(after, ShardCursor):
            return self._read_shard(after, limit)
        counters = read_all_counters(self.table, self.known)
        if counters is None:
            if not after.is_at_start:
                raise _expired()
            return FeedPage((), Cursor.at_start(), has_more=False)
        feed = self._identify(counters[0])
        places, next_shard = _places(after, feed, counters)
        if len(counters) == 1:
            reading = self.table.read_shard(0, places[0], counters[0].sequence, limit)
            reached = reading.records[-1].sequence if reading.records else places[0]
            if not reading.records and reached < counters[0].sequence:
                self._check_unmoved(feed)
            return FeedPage(reading.records, Cursor(feed, reached), reading.has_more)
        ends = [counter.sequence for counter in counters]
        page = read_in_turn(places, next_shard, ends, limit, self.table.read_shard)
        if not page.records and page.sequences != tuple(ends):
            self._check_unmoved(feed)
        cursor = WholeCursor(feed, page.sequences, page.next_shard)
        return FeedPage(page.records, cursor, page.has_more)

    def list_shards(self) -> ShardListing | None:
        """See `RecordStore.list_shards`."""
        counters = read_all_counters(self.table, self.known)
        if counters is None:
            return None
        feed = self._identify(counters[0])
        count = len(counters)
        return ShardListing(
            feed,
            tuple(
                ListedShard(
                    shard,
                    start=ShardCursor(feed, count, shard, 0),
                    end=ShardCursor(feed, count, shard, counter.sequence),
                )
                for shard, counter in enumerate(counters)
            ),
        )

    def _read_shard(self, after: ShardCursor, limit: int) -> FeedPage:
        found = read_counters_of(self.table, self.known, after.shard)
        if found is None:
            raise _expired()
        _, counter = found
        feed = self._identify(counter)
        # Unlike the whole feed's start, a shard's is good for one feed: in another one it has other
        # records, and there may be shards that its reader has not heard of.
        if (after.feed, after.shards) != (
            feed,
            counter.shards,
        ) or after.sequence > counter.sequence:
            raise _expired()
        reading = self.table.read_shard(after.shard, after.sequence, counter.sequence, limit)
        reached = reading.records[-1].sequence if reading.records else after.sequence
        if not reading.records and reached < counter.sequence:
            self._check_unmoved(feed)
        cursor = ShardCursor(feed, after.shards, after.shard, reached)
        return FeedPage(reading.records, cursor, reading.has_more)

    def _check_unmoved(self, feed: bytes) -> None:
        """Raise unless the feed is open yet, so that a page without anything is its end.

        Once it is closed, its records may be moved to other shards, and away from under the page.
        """
        found = read_counters_of(self.table, self.known, 0)
        if found is None or self._identify(found[0]) != feed:
            raise _expired()

    def _identify(self, counter: Counter) -> bytes:
        return identify_feed(counter.feed_id, self.table.name)


def _places(
    after: Cursor | WholeCursor, feed: bytes, counters: tuple[Counter, ...]
) -> tuple[tuple[int, ...], int]:
    """Return the sequence to read each shard after, and the shard to begin with."""
    if after.is_at_start:
        return (0,) * len(counters), 0
    places, next_shard = (
        ((after.sequence,), 0) if isinstance(after, Cursor) else (after.sequences, after.next_shard)
    )
    if after.feed != feed or len(places) != len(counters):
        raise _expired()
    if any(place > counter.sequence for place, counter in zip(places, counters, strict=True)):
        raise _expired()
    return places, next_shard


def _expired() -> CursorExpired:
    return CursorExpired(
        "The feed that this cursor belongs to is gone; start again without a cursor."
    )
