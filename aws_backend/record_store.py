"""What the records API needs of its storage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aws_backend.cursor import FeedCursor, ShardCursor
from aws_backend.record import StoredRecord

type DecideData = Callable[[StoredRecord | None], str | None]
"""Takes the record as it is (its tombstone too; None: there was never one) and gives its new data
as JSON text, or None to delete it. What it raises ends the write. It may be called again."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One page of the change feed, or of one shard of it; each shard's oldest change first."""

    records: tuple[StoredRecord, ...]
    next_cursor: FeedCursor
    """Of the same kind as the cursor that was given, except at the start."""
    has_more: bool


@dataclass(frozen=True, slots=True)
class ListedShard:
    """One part of a feed: every change of some of the records, in the order of commit."""

    shard: int
    start: ShardCursor
    """Before its first change."""
    end: ShardCursor
    """Behind its last one: where a reader stands who has read everything."""


@dataclass(frozen=True, slots=True)
class ShardListing:
    """All shards of a feed."""

    feed: bytes
    """Which feed, as `aws_backend.cursor.identify_feed` says."""
    shards: tuple[ListedShard, ...]


class RecordStore(Protocol):
    """Records with versions, and a feed of their changes.

    The feed has one shard or more. Each record belongs to one of them, and a shard's changes come
    in the order of commit; nothing is promised of the order across shards.
    """

    def read_changes(self, after: FeedCursor, limit: int) -> FeedPage:
        """Return the next changes, at most `limit`: of the whole feed, or of the cursor's shard.

        A record appears once, with its latest change. Whoever follows the feed to its end has
        seen the latest change of every record, whatever was being written meanwhile.

        Raises:
            CursorExpired: the cursor belongs to another feed, or is ahead of this one.
            FeedImporting, FeedImportFailed, FeedRenewing: the feed is closed; nobody reads half
                of it.
            StorageUnavailable: the storage did not answer.

        """

    def list_shards(self) -> ShardListing | None:
        """Return the feed's shards, or None if nothing has ever been written.

        Raises:
            FeedImporting, FeedImportFailed, FeedRenewing: the feed is closed.
            StorageUnavailable: the storage did not answer.

        """

    def get_record(self, record_id: str) -> StoredRecord | None:
        """Return the record as last committed, or its tombstone, or None if it never existed.

        While the records are being imported it is returned as far as it is there.

        Raises:
            FeedRenewing: it is not found while it may be on its way to another shard.
            StorageUnavailable: the storage did not answer.

        """

    def write_record(self, record_id: str, decide: DecideData) -> StoredRecord:
        """Write what `decide` returns, on exactly the state that it was given; return the record.

        A record that lives and has exactly this data, as text, is returned as it is: no version,
        no change in the feed.

        Raises:
            FeedContended: other writers were quicker in every attempt; nothing was written.
            FeedImporting, FeedImportFailed, FeedRenewing: the feed is closed; nothing was written.
            StorageUnavailable: the storage did not answer; whether it wrote is not known.

        """
