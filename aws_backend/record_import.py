"""Fills an empty feed with many records at once, many times faster than one by one."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import batched
from typing import TYPE_CHECKING, Final

import botocore.exceptions

from aws_backend.cursor import FEED_ID_BYTES
from aws_backend.dynamodb_store import read_counter
from aws_backend.record import StoredRecord, parse_record_data, parse_record_id
from aws_backend.table_layout import (
    Counter,
    FeedState,
    counter_to_item,
    record_key,
    record_to_item,
    records_collection,
)
from shared.clock import Clock, SystemClock
from shared.formats.rfc3339 import format_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestUnionTypeDef as WriteRequest

_BATCH: Final = 25  # the most that BatchWriteItem takes
_THREADS: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0

type ImportedRecord = tuple[str, Mapping[str, object]]
"""A record's ID and its data."""


class FeedNotEmptyError(Exception):
    """The table has a feed already; use a new table."""

    code = "feed_not_empty"


class ImportUnfinishedError(FeedNotEmptyError):
    """An import into the table has not ended; if it was killed, it must be stopped first."""

    code = "import_unfinished"


class ImportStoppedError(Exception):
    """Somebody has stopped this import; the table waits for another one."""

    code = "import_stopped"


class NoImportRunningError(Exception):
    """There is no import to stop; nothing was changed."""

    code = "no_import_running"


