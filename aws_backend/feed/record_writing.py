"""Writes a record and its place in the feed, in one transaction."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import botocore.exceptions

from aws_backend.errors import FeedContended
from aws_backend.feed.feed_table import FeedTable
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.feed.open_feed import check_open
from aws_backend.feed.storage_faults import check_lost_race, storage_errors
from aws_backend.record import StoredRecord
from aws_backend.record_store import DecideData
from aws_backend.table_layout import (
    Counter,
    counter_attribute,
    counter_key,
    counter_to_item,
    item_to_counter,
    item_to_record,
    record_key,
    record_to_item,
    shard_of,
)
from shared.clock import Clock
from shared.formats.rfc3339 import format_rfc3339
from shared.log import log_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import ConditionCheckTypeDef, PutTypeDef
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemsOutputTypeDef as Written
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef as Action

    from aws_backend.table_layout import StoredItem

MAX_ATTEMPTS: Final = 24
"""How often a write is tried while other writers win."""

PATIENT_ATTEMPTS: Final = 8
"""So many times a write that has lost steps back; after that it does not wait any more. Whoever has
lost often comes before those who have just begun, so that few lose every time."""

SIZE_LOGGED_FROM_GIGABYTES: Final = 5.0
"""From where on a write logs how large a shard's records are: half of what may share a key."""

_LOOKS: Final = 2
"""How often a write looks at the table in one attempt: as remembered, and as it is by now."""

_logger = logging.getLogger(__name__)


class _Lost(NamedTuple):
    """Another writer came first."""

    counter: Counter | None = None
    """The shard's counter by now, if DynamoDB has said it, and the record is as it was."""


class _Seen(NamedTuple):
    """What a write goes by."""

    shards: int
    shard: int
    counter: Counter | None
    """The shard's; None if the table has no feed yet."""
    record: StoredRecord | None


