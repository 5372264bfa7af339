"""The counters of a feed's shards, as who fills or mends the feed reads and replaces them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aws_backend.feed.feed_table import read_counter
from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_attribute,
    counter_key,
    counter_to_item,
    item_to_counter,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesUnionTypeDef as KeysAndAttributes
    from mypy_boto3_dynamodb.type_defs import PutTypeDef
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef as Action

_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
_COMMIT_ATTEMPTS: Final = 30
_MAY_PASS: Final = frozenset(
    {"None", "ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"}
)


def read_counters(
    client: "DynamoDBClient",
    table: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[int, Counter]:
    """Return those of the counters that there are, each by its shard and as last committed.

    They are not of one instant: a transaction may show in one and not yet in another.
    """
    shards = {str(counter_key(shard)["collection"]): shard for shard in range(MAX_SHARDS)}
    found: dict[int, Counter] = {}
    request: KeysAndAttributes = {
        "Keys": [counter_key(shard) for shard in range(MAX_SHARDS)],
        "ConsistentRead": True,
    }
    while True:
        response = client.batch_get_item(RequestItems={table: request})
        for item in response["Responses"].get(table, ()):
            found[shards[str(item["collection"])]] = item_to_counter(item)
        if table not in response["UnprocessedKeys"]:
            return found
        request = response["UnprocessedKeys"][table]
        sleep(_PAUSE_SECONDS)


def put_over(table: str, seen: Counter | None, new: Counter, shard: int = 0) -> "PutTypeDef":
    """Return the put of a counter, on condition that the one seen is there yet."""
    put: PutTypeDef = {"TableName": table, "Item": counter_to_item(new, shard)}
    if seen is None:
        return put | {"ConditionExpression": "attribute_not_exists(id)"}
    return put | {
        "ConditionExpression": (
            "feed_id = :feed_id AND #sequence = :sequence AND last_id = :last_id"
            " AND is_importing = :is_importing"
            " AND (#state = :state OR attribute_not_exists(#state))"
        ),
        "ExpressionAttributeNames": {
            "#sequence": counter_attribute(seen.shards),
            "#state": "state",
        },
        "ExpressionAttributeValues": {
            ":feed_id": {"B": seen.feed_id},
            ":sequence": {"N": str(seen.sequence)},
            ":last_id": {"S": seen.last_id},
            ":is_importing": {"BOOL": seen.state is not FeedState.OPEN},
            ":state": {"S": seen.state},
        },
    }


def replace_counter(
    client: "DynamoDBClient", table: str, seen: Counter | None, new: Counter, shard: int = 0
) -> bool:
    """Put the new counter in the place of the one seen; return False if it says something else.

    A transaction that is being applied to it counts as that too.
    """
    try:
        client.put_item(**put_over(table, seen, new, shard))
    except client.exceptions.ConditionalCheckFailedException:
        # A put whose answer was lost is repeated by botocore, and finds itself.
        return read_counter(client, table, shard) == new
    except client.exceptions.TransactionConflictException:
        return False
    return True


class NotHeldError(Exception):
    """A transaction was refused: somebody else has taken the feed over, or was at its items."""


class BusyError(Exception):
    """DynamoDB had no room for a transaction, or others were at its items, every time."""


@dataclass(frozen=True, slots=True)
class HeldFeed:
    """A feed that is closed under a claim of its first counter.

    Who takes it over claims that counter before anything else. So what is committed here is
    committed by nobody who has lost the feed, however late it wakes.
    """

    client: "DynamoDBClient"
    table: str
    claim: Counter
    sleep: Callable[[float], None]

    def commit(self, *actions: "Action") -> None:
        """Commit the actions, all or none.

        What may pass is waited for: a new partition takes 1,000 write units a second, and a copy of
        99 records needs 400 and more.

        Raises:
            NotHeldError: the feed is not held any more, or an action was refused.
            BusyError: it did not pass.

        """
        pause = _PAUSE_SECONDS
        for attempt in range(_COMMIT_ATTEMPTS):
            if attempt > 0:
                self.sleep(pause)
                pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)
            try:
                self.client.transact_write_items(TransactItems=[*actions, self.check()])
            except self.client.exceptions.TransactionCanceledException as error:
                reasons: Any = error.response.get("CancellationReasons", ())
                codes = {reason.get("Code", "None") for reason in reasons}
                # A canceled transaction has changed nothing, so it may be sent once more.
                if not codes or codes - _MAY_PASS:
                    raise NotHeldError from error
            else:
                return
        raise BusyError

    def check(self) -> "Action":
        """Return the action that refuses a transaction once the feed is not held any more."""
        return {
            "ConditionCheck": {
                "TableName": self.table,
                "Key": counter_key(),
                "ConditionExpression": "feed_id = :feed_id AND #state = :state",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {
                    ":feed_id": {"B": self.claim.feed_id},
                    ":state": {"S": self.claim.state},
                },
            }
        }
