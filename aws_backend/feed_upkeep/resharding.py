"""Moves the records of a closed feed into the shards that they belong to.

First all of them are copied, and only then is anything removed where it was: at each moment every
record is somewhere, so a move that was killed is taken up again, and a backup of any moment of it
is whole. Each step is of one transaction with a check that the feed is held by its caller yet.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import batched
from typing import TYPE_CHECKING, Final

from aws_backend.feed_upkeep.counters import HeldFeed
from aws_backend.record import StoredRecord
from aws_backend.table_layout import (
    FEED_INDEX,
    item_to_record,
    record_key,
    record_to_item,
    records_collection,
    shard_of,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesUnionTypeDef as KeysAndAttributes
    from mypy_boto3_dynamodb.type_defs import PutTypeDef
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef as Action

    from aws_backend.table_layout import StoredItem

_MOST_AT_ONCE: Final = 99
"""Records in a transaction, which takes 100 actions; one is the check."""
_MOST_BYTES_AT_ONCE: Final = 2_000_000
"""Of data; a transaction takes 4 MB, and one record holds at most 256 KiB."""
_PAUSE_SECONDS: Final = 0.1


class DifferingCopiesError(Exception):
    """A record lies in two shards, with different contents; nothing was removed."""

    def __init__(self, record_id: str, shard: int) -> None:
        """Take the record, and the shard in which it does not belong."""
        super().__init__(f"{record_id} in {records_collection(shard)}")


def is_misplaced(record_id: str, shard: int, shards: int) -> bool:
    """Return whether a record of that shard's collection belongs into another one."""
    return shard_of(record_id, shards) != shard


def read_shard(
    client: "DynamoDBClient", table: str, shard: int, attributes: str
) -> "Iterator[StoredItem]":
    """Give those attributes (`#sequence` is one) of a shard's records, in the order of the feed."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        IndexName=FEED_INDEX,
        ConsistentRead=True,
        ProjectionExpression=attributes,
        KeyConditionExpression="#collection = :records",
        ExpressionAttributeNames={"#collection": "collection", "#sequence": "sequence"}
        | ({"#data": "data"} if "#data" in attributes else {}),
        ExpressionAttributeValues={":records": {"S": records_collection(shard)}},
    )
    for page in pages:
        yield from page["Items"]


def move_to_their_shards(held: HeldFeed, ends: list[int], sources: Sequence[int]) -> int:
    """Move what is misplaced to the end of its shard, and return how many records were copied.

    Args:
        held: the feed; its claim says how many shards there are to be.
        ends: the highest sequence of each of those shards, moved on by what is copied.
        sources: in whose collections something is misplaced.

    Raises:
        NotHeldError: the feed is not held under the claim any more.
        DifferingCopiesError: it is not known which of two records is the right one.

    """
    copied = 0
    for shard in sources:
        for group in _groups(_misplaced(held, shard)):
            copied += _copy(held, ends, shard, group)
    for shard in sources:
        found = read_shard(held.client, held.table, shard, "id, #sequence")
        ids = (item["id"]["S"] for item in found)
        gone = (one for one in ids if is_misplaced(one, shard, held.claim.shards))
        for some in batched(gone, _MOST_AT_ONCE, strict=False):
            keys = (record_key(one, shard) for one in some)
            deletes: list[Action] = [
                {"Delete": {"TableName": held.table, "Key": key}} for key in keys
            ]
            held.commit(*deletes)
    return copied


def _misplaced(held: HeldFeed, shard: int) -> Iterator[StoredRecord]:
    wanted = "id, #sequence, version, updated_at, deleted, #data"
    for item in read_shard(held.client, held.table, shard, wanted):
        if is_misplaced(item["id"]["S"], shard, held.claim.shards):
            yield item_to_record(item)


def _groups(records: Iterable[StoredRecord]) -> Iterator[list[StoredRecord]]:
    """Give as many records at a time as a transaction takes."""
    group: list[StoredRecord] = []
    size = 0
    for record in records:
        if len(group) == _MOST_AT_ONCE or size > _MOST_BYTES_AT_ONCE:
            yield group
            group, size = [], 0
        group.append(record)
        size += len(record.data.encode())
    if group:
        yield group


def _copy(held: HeldFeed, ends: list[int], shard: int, group: list[StoredRecord]) -> int:
    """Copy those of a shard's records that are not yet where they belong; return how many."""
    present = _read_targets(held, group)
    actions: list[Action] = []
    for record in group:
        copy = present.get(record.id)
        if copy is None:
            target = shard_of(record.id, held.claim.shards)
            ends[target] += 1
            put: PutTypeDef = {
                "TableName": held.table,
                "Item": record_to_item(replace(record, sequence=ends[target]), target),
                "ConditionExpression": "attribute_not_exists(id)",
            }
            actions.append({"Put": put})
        # One that was killed has come so far; all but the place in the feed is the same.
        elif replace(copy, sequence=record.sequence) != record:
            raise DifferingCopiesError(record.id, shard)
    if actions:
        held.commit(*actions)
    return len(actions)


def _read_targets(held: HeldFeed, group: list[StoredRecord]) -> dict[str, StoredRecord]:
    """Return those of the records that are where they belong, by their IDs."""
    found: dict[str, StoredRecord] = {}
    request: KeysAndAttributes = {
        "Keys": [record_key(each.id, shard_of(each.id, held.claim.shards)) for each in group],
        "ConsistentRead": True,
    }
    while True:
        response = held.client.batch_get_item(RequestItems={held.table: request})
        for item in response["Responses"].get(held.table, ()):
            record = item_to_record(item)
            found[record.id] = record
        if held.table not in response["UnprocessedKeys"]:
            return found
        request = response["UnprocessedKeys"][held.table]
        held.sleep(_PAUSE_SECONDS)
