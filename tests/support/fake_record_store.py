"""A record store in memory, for tests of what stands above it."""

from aws_backend.cursor import Cursor
from aws_backend.errors import ApiError, CursorExpired
from aws_backend.record import StoredRecord
from aws_backend.record_store import DecideData, FeedPage

FEED = bytes(range(16))


class FakeRecordStore:
    """Keeps what `aws_backend.record_store.RecordStore` promises, for one caller at a time."""

    def __init__(self, feed: bytes = FEED) -> None:
        """Start empty."""
        self.feed = feed
        self.sequence = 0
        self.records: dict[str, StoredRecord] = {}
        self.limits: list[int] = []
        self.fails_with: ApiError | Exception | None = None

    def read_changes(self, after: Cursor, limit: int) -> FeedPage:
        """The next changes."""
        self._fail()
        self.limits.append(limit)
        if not self.sequence and not after.sequence:
            return FeedPage((), Cursor.at_start(), has_more=False)
        if after.sequence and (after.feed != self.feed or after.sequence > self.sequence):
            raise CursorExpired("The feed is gone.")
        changes = sorted(
            (record for record in self.records.values() if record.sequence > after.sequence),
            key=lambda record: record.sequence,
        )
        page = tuple(changes[:limit])
        reached = page[-1].sequence if page else after.sequence
        return FeedPage(page, Cursor(self.feed, reached), has_more=len(changes) > limit)

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
