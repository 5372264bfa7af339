"""The records of the API's change feed, as values."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

_ENCODER: Final = json.JSONEncoder(
    allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True
)


@dataclass(frozen=True, slots=True)
class Record:
    """One record at one version. A deleted one is a tombstone: its `data` is empty."""

    id: str
    version: int
    """Grows by one with each change of this record, from 1."""
    updated_at: str
    """When the change was committed, RFC 3339 in UTC."""
    deleted: bool
    data: Mapping[str, object]
    encoded: str | None = field(default=None, compare=False, repr=False)
    """What `encode_data` returns of it, where that is known already: encoding takes as long as
    storing, so it is done once."""


@dataclass(frozen=True, slots=True)
class ItemClaims:
    """What an item says of itself that is no valid record."""

    id: str
    """Empty where none can be read."""
    version: int | None
    is_tombstone: bool
    """Whether it says that the record was deleted: then the sink keeps what the source has not."""


@dataclass(frozen=True, slots=True)
class PoisonRecord:
    """An item of the feed that is no valid record: set aside, so that it blocks no other."""

    id: str
    """The ID that it claims; empty where it has none that can be read."""
    reason: str
    """What is wrong with it, in words that quote none of its data."""
    raw: bytes
    """The item as it came, every byte of it."""
    is_tombstone: bool = False
    """Whether it claims that the record was deleted."""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of the change feed, oldest change first."""

    records: tuple[Record, ...]
    next_cursor: str
    """Where the next page starts; keep it also when `has_more` is false, to go on from there."""
    has_more: bool
    poison: tuple[PoisonRecord, ...] = ()
    """The items of the page that are no valid records. A page that is none raises instead."""
    raw: Callable[[int], bytes] | None = field(default=None, compare=False, repr=False)
    """Cuts the item of the record of that number out of the page, if the source keeps it."""

    def raw_of(self, number: int) -> bytes:
        """Return the item that the record of that number was read from."""
        return _spelled(self.records[number]) if self.raw is None else self.raw(number)


@dataclass(frozen=True, slots=True)
class FeedShard:
    """One shard of the feed, which is read by cursors of its own."""

    shard: int
    start: str
    """Where its changes begin."""
    end: str
    """Where it stands now: the cursor of a reader who has read all of it."""


@dataclass(frozen=True, slots=True)
class FeedShards:
    """The shards of the feed, in the order of their numbers, which begin at 0."""

    feed: str
    """Names the feed, and is another text when it is another feed."""
    shards: tuple[FeedShard, ...]


def encode_data(record: Record) -> str:
    """Return the record's data as compact JSON, the same text for the same data.

    Raises:
        ValueError: the data has no JSON form in UTF-8: it holds NaN, say, or a lone surrogate.
        RecursionError: the data is nested too deep.
        TypeError: the data holds something that JSON has no word for.

    """
    return encode_mapping(record.data) if record.encoded is None else record.encoded


def encode_mapping(data: Mapping[str, object]) -> str:
    """Return the data as `encode_data` does, with its errors."""
    text = _ENCODER.encode(dict(data))
    text.encode()
    return text


def _spelled(record: Record) -> bytes:
    members = {
        "id": record.id,
        "version": record.version,
        "updated_at": record.updated_at,
        "deleted": record.deleted,
        "data": dict(record.data),
    }
    try:
        return json.dumps(members, default=repr).encode()
    except (ValueError, TypeError, RecursionError):
        return b""
