"""The records of the API's change feed, as values."""

from collections.abc import Mapping
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class PoisonRecord:
    """An item of the feed that is no valid record: set aside, so that it blocks no other."""

    id: str
    """The ID that it claims; empty where it has none that can be read."""
    reason: str
    """What is wrong with it, in words that quote none of its data."""
    raw: str
    """The item as it came, as JSON text."""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """One page of the change feed, oldest change first."""

    records: tuple[Record, ...]
    next_cursor: str
    """Where the next page starts; keep it also when `has_more` is false, to go on from there."""
    has_more: bool
    poison: tuple[PoisonRecord, ...] = ()
    """The items of the page that are no valid records. A page that is none raises instead."""
