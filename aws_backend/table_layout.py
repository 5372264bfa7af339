"""How the records, their feed and its counter lie in one DynamoDB table.

    collection  id         sequence   attributes
    records     <record>   <n>        version, updated_at, deleted, data
    counter     counter    <last n>   feed_id, last_id, state, since, is_importing

The local index `feed` orders a collection by `sequence`; infra/aws/template.yaml makes both, and a
test compares. The reasons: docs/adr/0002-change-feed.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aws_backend.record import StoredRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        UniversalAttributeValueTypeDef,
    )

    type StoredItem = Mapping[str, AttributeValueTypeDef]
    type NewItem = dict[str, UniversalAttributeValueTypeDef]

RECORDS: Final = "records"
FEED_INDEX: Final = "feed"

COUNTER_KEY: Final["NewItem"] = {"collection": {"S": "counter"}, "id": {"S": "counter"}}
"""Where the counter lies: apart from the records, so that the feed does not show it."""


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


def record_key(record_id: str) -> "NewItem":
    """Return the key of a record's item."""
    return {"collection": {"S": RECORDS}, "id": {"S": record_id}}


def record_to_item(record: StoredRecord) -> "NewItem":
    """Return the item that holds the record."""
    return {
        **record_key(record.id),
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


def counter_to_item(counter: Counter) -> "NewItem":
    """Return the item that holds the counter."""
    return {
        **COUNTER_KEY,
        "sequence": {"N": str(counter.sequence)},
        "feed_id": {"B": counter.feed_id},
        "last_id": {"S": counter.last_id},
        "state": {"S": counter.state},
        "since": {"S": counter.since},
        # What a writer's transaction asks for, also in deployments that know no other states.
        "is_importing": {"BOOL": counter.state is not FeedState.OPEN},
    }


def item_to_counter(item: "StoredItem") -> Counter:
    """Return the counter in the item."""
    return Counter(
        feed_id=item["feed_id"]["B"],
        sequence=int(item["sequence"]["N"]),
        last_id=item["last_id"]["S"],
        state=_parse_state(item),
        since=item["since"]["S"] if "since" in item else "",
    )


def _parse_state(item: "StoredItem") -> FeedState:
    if not item["is_importing"]["BOOL"]:
        return FeedState.OPEN
    text = item["state"]["S"] if "state" in item else ""
    # Closed by another release for a reason that this one does not know: closed all the same.
    return FeedState(text) if text in FeedState else FeedState.IMPORTING
