"""Gives a restored table a feed of its own, and makes that feed whole.

A backup copies the feed's ID, and may hold part of a transaction: docs/adr/0002-change-feed.md.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aws_backend.cursor import FEED_ID_BYTES
from aws_backend.dynamodb_store import read_counter
from aws_backend.record_import import ImportUnfinishedError, replace_counter
from aws_backend.table_layout import (
    FEED_INDEX,
    Counter,
    FeedState,
    counter_key,
    record_key,
    records_collection,
)
from shared.clock import Clock, SystemClock
from shared.formats.rfc3339 import format_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ATTEMPTS: Final = 30
_PAUSE_SECONDS: Final = 0.1


class FeedRenewalError(Exception):
    """The feed was not renewed; run it again."""

    code = "feed_renewal_failed"


@dataclass(frozen=True, slots=True)
class RenewedFeed:
    """What a renewal found and left."""

    records: int
    """Tombstones included."""
    sequence: int
    """The highest in the feed."""
    is_last_change_lost: bool
    """Whether the counter named a change that the backup does not hold."""
    records_moved: int
    """How many had a place in the feed that another record has too, and got one at its end."""


def renew_feed(
    client: "DynamoDBClient",
    table: str,
    *,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> RenewedFeed:
    """Give the table's feed a new ID, make it whole, and return what was found.

    Every cursor expires, so every reader starts over. Readers and writers get 503 while the whole
    index is read. A renewal that was killed leaves it so, until the next one is through; of two at
    once the later one goes through.

    Raises:
        FeedRenewalError: others came first, again and again, or another renewal has taken over.
        ImportUnfinishedError: the table holds part of an import; import the records once more.

    """
    claim = _claim(client, table, format_rfc3339((clock or SystemClock()).now()), sleep)
    is_lost = not _shows_last_change(client, table, claim, sleep)
    records, highest, doubles = 0, claim.sequence, []
    previous = 0
    for record_id, sequence in _places(client, table):
        if sequence == previous:
            doubles.append((record_id, sequence))
        records, highest, previous = records + 1, max(highest, sequence), sequence
    for record_id, sequence in doubles:
        highest += 1
        _move(client, table, claim, record_id, sequence, highest)
    # No writer waits for a last change: it is there by now, or it was lost with the backup.
    renewed = Counter(claim.feed_id, highest, "")
    if not replace_counter(client, table, claim, renewed):
        raise _superseded(table)
    return RenewedFeed(records, highest, is_lost, len(doubles))


def _claim(
    client: "DynamoDBClient", table: str, now: str, sleep: Callable[[float], None]
) -> Counter:
    """Close the feed under a new ID: no transaction that was begun before commits any more."""
    new_id = secrets.token_bytes(FEED_ID_BYTES)
    for attempt in range(_ATTEMPTS):
        if attempt > 0:
            sleep(_PAUSE_SECONDS)
        seen = read_counter(client, table)
        if seen is not None and seen.state in {FeedState.IMPORTING, FeedState.IMPORT_FAILED}:
            raise ImportUnfinishedError(
                f"{table} holds part of an import; import the records once more"
            )
        claim = Counter(
            new_id,
            seen.sequence if seen else 0,
            seen.last_id if seen else "",
            FeedState.RENEWING,
            now,
        )
        if replace_counter(client, table, seen, claim):
            return claim
    raise FeedRenewalError(f"Writers of {table} came first every time; run it again")


def _shows_last_change(
    client: "DynamoDBClient", table: str, claim: Counter, sleep: Callable[[float], None]
) -> bool:
    """Return whether the record of the last change shows it, once its transaction is through."""
    if not claim.last_id:
        return True
    for attempt in range(_ATTEMPTS):
        if attempt > 0:
            sleep(_PAUSE_SECONDS)
        try:
            # Reads in a transaction see all of another one or nothing; a plain read may see half.
            response = client.transact_get_items(
                TransactItems=[
                    {"Get": {"TableName": table, "Key": counter_key()}},
                    {"Get": {"TableName": table, "Key": record_key(claim.last_id)}},
                ]
            )
        except client.exceptions.TransactionCanceledException:
            continue
        record = response["Responses"][1].get("Item")
        return record is not None and int(record["sequence"]["N"]) >= claim.sequence
    raise FeedRenewalError(f"The last change of {table} is still being applied; run it again")


def _places(client: "DynamoDBClient", table: str) -> Iterator[tuple[str, int]]:
    """Give each record's ID and sequence, in the order of the feed."""
    pages = client.get_paginator("query").paginate(
        TableName=table,
        IndexName=FEED_INDEX,
        ConsistentRead=True,
        ProjectionExpression="id, #sequence",
        KeyConditionExpression="#collection = :records",
        ExpressionAttributeNames={"#collection": "collection", "#sequence": "sequence"},
        ExpressionAttributeValues={":records": {"S": records_collection(0)}},
    )
    for page in pages:
        for item in page["Items"]:
            yield item["id"]["S"], int(item["sequence"]["N"])


def _move(
    client: "DynamoDBClient", table: str, claim: Counter, record_id: str, old: int, new: int
) -> None:
    """Give the record another place in the feed, as long as the feed is ours."""
    try:
        client.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": table,
                        "Key": record_key(record_id),
                        "UpdateExpression": "SET #sequence = :new",
                        "ConditionExpression": "#sequence = :old",
                        "ExpressionAttributeNames": {"#sequence": "sequence"},
                        "ExpressionAttributeValues": {
                            ":old": {"N": str(old)},
                            ":new": {"N": str(new)},
                        },
                    }
                },
                {
                    "ConditionCheck": {
                        "TableName": table,
                        "Key": counter_key(),
                        "ConditionExpression": "feed_id = :feed_id AND #state = :renewing",
                        "ExpressionAttributeNames": {"#state": "state"},
                        "ExpressionAttributeValues": {
                            ":feed_id": {"B": claim.feed_id},
                            ":renewing": {"S": FeedState.RENEWING},
                        },
                    }
                },
            ]
        )
    except client.exceptions.TransactionCanceledException as error:
        raise _superseded(table) from error


def _superseded(table: str) -> FeedRenewalError:
    return FeedRenewalError(f"Another renewal of {table} has taken over; wait for that one")
