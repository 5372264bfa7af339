"""How the records, their feed and its counter lie in one DynamoDB table.

    collection   id         sequence   attributes
    records      <record>   <n>        version, updated_at, deleted, data
    counter      counter    see below  feed_id, shards, last_id, state, since, is_importing
    records-1    <record>   <n>        of shard 1, and so on: what a feed of one shard does not have
    counter-1    counter    see below

The local index `feed` orders a collection by `sequence`; infra/aws/template.yaml makes both, and a
test compares. Each shard has two collections of its own, so that no two shards share a partition.
A counter's last <n> is in the attribute that `counter_attribute` names.
The reasons: docs/adr/0002-change-feed.md.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aws_backend import cursor
from aws_backend.record import StoredRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        UniversalAttributeValueTypeDef,
    )

    type StoredItem = Mapping[str, AttributeValueTypeDef]
    type NewItem = dict[str, UniversalAttributeValueTypeDef]

FEED_INDEX: Final = "feed"

MAX_SHARDS: Final = cursor.MAX_SHARDS
"""Of one feed: all counters of a new feed are made in one transaction, which takes 100 items."""

_IN_FEEDS_OF_ONE_SHARD: Final = 1


class FeedState(StrEnum):
    """Whether the feed may be read and written, and if not, why."""

    OPEN = "open"
    IMPORTING = "importing"
    """It is being filled: its sequence stays 0 until all is there."""
    IMPORT_FAILED = "import_failed"
    """It holds part of an import that has ended."""
    RENEWING = "renewing"
    """It is getting a new ID."""


@dataclass(frozen=True, slots=True)
class Counter:
    """The state of the feed: how far it has been committed."""

    feed_id: bytes
    """Random; what else makes a feed that feed is its table's name."""
    sequence: int
    """The last committed one; 0 in a feed without changes."""
    last_id: str
    """The record that the last committed change was of; empty where no writer waits for it."""
    state: FeedState = FeedState.OPEN
    since: str = ""
    """When it was closed, by the clock of who closed it; empty while it is open."""
    shards: int = _IN_FEEDS_OF_ONE_SHARD
    """How many the feed has, the same in each shard's counter; never another number under one
    `feed_id`."""


def shard_of(record_id: str, shards: int) -> int:
    """Return which of so many shards a record belongs to, from 0."""
    digest = hashlib.sha256(record_id.encode()).digest()
    return int.from_bytes(digest[:8]) % shards


def records_collection(shard: int) -> str:
    """Return the collection of a shard's records."""
    return "records" if shard == 0 else f"records-{shard}"


def counter_key(shard: int = 0) -> "NewItem":
    """Return the key of a shard's counter: apart from the records, so no feed shows it."""
    collection = "counter" if shard == 0 else f"counter-{shard}"
    return {"collection": {"S": collection}, "id": {"S": "counter"}}


def counter_attribute(shards: int) -> str:
    """Return which attribute holds the sequence in the counters of a feed of so many shards.

    An item that has `sequence` is in the index, where a counter is of no use and costs write units.
    In a feed of one shard it has it all the same: releases before there were shards read it there.
    """
    return "sequence" if shards == _IN_FEEDS_OF_ONE_SHARD else "last_sequence"


def record_key(record_id: str, shard: int = 0) -> "NewItem":
    """Return the key of a record's item."""
    return {"collection": {"S": records_collection(shard)}, "id": {"S": record_id}}


def record_to_item(record: StoredRecord, shard: int = 0) -> "NewItem":
    """Return the item that holds the record."""
    return {
        **record_key(record.id, shard),
        "sequence": {"N": str(record.sequence)},
        "version": {"N": str(record.version)},
        "updated_at": {"S": record.updated_at},
        "deleted": {"BOOL": record.deleted},
        # Text, not a map: DynamoDB would change numbers, and a page need not be parsed to be sent.
        "data": {"S": record.data},
    }


def item_to_record(item: "StoredItem") -> StoredRecord:
    """Return the record in the item."""
    return StoredRecord(
        id=item["id"]["S"],
        version=int(item["version"]["N"]),
        sequence=int(item["sequence"]["N"]),
        updated_at=item["updated_at"]["S"],
        deleted=item["deleted"]["BOOL"],
        data=item["data"]["S"],
    )


def counter_to_item(counter: Counter, shard: int = 0) -> "NewItem":
    """Return the item that holds a shard's counter."""
    return {
        **counter_key(shard),
        "shards": {"N": str(counter.shards)},
        counter_attribute(counter.shards): {"N": str(counter.sequence)},
        "feed_id": {"B": counter.feed_id},
        "last_id": {"S": counter.last_id},
        "state": {"S": counter.state},
        "since": {"S": counter.since},
        # What a writer's transaction asks for, also in deployments that know no other states.
        "is_importing": {"BOOL": counter.state is not FeedState.OPEN},
    }


def item_to_counter(item: "StoredItem") -> Counter:
    """Return the counter in the item."""
    shards = int(item["shards"]["N"]) if "shards" in item else _IN_FEEDS_OF_ONE_SHARD
    return Counter(
        feed_id=item["feed_id"]["B"],
        sequence=int(item[counter_attribute(shards)]["N"]),
        last_id=item["last_id"]["S"],
        state=_parse_state(item),
        since=item["since"]["S"] if "since" in item else "",
        shards=shards,
    )


def _parse_state(item: "StoredItem") -> FeedState:
    if not item["is_importing"]["BOOL"]:
        return FeedState.OPEN
    text = item["state"]["S"] if "state" in item else ""
    # Closed by another release for a reason that this one does not know: closed all the same.
    return FeedState(text) if text in FeedState else FeedState.IMPORTING
