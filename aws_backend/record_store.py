"""What the records API needs of its storage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aws_backend.cursor import Cursor
from aws_backend.record import StoredRecord

type DecideData = Callable[[StoredRecord | None], str | None]
"""Takes the record as it is (its tombstone too; None: there was never one) and gives its new data
as JSON text, or None to delete it. What it raises ends the write. It may be called again."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One page of the change feed, oldest change first."""

    records: tuple[StoredRecord, ...]
    next_cursor: Cursor
    has_more: bool


class RecordStore(Protocol):
    """Records with versions, and a feed of their changes in the order of commit."""

    def read_changes(self, after: Cursor, limit: int) -> FeedPage:
        """Return the next changes, at most `limit`.

        A record appears once, with its latest change. Whoever follows the feed to its end has
        seen the latest change of every record, whatever was being written meanwhile.

        Raises:
            CursorExpired: the cursor belongs to another feed.
            FeedImporting, FeedImportFailed, FeedRenewing: the feed is closed; nobody reads half
                of it.
            StorageUnavailable: the storage did not answer.

        """

    def get_record(self, record_id: str) -> StoredRecord | None:
        """Return the record as last committed, or its tombstone, or None if it never existed."""

    def write_record(self, record_id: str, decide: DecideData) -> StoredRecord:
        """Write what `decide` returns, on exactly the state that it was given; return the record.

        A record that lives and has exactly this data, as text, is returned as it is: no version,
        no change in the feed.

        Raises:
            FeedContended: other writers were quicker in every attempt; nothing was written.
            FeedImporting, FeedImportFailed, FeedRenewing: the feed is closed; nothing was written.
            StorageUnavailable: the storage did not answer; whether it wrote is not known.

        """