@dataclass(frozen=True, slots=True)
class RecordWriter:
    """Writes to one table's feed."""

    table: FeedTable
    known: KnownFeed
    clock: Clock
    new_feed_id: Callable[[], bytes]
    longest_seconds: float
    """From when on no further attempt begins."""

    def write_record(self, record_id: str, decide: DecideData) -> StoredRecord:
        """See `RecordStore.write_record`."""
        started = self.clock.monotonic()
        ahead: _Seen | None = None
        for attempt in range(MAX_ATTEMPTS):
            if self.clock.monotonic() - started > self.longest_seconds:
                break
            if attempt > 0 and ahead is None:
                self.table.pause(attempt)
            seen = ahead or self._look(record_id)
            ahead = None
            if seen is None:
                continue
            counter, current = seen.counter, seen.record
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
            lost = self._commit(seen, written)
            if lost is None:
                return written
            if attempt + 1 >= PATIENT_ATTEMPTS and self._is_ours(lost.counter):
                ahead = seen._replace(counter=lost.counter)
        raise FeedContended("Other writers were quicker; try again.")

    def _look(self, record_id: str) -> _Seen | None:
        """Return the record and its shard's counter; None while the feed is being replaced."""
        for _ in range(_LOOKS):
            feed = self.known.seen
            if feed is None:
                # By itself and first: what is read after it is of this feed or of a later one.
                (first,) = self.table.get_counters([0])
                if first is None:
                    shards = self.known.new_shards
                    shard = shard_of(record_id, shards)
                    (item,) = self.table.get_items([record_key(record_id, shard)])
                    return _Seen(shards, shard, None, _record(item))
                check_open(first)
                feed = self.known.learn(first)
            shard = shard_of(record_id, feed.shards)
            counter, record = self._get(shard, record_id)
            if feed.owns(counter):
                return _Seen(feed.shards, shard, counter, record)
            # Another feed, or a closed one: the counter of shard 0 says which.
            self.known.forget()
        return None

    def _get(self, shard: int, record_id: str) -> tuple[Counter | None, StoredRecord | None]:
        counter, record = self.table.get_items([counter_key(shard), record_key(record_id, shard)])
        return _counter(counter), _record(record)

    def _is_ours(self, counter: Counter | None) -> bool:
        """Return whether the counter is one of the feed that this process remembers."""
        feed = self.known.seen
        return feed is not None and feed.owns(counter)

    def _commit(self, seen: _Seen, written: StoredRecord) -> _Lost | None:
        """Commit the change and return None, or return how another writer came first."""
        counter = seen.counter
        if counter is None:
            moved = Counter(self.new_feed_id(), written.sequence, written.id, shards=seen.shards)
            actions = self._begin_feed(seen, written, moved)
        elif _is_whole(counter, seen.record, written):
            moved = replace(counter, sequence=written.sequence, last_id=written.id)
            actions = self._go_on(seen, written, counter, moved)
        else:
            return _Lost()
        try:
            with storage_errors():
                response = self.table.client.transact_write_items(
                    TransactItems=actions, ReturnItemCollectionMetrics="SIZE"
                )
        except self.table.client.exceptions.TransactionCanceledException as error:
            check_lost_race(error)
            return _Lost(_counter_in(error))
        if counter is None:
            self.known.learn(moved)
        _log_size(response)
        return None

    def _begin_feed(self, seen: _Seen, written: StoredRecord, moved: Counter) -> "list[Action]":
        # All counters at once: none is ever absent from a feed, and of two processes that begin one
        # with another number of shards each, only one does.
        untouched = replace(moved, sequence=0, last_id="")
        actions: list[Action] = [{"Put": self._put_record(seen, written)}]
        for shard in range(seen.shards):
            counter = moved if shard == seen.shard else untouched
            put: PutTypeDef = {
                "TableName": self.table.name,
                "Item": counter_to_item(counter, shard),
                "ConditionExpression": "attribute_not_exists(id)",
            }
            actions.append({"Put": put})
        return actions

    def _go_on(
        self, seen: _Seen, written: StoredRecord, counter: Counter, moved: Counter
    ) -> "list[Action]":
        actions: list[Action] = [
            {"Put": self._put_record(seen, written)},
            {"Put": self._put_counter(seen.shard, counter, moved)},
        ]
        # Also where this process has committed that change itself: that it was told so says nothing
        # of a table that was restored since, nor, by AWS's pages, that all of it shows.
        if counter.last_id not in {"", written.id}:
            actions.append({"ConditionCheck": self._check_previous(seen.shard, counter)})
        return actions

    def _put_record(self, seen: _Seen, written: StoredRecord) -> "PutTypeDef":
        put: PutTypeDef = {
            "TableName": self.table.name,
            "Item": record_to_item(written, seen.shard),
        }
        if seen.record is None:
            return put | {"ConditionExpression": "attribute_not_exists(id)"}
        return put | {
            "ConditionExpression": "version = :version AND #sequence = :sequence",
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {
                ":version": {"N": str(seen.record.version)},
                ":sequence": {"N": str(seen.record.sequence)},
            },
        }

    def _put_counter(self, shard: int, counter: Counter, moved: Counter) -> "PutTypeDef":
        return {
            "TableName": self.table.name,
            "Item": counter_to_item(moved, shard),
            "ConditionExpression": (
                "#sequence = :sequence AND feed_id = :feed_id AND is_importing = :no"
            ),
            "ExpressionAttributeNames": {"#sequence": counter_attribute(counter.shards)},
            "ExpressionAttributeValues": {
                ":sequence": {"N": str(counter.sequence)},
                ":feed_id": {"B": counter.feed_id},
                ":no": {"BOOL": False},
            },
            # The next attempt then needs no read.
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _check_previous(self, shard: int, counter: Counter) -> "ConditionCheckTypeDef":
        # DynamoDB applies a transaction item by item: the counter may show a change that its
        # record does not yet. With this, no change is committed before the one before it is whole,
        # so below the counter's last change there is never a hole that fills up later.
        return {
            "TableName": self.table.name,
            "Key": record_key(counter.last_id, shard),
            "ConditionExpression": "#sequence = :sequence",
            "ExpressionAttributeNames": {"#sequence": "sequence"},
            "ExpressionAttributeValues": {":sequence": {"N": str(counter.sequence)}},
        }


def _counter(item: "StoredItem | None") -> Counter | None:
    return None if item is None else item_to_counter(item)


def _record(item: "StoredItem | None") -> StoredRecord | None:
    return None if item is None else item_to_record(item)


def _counter_in(error: botocore.exceptions.ClientError) -> Counter | None:
    """Return the counter as the canceled transaction found it, if nothing but that was wrong."""
    # The record comes first, the counter second, the check of the change before third.
    reasons: Any = error.response.get("CancellationReasons", ())
    match reasons:
        case [record, {"Item": item}, *others] if not any(map(_failed, (record, *others))):
            return item_to_counter(item) if item else None
    return None


def _failed(reason: Mapping[str, object]) -> bool:
    return reason.get("Code", "None") != "None"


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


def _log_size(written: "Written") -> None:
    """Log DynamoDB's estimate of the size of a shard's records, once it is worth a look.

    A table with a local index takes 10 GB a key, and a shard's records share one. No metric of
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
