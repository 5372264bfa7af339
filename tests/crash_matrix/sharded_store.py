"""A record store in memory whose feed has several shards, for runs that read it by them."""

from aws_backend.cursor import FeedCursor, ShardCursor
from aws_backend.errors import CursorExpired
from aws_backend.record_store import FeedPage, ListedShard, ShardListing
from aws_backend.table_layout import shard_of
from tests.support.fake_record_store import FakeRecordStore


class ShardedRecordStore(FakeRecordStore):
    """Keeps what `aws_backend.record_store.RecordStore` promises of shards.

    The whole feed by one cursor is not read here.
    """

    def __init__(self, feed: bytes, shards: int) -> None:
        """Start empty."""
        super().__init__(feed)
        self.shards = shards

    def read_changes(self, after: FeedCursor, limit: int) -> FeedPage:
        """The next changes of a shard."""
        if not isinstance(after, ShardCursor):
            raise TypeError("a run by shards has asked for the whole feed")
        is_another = (after.feed, after.shards) != (self.feed, self.shards)
        if is_another or not self.sequence or after.sequence > self.sequence:
            raise CursorExpired("The feed is gone.")
        changes = sorted(
            (
                record
                for record in self.records.values()
                if record.sequence > after.sequence and self._shard_of(record.id) == after.shard
            ),
            key=lambda record: record.sequence,
        )
        page = tuple(changes[:limit])
        reached = page[-1].sequence if page else after.sequence
        return FeedPage(page, self._cursor(after.shard, reached), has_more=len(changes) > limit)

    def list_shards(self) -> ShardListing | None:
        """Every shard, once there was a write."""
        if not self.sequence:
            return None
        ends = [0] * self.shards
        for record in self.records.values():
            shard = self._shard_of(record.id)
            ends[shard] = max(ends[shard], record.sequence)
        return ShardListing(
            self.feed,
            tuple(
                ListedShard(shard, self._cursor(shard, 0), self._cursor(shard, end))
                for shard, end in enumerate(ends)
            ),
        )

    def _shard_of(self, record_id: str) -> int:
        return shard_of(record_id, self.shards)

    def _cursor(self, shard: int, sequence: int) -> ShardCursor:
        return ShardCursor(self.feed, self.shards, shard, sequence)
