"""What a table holds: its items, looked at past the store."""

from typing import TYPE_CHECKING, Any

from aws_backend.table_layout import (
    FEED_INDEX,
    Counter,
    counter_key,
    item_to_counter,
    records_collection,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    type Items = list[dict[str, Any]]


def read_items(client: "DynamoDBClient", table: str) -> "Items":
    """Every item of the table."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def read_places(items: "Items", shard: int) -> list[tuple[int, str]]:
    """The sequence and the ID of each record in a shard's collection, in the order of the feed."""
    collection = {"S": records_collection(shard)}
    return sorted(
        (int(item["sequence"]["N"]), str(item["id"]["S"]))
        for item in items
        if item["collection"] == collection
    )


def read_counter_of(items: "Items", shard: int) -> Counter | None:
    """A shard's counter, where there is one."""
    collection = counter_key(shard)["collection"]
    found = [item_to_counter(item) for item in items if item["collection"] == collection]
    return found[0] if found else None


def read_indexed_counters(client: "DynamoDBClient", table: str) -> list[str]:
    """The collections of those counters that are in the index."""
    pages = client.get_paginator("scan").paginate(
        TableName=table, IndexName=FEED_INDEX, ConsistentRead=True
    )
    items: Items = [item for page in pages for item in page["Items"]]
    return [item["collection"]["S"] for item in items if "feed_id" in item]
