"""A change feed in memory, with the faults that a test asks for."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendRejected
from azure_function_app.sync.records import (
    ChangePage,
    FeedShard,
    FeedShards,
    PoisonRecord,
    Record,
)


def record(record_id: str, version: int = 1, *, deleted: bool = False, **data: object) -> Record:
    """A valid record, unless the caller bends it."""
    return Record(
        id=record_id,
        version=version,
        updated_at="2026-11-21T05:47:00.000Z",
        deleted=deleted,
        data={} if deleted else {"name": f"{record_id} v{version}"} | data,
    )


class FakeFeed:
    """Serves its changes oldest first; a cursor ends with the number of changes read so far."""

    def __init__(self, changes: Sequence[Record | PoisonRecord] = ()) -> None:
        """Start with these changes."""
        self.changes_so_far = list(changes)
        self.calls: list[tuple[str, int, float]] = []
        self.before_answer: Callable[[str], None] = lambda _cursor: None
        self.turn = asyncio.Lock()
        """Held while an answer is made: see `StoreInTurn`."""
        self.expired_cursors: set[str] = set()
        self._feed = ""

    def start_anew(self, changes: Sequence[Record | PoisonRecord]) -> None:
        """Become another feed, as when the table behind it was made anew: old cursors expire."""
        self._feed += "new."
        self.changes_so_far = list(changes)

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """The page that starts at the cursor."""
        self.calls.append((cursor, limit, deadline.remaining_seconds()))
        async with self.turn:
            self.before_answer(cursor)
        feed, _, number = cursor.rpartition(".")
        # As the API's: one of a place before every change is good for any feed.
        is_of_another_feed = int(number or 0) > 0 and (f"{feed}." if feed else "") != self._feed
        if is_of_another_feed or cursor in self.expired_cursors:
            raise BackendRejected("The cursor has expired.", status=410, code="cursor_expired")
        start = int(number or 0)
        items = self.changes_so_far[start : start + limit]
        end = start + len(items)
        return ChangePage(
            records=tuple(item for item in items if isinstance(item, Record)),
            next_cursor=f"{self._feed}{end}",
            has_more=end < len(self.changes_so_far),
            poison=tuple(item for item in items if isinstance(item, PoisonRecord)),
        )


class ShardedFeed:
    """A feed of several shards, which keeps each record at its newest change only, as the API does.

    A cursor names the feed, the shard (or `all`) and the sequence that was read last.
    """

    def __init__(self, shards: int = 3) -> None:
        """Start empty."""
        self.shard_count = shards
        self.feed = 1
        self.is_there = True
        """Whether there is a feed: not before the first write to a table."""
        self.calls: list[str] = []
        self.listings = 0
        self.before_answer: Callable[[str], None] = lambda _cursor: None
        self.turn = asyncio.Lock()
        self.before_listing: Callable[[], None] = lambda: None
        self.source: dict[str, Record] = {}
        """The records as they are, the deleted ones included."""
        self._sequence = 0
        self._at: dict[str, tuple[int, Record | PoisonRecord]] = {}

    def shard_of(self, record_id: str) -> int:
        """The shard that the record belongs to."""
        return hashlib.sha256(record_id.encode()).digest()[0] % self.shard_count

    def put(self, *record_ids: str) -> None:
        """Change these records, each to its next version."""
        for record_id in record_ids:
            self._change(record_id, deleted=False)

    def delete(self, record_id: str) -> None:
        """Leave a tombstone of the record."""
        self._change(record_id, deleted=True)

    def put_poison(self, record_id: str) -> None:
        """Change the record to something that is no valid one."""
        self._sequence += 1
        poison = PoisonRecord(record_id, "bad", b"{}")
        self.source.pop(record_id, None)
        self._at[record_id] = (self._sequence, poison)

    def start_anew(self, shards: int | None = None) -> None:
        """Become another feed, empty at first, whose versions begin again."""
        self.feed += 1
        self.shard_count = shards or self.shard_count
        self.source.clear()
        self._at.clear()
        self._sequence = 0

    def remember(self) -> Callable[[], None]:
        """What makes it again what it is now, under the same name: a table that is taken back."""
        source, at, sequence = dict(self.source), dict(self._at), self._sequence

        def take_back() -> None:
            self.source, self._at, self._sequence = dict(source), dict(at), sequence

        return take_back

    def live(self) -> dict[str, int]:
        """The versions of the records that are there, by ID."""
        return {name: found.version for name, found in self.source.items() if not found.deleted}

    def lose(self) -> None:
        """Stand on a table that was made anew, and that nobody has written to."""
        self.start_anew()
        self.is_there = False

    async def shards(self, *, deadline: Deadline) -> FeedShards | None:
        """The list of shards."""
        assert deadline.remaining_seconds() > 0
        self.listings += 1
        self.before_listing()
        if not self.is_there:
            return None
        return FeedShards(
            f"feed-{self.feed}",
            tuple(
                FeedShard(
                    shard, f"{self.feed}.{shard}.0", f"{self.feed}.{shard}.{self._end(str(shard))}"
                )
                for shard in range(self.shard_count)
            ),
        )

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """The page that starts at the cursor."""
        assert deadline.remaining_seconds() > 0
        self.calls.append(cursor)
        async with self.turn:
            self.before_answer(cursor)
        if not self.is_there and cursor in ("", "start.all.0"):
            return ChangePage((), "start.all.0", has_more=False)
        feed, shard, sequence = (cursor or f"{self.feed}.all.0").split(".")
        if feed == "start":
            feed = str(self.feed)
        end_of_shard = self._sequence if shard == "all" else self._end(shard)
        is_beyond = int(sequence) > end_of_shard
        if not self.is_there or int(feed) != self.feed or is_beyond:
            raise BackendRejected("The cursor has expired.", status=410, code="cursor_expired")
        found = sorted(
            (at, item)
            for name, (at, item) in self._at.items()
            if at > int(sequence) and shard in ("all", str(self.shard_of(name)))
        )
        page = found[:limit]
        end = page[-1][0] if page else int(sequence)
        items = [item for _, item in page]
        return ChangePage(
            records=tuple(item for item in items if isinstance(item, Record)),
            next_cursor=f"{feed}.{shard}.{end}",
            has_more=len(found) > limit,
            poison=tuple(item for item in items if isinstance(item, PoisonRecord)),
        )

    def _change(self, record_id: str, *, deleted: bool) -> None:
        self.is_there = True
        self._sequence += 1
        known = self.source.get(record_id)
        changed = record(record_id, known.version + 1 if known else 1, deleted=deleted)
        self.source[record_id] = changed
        self._at[record_id] = (self._sequence, changed)

    def _end(self, shard: str) -> int:
        return max(
            (at for name, (at, _) in self._at.items() if shard == str(self.shard_of(name))),
            default=0,
        )
