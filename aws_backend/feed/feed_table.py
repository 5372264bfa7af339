"""Reads the table: its items by their keys, and a shard's changes. Every read is consistent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aws_backend.errors import StorageUnavailable
from aws_backend.feed.storage_faults import storage_errors
from aws_backend.record import StoredRecord
from aws_backend.table_layout import (
    FEED_INDEX,
    Counter,
    counter_key,
    item_to_counter,
    item_to_record,
    records_collection,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from aws_backend.table_layout import NewItem, StoredItem

BATCH_ATTEMPTS: Final = 5
"""How often a batch is asked for while DynamoDB leaves a part of it unanswered."""

_BACK_OFF_SECONDS: Final = 0.01
_LONGEST_BACK_OFF_SECONDS: Final = 0.32


class ShardReading(NamedTuple):
    """Some changes of one shard, oldest first."""

    records: tuple[StoredRecord, ...]
    has_more: bool
    """Whether there is more to read at once; never true without records."""


def read_counter(client: "DynamoDBClient", table: str, shard: int = 0) -> Counter | None:
    """Return a shard's counter as last committed; without one of shard 0 there is no feed yet."""
    response = client.get_item(TableName=table, Key=counter_key(shard), ConsistentRead=True)
    return item_to_counter(response["Item"]) if "Item" in response else None


@dataclass(frozen=True, slots=True)
class FeedTable:
    """One table's items."""

    client: "DynamoDBClient"
    name: str
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    """Gives a random number from 0 to 1, for the pauses between attempts."""

    def pause(self, attempt: int) -> None:
        """Wait for a random time that grows with the number of the attempt to come, from 1."""
        longest = min(_LONGEST_BACK_OFF_SECONDS, _BACK_OFF_SECONDS * 2**attempt)
        self.sleep(self.jitter() * longest)

    def get_items(self, keys: "Sequence[NewItem]") -> "list[StoredItem | None]":
        """Return the item of each key, or None where there is none: in one request.

        Each is read as last committed, but not all at one instant.

        Raises:
            StorageUnavailable: also if DynamoDB has left a part of them out every time.

        """
        found: dict[tuple[str, str], StoredItem] = {}
        with storage_errors():
            if len(keys) == 1:
                response = self.client.get_item(
                    TableName=self.name, Key=keys[0], ConsistentRead=True
                )
                return [response.get("Item")]
            missing: Sequence[NewItem] = keys
            for attempt in range(BATCH_ATTEMPTS):
                if attempt > 0:
                    self.pause(attempt)
                batch = self.client.batch_get_item(
                    RequestItems={self.name: {"Keys": missing, "ConsistentRead": True}}
                )
                for item in batch["Responses"].get(self.name, ()):
                    found[_name(item)] = item
                missing = [key for key in missing if _name(key) not in found]
                if not missing or self.name not in batch.get("UnprocessedKeys", {}):
                    return [found.get(_name(key)) for key in keys]
        raise StorageUnavailable("The storage is busy; try again.")

    def get_counters(self, shards: Sequence[int]) -> list[Counter | None]:
        """Return each of these shards' counter, or None where there is none."""
        items = self.get_items([counter_key(shard) for shard in shards])
        return [None if item is None else item_to_counter(item) for item in items]

    def read_shard(self, shard: int, after: int, end: int, limit: int) -> ShardReading:
        """Return the shard's changes after one sequence and up to another, at most `limit`.

        Fewer come where a DynamoDB page ends, at 1 MB.
        """
        if after >= end:
            return ShardReading((), has_more=False)
        with storage_errors():
            response = self.client.query(
                TableName=self.name,
                IndexName=FEED_INDEX,
                ConsistentRead=True,
                Limit=limit,
                # The older spelling of a key condition means the same, and the local stack reads
                # it once instead of once for each of 28,000 records: 0.2 s a page instead of 1 s.
                KeyConditions={
                    "collection": {
                        "ComparisonOperator": "EQ",
                        "AttributeValueList": [{"S": records_collection(shard)}],
                    },
                    "sequence": {
                        "ComparisonOperator": "BETWEEN",
                        "AttributeValueList": [{"N": str(after + 1)}, {"N": str(end)}],
                    },
                },
            )
        records = tuple(item_to_record(item) for item in response["Items"])
        # DynamoDB may stop at an item that it does not show yet; asking again at once for the same
        # page would go round in circles.
        has_more = bool(records) and "LastEvaluatedKey" in response and records[-1].sequence < end
        return ShardReading(records, has_more)


def _name(key: Mapping[str, Any]) -> tuple[str, str]:
    return key["collection"]["S"], key["id"]["S"]
