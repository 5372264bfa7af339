"""The record store on DynamoDB. Why it is built like this: docs/adr/0002-change-feed.md."""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, assert_never

import botocore.exceptions

from aws_backend.cursor import FEED_ID_BYTES, Cursor, identify_feed
from aws_backend.errors import (
    CursorExpired,
    FeedContended,
    FeedImportFailed,
    FeedImporting,
    FeedRenewing,
    InternalError,
    StorageUnavailable,
)
from aws_backend.record import StoredRecord
from aws_backend.record_store import DecideData, FeedPage
from aws_backend.table_layout import (
    FEED_INDEX,
    Counter,
    FeedState,
    counter_key,
    counter_to_item,
    item_to_counter,
    item_to_record,
    record_key,
    record_to_item,
    records_collection,
)
from shared.clock import Clock
from shared.formats.rfc3339 import format_rfc3339
from shared.log import log_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import ConditionCheckTypeDef, PutTypeDef
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemsOutputTypeDef as Written
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef as Action

MAX_ATTEMPTS: Final = 12
"""How often a write is tried while other writers win."""

SIZE_LOGGED_FROM_GIGABYTES: Final = 5.0
"""From where on a write logs how large the records are: half of what may share a key."""

_BACK_OFF_SECONDS: Final = 0.01
_LONGEST_BACK_OFF_SECONDS: Final = 0.32

_TRANSIENT_CODES: Final = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_LOST_RACE: Final = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_THROTTLED: Final = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})


_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DynamoDbRecordStore:
    """Implements `aws_backend.record_store.RecordStore` over one table."""

    client: "DynamoDBClient"
    table: str
    clock: Clock
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    """Gives a random number from 0 to 1, for the pauses between attempts."""
    new_feed_id: Callable[[], bytes] = lambda: secrets.token_bytes(FEED_ID_BYTES)

    def read_changes(self, after: Cursor, limit: int) -> FeedPage:
        """See `RecordStore.read_changes`. A page ends early where a DynamoDB page does, at 1 MB."""
        with _storage_errors():
            # The bound comes first: what is committed while the page is read may show up in it
            # without what was committed just before, and is left to the next page.
            counter = self._get_counter()
            if counter is None:
                if after.sequence > 0:
                    raise _expired()
                return FeedPage((), Cursor.at_start(), has_more=False)
            # Before the cursor is judged: a reader that is sent back to the start of half a feed
            # would take what is not there yet for deleted.
            _check_open(counter)
            feed = identify_feed(counter.feed_id, self.table)
            if after.sequence > 0 and (after.feed != feed or after.sequence > counter.sequence):
                raise _expired()
            if after.sequence == counter.sequence:
                return FeedPage((), Cursor(feed, after.sequence), has_more=False)
            response = self.client.query(
                TableName=self.table,
                IndexName=FEED_INDEX,
                ConsistentRead=True,
                Limit=limit,
                # The older spelling of a key condition means the same, and the local stack reads
                # it once instead of once for each of 28,000 records: 0.2 s a page instead of 1 s.
                KeyConditions={
                    "collection": {
                        "ComparisonOperator": "EQ",
                        "AttributeValueList": [{"S": records_collection(0)}],
                    },
                    "sequence": {
                        "ComparisonOperator": "BETWEEN",
                        "AttributeValueList": [
                            {"N": str(after.sequence + 1)},
                            {"N": str(counter.sequence)},
                        ],
                    },
                },
            )
        records = tuple(item_to_record(item) for item in response["Items"])
        # The cursor goes no further than what has been handed out: the change that the counter
        # names may be committed there and not yet visible in the index.
        if not records:
            # DynamoDB may stop at an item that it does not show yet; asking again at once for the
            # same page would go round in circles.
            return FeedPage((), Cursor(feed, after.sequence), has_more=False)
        reached = records[-1].sequence
        return FeedPage(
            records,
            Cursor(feed, reached),
            has_more="LastEvaluatedKey" in response and reached < counter.sequence,
        )

    def get_record(self, record_id: str) -> StoredRecord | None:
        """See `RecordStore.get_record`."""
        with _storage_errors():
            return self._get_record(record_id)

    def write_record(self, record_id: str, decide: DecideData) -> StoredRecord:
        """See `RecordStore.write_record`."""
        for attempt in range(MAX_ATTEMPTS):
            if attempt > 0:
                pause = min(_LONGEST_BACK_OFF_SECONDS, _BACK_OFF_SECONDS * 2**attempt)
                self.sleep(self.jitter() * pause)
            with _storage_errors():
                counter = self._get_counter()
                current = self._get_record(record_id)
            if counter is not None:
                _check_open(counter)
            data = decide(current)
            if current is not None and data is not None and _says_already(current, data):
                if counter is None or _shows_last_change(counter, current):
                    return current
                continue
            written = StoredRecord(
                id=record_id,
                version=current.version + 1 if current else 1,
                sequence=counter.sequence + 1 if counter else 1,
                updated_at=format_rfc3339(self.clock.now()),
                deleted=data is None,
                data="{}" if data is None else data,
            )
            if self._commit(counter, current, written):
                return written
        raise FeedContended("Other writers were quicker; try again.")

    def _get_counter(self) -> Counter | None:
        return read_counter(self.client, self.table)

    def _get_record(self, record_id: str) -> StoredRecord | None:
        response = self.client.get_item(
            TableName=self.table, Key=record_key(record_id), ConsistentRead=True
        )
        return item_to_record(response["Item"]) if "Item" in response else None

    def _commit(
        self, counter: Counter | None, current: StoredRecord | None, written: StoredRecord
    ) -> bool:
        """Commit the change and return True, or return False if another writer came first."""
        if counter is not None and not _is_whole(counter, current, written):
            return False
        actions: list[Action] = [
            {"Put": self._put_record(current, written)},
            {"Put": self._put_counter(counter, written)},
        ]
        if counter is not None and counter.last_id not in {"", written.id}:
            actions.append({"ConditionCheck": self._check_previous(counter)})
        try:
            with _storage_errors():
                response = self.client.transact_write_items(
                    TransactItems=actions, ReturnItemCollectionMetrics="SIZE"
                )
        except self.client.exceptions.TransactionCanceledException as error:
            _check_lost_race(error)
            return False
        _log_size(response)
        return True

    def _put_record(self, current: StoredRecord | None, written: StoredRecord) -> "PutTypeDef":
        put: PutTypeDef = {"TableName": self.table, "Item": record_to_item(written)}
        if current is None:
            return put | {"ConditionExpression": "attribute_not_exists(id)"}
        return put | {
            "ConditionExpression": "version = :version AND #sequence = :sequence",
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {
                ":version": {"N": str(current.version)},
                ":sequence": {"N": str(current.sequence)},
            },
        }

    def _put_counter(self, counter: Counter | None, written: StoredRecord) -> "PutTypeDef":
        if counter is None:
            first = Counter(self.new_feed_id(), written.sequence, written.id)
            return {
                "TableName": self.table,
                "Item": counter_to_item(first),
                "ConditionExpression": "attribute_not_exists(id)",
            }
        moved = replace(counter, sequence=written.sequence, last_id=written.id)
        return {
            "TableName": self.table,
            "Item": counter_to_item(moved),
            "ConditionExpression": (
                "#sequence = :sequence AND feed_id = :feed_id AND is_importing = :no"
            ),
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {
                ":sequence": {"N": str(counter.sequence)},
                ":feed_id": {"B": counter.feed_id},
                ":no": {"BOOL": False},
            },
        }

    def _check_previous(self, counter: Counter) -> "ConditionCheckTypeDef":
        # DynamoDB applies a transaction item by item: the counter may show a change that its
        # record does not yet. With this, no change is committed before the one before it is whole,
        # so below the counter's last change there is never a hole that fills up later.
        return {
            "TableName": self.table,
            "Key": record_key(counter.last_id),
            "ConditionExpression": "#sequence = :sequence",
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {":sequence": {"N": str(counter.sequence)}},
        }


