"""A record store in memory, for tests of what stands above it."""

from aws_backend.cursor import Cursor, FeedCursor, ShardCursor, WholeCursor
from aws_backend.errors import ApiError, CursorExpired
from aws_backend.record import StoredRecord
from aws_backend.record_store import DecideData, FeedPage, ListedShard, ShardListing

FEED = bytes(range(16))


class FakeRecordStore:
    """Keeps what `aws_backend.record_store.RecordStore` promises, for one caller at a time.

    Its feed has one shard.
    """

    def __init__(self, feed: bytes = FEED) -> None:
        """Start empty."""
        self.feed = feed
        self.sequence = 0
        self.records: dict[str, StoredRecord] = {}
        self.limits: list[int] = []
        self.fails_with: ApiError | Exception | None = None

    def read_changes(self, after: FeedCursor, limit: int) -> FeedPage:
        """The next changes."""
        self._fail()
        self.limits.append(limit)
        if isinstance(after, ShardCursor):
            is_another = not self.sequence or (after.feed, after.shards) != (self.feed, 1)
        elif after.is_at_start:
            if not self.sequence:
                return FeedPage((), Cursor.at_start(), has_more=False)
            after, is_another = Cursor(self.feed, 0), False
        else:
            is_another = after.feed != self.feed
        if is_another or isinstance(after, WholeCursor) or after.sequence > self.sequence:
            raise CursorExpired("The feed is gone.")
        changes = sorted(
            (record for record in self.records.values() if record.sequence > after.sequence),
            key=lambda record: record.sequence,
        )
        page = tuple(changes[:limit])
        reached = page[-1].sequence if page else after.sequence
        cursor: FeedCursor = Cursor(self.feed, reached)
        if isinstance(after, ShardCursor):
            cursor = ShardCursor(self.feed, 1, 0, reached)
        return FeedPage(page, cursor, has_more=len(changes) > limit)

    def list_shards(self) -> ShardListing | None:
        """The only shard, once there was a write."""
        self._fail()
        if not self.sequence:
            return None
        start, end = (ShardCursor(self.feed, 1, 0, place) for place in (0, self.sequence))
        return ShardListing(self.feed, (ListedShard(0, start, end),))

    def get_record(self, record_id: str) -> StoredRecord | None:
        """The record or its tombstone."""
        self._fail()
        return self.records.get(record_id)

    def write_record(self, record_id: str, decide: DecideData) -> StoredRecord:
        """The record as written."""
        self._fail()
        current = self.records.get(record_id)
        data = decide(current)
        if current is not None and not current.deleted and data == current.data:
            return current
        self.sequence += 1
        written = StoredRecord(
            id=record_id,
            version=current.version + 1 if current else 1,
            sequence=self.sequence,
            updated_at="2026-11-21T05:47:00.000Z",
            deleted=data is None,
            data="{}" if data is None else data,
        )
        self.records[record_id] = written
        return written

    def _fail(self) -> None:
        if self.fails_with is not None:
            raise self.fails_with
