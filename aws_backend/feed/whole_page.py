"""Puts a page of a whole feed together from its shards, so that none of them is kept back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from aws_backend.feed.feed_table import ShardReading
from aws_backend.record import StoredRecord

PAGE_BYTES: Final = 1_000_000
"""How much data a page holds at most, unless one shard's part is more by itself: what a page of
DynamoDB's holds, so that the answer does not outgrow the 6 MB of Lambda however it is escaped."""

_RECORD_OVERHEAD_BYTES: Final = 200  # what is around the data, at most

type ReadShard = Callable[[int, int, int, int], ShardReading]
"""Takes a shard, the sequence to read after, the one to read up to, and a limit."""


class WholePage(NamedTuple):
    """The next changes of a feed, and where that leaves its reader in each shard."""

    records: tuple[StoredRecord, ...]
    """Those of one shard are together, oldest first."""
    sequences: tuple[int, ...]
    next_shard: int
    has_more: bool
    """Whether there is more to read at once; never true without records."""


def read_in_turn(
    sequences: Sequence[int],
    next_shard: int,
    ends: Sequence[int],
    limit: int,
    read_shard: ReadShard,
) -> WholePage:
    """Return the page that follows these places, of a feed whose shards end at those sequences.

    The shards are read one after the other until the page is full, those without anything new not
    at all. The next page begins behind the last one that is in this page: each shard that waits
    comes first within as many pages as there are shards, whatever is written to the others.
    """
    places = list(sequences)
    records: list[StoredRecord] = []
    free_bytes = PAGE_BYTES
    first = next_shard
    has_more = False
    for shard in (*range(first, len(ends)), *range(first)):
        if places[shard] >= ends[shard]:
            continue
        if len(records) >= limit or free_bytes <= 0:
            has_more = True
            break
        reading = read_shard(shard, places[shard], ends[shard], limit - len(records))
        # The first one has what DynamoDB has put on a page; the others share what is left.
        kept = reading.records if not records else tuple(_fitting(reading.records, free_bytes))
        has_more = has_more or reading.has_more or len(kept) < len(reading.records)
        if kept:
            records += kept
            free_bytes -= sum(map(_size, kept))
            places[shard] = kept[-1].sequence
            next_shard = (shard + 1) % len(ends)
        if len(kept) < len(reading.records):
            break
    return WholePage(tuple(records), tuple(places), next_shard, has_more)


def _fitting(records: Iterable[StoredRecord], free_bytes: int) -> Iterator[StoredRecord]:
    for record in records:
        free_bytes -= _size(record)
        if free_bytes < 0:
            return
        yield record


def _size(record: StoredRecord) -> int:
    return len(record.data.encode()) + _RECORD_OVERHEAD_BYTES