def read_counter(client: "DynamoDBClient", table: str) -> Counter | None:
    """Return the table's counter as last committed, or None if it has no feed yet."""
    response = client.get_item(TableName=table, Key=counter_key(), ConsistentRead=True)
    return item_to_counter(response["Item"]) if "Item" in response else None


def _check_open(counter: Counter) -> None:
    """Raise the error that says why the feed is closed, if it is."""
    match counter.state:
        case FeedState.OPEN:
            return
        case FeedState.IMPORTING:
            raise FeedImporting(
                f"The records are being imported{_since(counter)}; try again when that is over. If"
                " no import runs any more, stop it with bridge feed stop-import."
            )
        case FeedState.IMPORT_FAILED:
            raise FeedImportFailed(
                "An import of the records has failed; import them into this table once more."
            )
        case FeedState.RENEWING:
            raise FeedRenewing(
                f"The feed is being renewed{_since(counter)}; try again when that is over. If"
                " nobody renews it any more, run bridge feed renew."
            )
        case _:
            assert_never(counter.state)


def _since(counter: Counter) -> str:
    return f" since {counter.since}" if counter.since else ""


def _says_already(current: StoredRecord, data: str) -> bool:
    """Return whether the record lives and has exactly this data, so that no write is needed."""
    return not current.deleted and current.data == data


def _shows_last_change(counter: Counter, current: StoredRecord) -> bool:
    """Return False if the last change was of this record and replaces what `current` shows."""
    return counter.last_id != current.id or current.sequence >= counter.sequence


def _is_whole(counter: Counter, current: StoredRecord | None, written: StoredRecord) -> bool:
    """Return False if the last change was of this record and `current` does not show it yet."""
    if counter.last_id != written.id:
        return True
    return current is not None and current.sequence == counter.sequence


def _expired() -> CursorExpired:
    return CursorExpired(
        "The feed that this cursor belongs to is gone; start again without a cursor."
    )


def _log_size(written: "Written") -> None:
    """Log DynamoDB's estimate of the size of all records, once it is worth a look.

    A table with a local index takes 10 GB a key, and all records share one. No metric of
    CloudWatch's shows it; docs/troubleshooting.md has the alarm on this line.
    """
    estimates = [
        gigabytes
        for collections in written.get("ItemCollectionMetrics", {}).values()
        for collection in collections
        for gigabytes in collection.get("SizeEstimateRangeGB", ())
    ]
    largest = max(estimates, default=0.0)
    if largest >= SIZE_LOGGED_FROM_GIGABYTES:
        log_event(_logger, logging.WARNING, "item_collection_size", gigabytes=largest)


def _check_lost_race(error: botocore.exceptions.ClientError) -> None:
    """Return if the transaction lost a race; raise if it failed for any other reason."""
    reasons = {
        str(reason.get("Code", "None")) for reason in error.response.get("CancellationReasons", ())
    } - {"None"}
    if reasons & _THROTTLED:
        raise StorageUnavailable("The storage is busy; try again.") from error
    if not reasons or reasons - _LOST_RACE:
        raise InternalError("The record could not be stored.") from error


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Raise StorageUnavailable for a fault that may pass; botocore has retried it already."""
    try:
        yield
    except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError) as error:
        raise StorageUnavailable("The storage did not answer; try again.") from error
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in _TRANSIENT_CODES or status >= 500:  # noqa: PLR2004 - RFC 9110 section 15.6
            raise StorageUnavailable("The storage is busy; try again.") from error
        raise