def import_records(
    client: "DynamoDBClient",
    table: str,
    records: Iterable[ImportedRecord],
    *,
    progress: Callable[[int], None] = lambda _count: None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Import records as the first changes of a new feed, in their order, and return how many.

    Until all are there, readers of the feed and writers are refused. `progress` is called now and
    then, in this thread, with the number of records written so far. An ID may occur once; that is
    checked as the records come.

    An import that fails leaves a feed that says so, until another import has succeeded: that one
    removes what there is and begins anew. One that was killed leaves a feed that says that it is
    being imported; `stop_import` makes that a failed one.

    Raises:
        FeedNotEmptyError: the feed exists already; nothing was written.
        ImportUnfinishedError: another import has not ended; nothing was written.
        ImportStoppedError: somebody has stopped this import.
        InvalidRequest, BodyTooLarge: a record's ID or data is not what the API would take.
        ValueError: an ID came twice.

    """
    now = format_rfc3339((clock or SystemClock()).now())
    claim = Counter(secrets.token_bytes(FEED_ID_BYTES), 0, "", FeedState.IMPORTING, now)
    is_second_try = _start(client, table, claim)
    try:
        if is_second_try:
            _remove_records(client, table, sleep)
        count, last_id = _write_all(client, table, claim, _batches(records, now), progress, sleep)
        finished = replace(claim, sequence=count, last_id=last_id, state=FeedState.OPEN, since="")
        _finish(client, table, claim, finished)
    except BaseException:
        # What ended the import matters more than that the table could not be told.
        with contextlib.suppress(
            botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError
        ):
            replace_counter(client, table, claim, replace(claim, state=FeedState.IMPORT_FAILED))
        raise
    return count


def stop_import(client: "DynamoDBClient", table: str) -> None:
    """Make an import that was killed a failed one, so that the table takes another.

    One that is running after all ends at its next step, and may still write the records that it
    has in hand: end its process first.

    Raises:
        NoImportRunningError: the feed does not say that it is being imported.

    """
    counter = read_counter(client, table)
    failed = counter and replace(counter, state=FeedState.IMPORT_FAILED)
    if counter is None or failed is None or counter.state is not FeedState.IMPORTING:
        raise NoImportRunningError(f"No import into {table} is running")
    if not replace_counter(client, table, counter, failed):
        raise NoImportRunningError(f"The import into {table} has just ended")


def replace_counter(
    client: "DynamoDBClient", table: str, seen: Counter | None, new: Counter
) -> bool:
    """Put the new counter in the place of the one seen; return False if it says something else.

    A transaction that is being applied to it counts as that too.
    """
    try:
        if seen is None:
            client.put_item(
                TableName=table,
                Item=counter_to_item(new),
                ConditionExpression="attribute_not_exists(id)",
            )
        else:
            client.put_item(
                TableName=table,
                Item=counter_to_item(new),
                ConditionExpression=(
                    "feed_id = :feed_id AND #sequence = :sequence AND last_id = :last_id"
                    " AND is_importing = :is_importing"
                    " AND (#state = :state OR attribute_not_exists(#state))"
                ),
                ExpressionAttributeNames={"#sequence": "sequence", "#state": "state"},
                ExpressionAttributeValues={
                    ":feed_id": {"B": seen.feed_id},
                    ":sequence": {"N": str(seen.sequence)},
                    ":last_id": {"S": seen.last_id},
                    ":is_importing": {"BOOL": seen.state is not FeedState.OPEN},
                    ":state": {"S": seen.state},
                },
            )
    except client.exceptions.ConditionalCheckFailedException:
        # A put whose answer was lost is repeated by botocore, and finds itself.
        return read_counter(client, table) == new
    except client.exceptions.TransactionConflictException:
        return False
    return True


def _start(client: "DynamoDBClient", table: str, claim: Counter) -> bool:
    """Claim the table, and return whether it holds what a failed import has left."""
    if replace_counter(client, table, None, claim):
        return False
    present = read_counter(client, table)
    match present and present.state:
        case FeedState.IMPORT_FAILED if replace_counter(client, table, present, claim):
            return True
        case FeedState.OPEN | FeedState.RENEWING:
            raise FeedNotEmptyError(f"{table} has a feed already; import into a new table")
        case _:
            raise ImportUnfinishedError(
                f"An import into {table} has not ended; if it was killed, run"
                f" bridge feed stop-import --table {table} and import again"
            )


def _write_all(
    client: "DynamoDBClient",
    table: str,
    claim: Counter,
    batches: Iterator[tuple[StoredRecord, ...]],
    progress: Callable[[int], None],
    sleep: Callable[[float], None],
) -> tuple[int, str]:
    """Write the batches; return how many records they had, and the last one's ID."""
    last_id = ""
    count = 0

    def write(batch: tuple[StoredRecord, ...]) -> None:
        requests: list[WriteRequest] = [{"PutRequest": {"Item": record_to_item(r)}} for r in batch]
        _write_batch(client, table, requests, sleep)

    with ThreadPoolExecutor(_THREADS) as pool:
        # A bounded number of batches is in hand, so that a long source is not held in memory.
        for group in batched(batches, _THREADS, strict=False):
            # A batch has no conditions: one that was stopped must see that for itself.
            if read_counter(client, table) != claim:
                raise _stopped(table)
            for _ in pool.map(write, group):
                pass
            count += sum(map(len, group))
            last_id = group[-1][-1].id
            progress(count)
    return count, last_id


def _finish(client: "DynamoDBClient", table: str, claim: Counter, finished: Counter) -> None:
    if not replace_counter(client, table, claim, finished):
        raise _stopped(table)


def _remove_records(client: "DynamoDBClient", table: str, sleep: Callable[[float], None]) -> None:
    # What stays would come up as changes once the feed has reached its sequences.
    pages = client.get_paginator("query").paginate(
        TableName=table,
        ConsistentRead=True,
        ProjectionExpression="id",
        KeyConditionExpression="#collection = :records",
        ExpressionAttributeNames={"#collection": "collection"},
        ExpressionAttributeValues={":records": {"S": records_collection(0)}},
    )
    for page in pages:
        for items in batched(page["Items"], _BATCH, strict=False):
            requests: list[WriteRequest] = [
                {"DeleteRequest": {"Key": record_key(item["id"]["S"])}} for item in items
            ]
            _write_batch(client, table, requests, sleep)


def _batches(
    records: Iterable[ImportedRecord], updated_at: str
) -> Iterator[tuple[StoredRecord, ...]]:
    seen: set[str] = set()
    for numbered in batched(enumerate(records, start=1), _BATCH, strict=False):
        batch = []
        for sequence, (record_id, data) in numbered:
            if record_id in seen:
                raise ValueError(f"{record_id} came twice")
            seen.add(record_id)
            batch.append(_build_record(record_id, data, sequence, updated_at))
        yield tuple(batch)


def _build_record(
    record_id: str, data: Mapping[str, object], sequence: int, updated_at: str
) -> StoredRecord:
    return StoredRecord(
        id=parse_record_id(record_id),
        version=1,
        sequence=sequence,
        updated_at=updated_at,
        deleted=False,
        data=parse_record_data(json.dumps(data, ensure_ascii=False).encode()),
    )


def _write_batch(
    client: "DynamoDBClient",
    table: str,
    requests: "list[WriteRequest]",
    sleep: Callable[[float], None],
) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while requests:
        response = client.batch_write_item(RequestItems={table: requests})
        # What the table has no capacity for comes back, to be sent again after a pause.
        requests = list(response["UnprocessedItems"].get(table, ()))
        if requests:
            sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)


def _stopped(table: str) -> ImportStoppedError:
    return ImportStoppedError(f"The import into {table} was stopped by somebody else")
