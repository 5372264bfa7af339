"""Fills an empty feed with many records at once, many times faster than one by one."""

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import batched
from typing import TYPE_CHECKING, Final, NamedTuple

import botocore.exceptions

from aws_backend.cursor import FEED_ID_BYTES
from aws_backend.feed.feed_table import read_counter
from aws_backend.feed_upkeep.counters import (
    put_over,
    read_counters,
    replace_counter,
)
from aws_backend.record import StoredRecord, parse_record_data, parse_record_id
from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_key,
    counter_to_item,
    record_key,
    record_to_item,
    records_collection,
    shard_of,
)
from shared.clock import Clock, SystemClock
from shared.formats.rfc3339 import format_rfc3339

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef as Action
    from mypy_boto3_dynamodb.type_defs import WriteRequestUnionTypeDef as WriteRequest

_BATCH: Final = 25  # the most that BatchWriteItem takes
_THREADS: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 5.0

_ATTEMPTS: Final = 30
_CLAIM_PAUSE_SECONDS: Final = 0.1

type ImportedRecord = tuple[str, Mapping[str, object]]
"""A record's ID and its data."""


class _End(NamedTuple):
    """How far a shard has been filled."""

    sequence: int
    last_id: str


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


def import_records(  # noqa: PLR0913 - where to, what, and what is handed in
    client: "DynamoDBClient",
    table: str,
    records: Iterable[ImportedRecord],
    *,
    shards: int = 1,
    progress: Callable[[int], None] = lambda _count: None,
    clock: Clock | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Import records as the first changes of a new feed, in their order, and return how many.

    The feed has so many shards for good; each record goes into its own one, and the order is that
    of each shard. Until all are there, readers of the feed and writers are refused. `progress` is
    called now and then, in this thread, with the number of records written so far. An ID may occur
    once; that is checked as the records come, in a temporary file beyond the first few megabytes.

    An import that fails leaves a feed that says so, until another import has succeeded: that one
    removes what there is and begins anew. One that was killed leaves a feed that says that it is
    being imported; `stop_import` makes that a failed one.

    Raises:
        FeedNotEmptyError: the feed exists already; nothing was written.
        ImportUnfinishedError: another import has not ended; nothing was written.
        ImportStoppedError: somebody has stopped this import.
        InvalidRequest, BodyTooLarge: a record's ID or data is not what the API would take.
        ValueError: an ID came twice; or no feed can have that number of shards, and nothing was
            written.

    """
    if not 1 <= shards <= MAX_SHARDS:
        raise ValueError(f"a feed has 1 to {MAX_SHARDS} shards, not {shards}")
    now = format_rfc3339((clock or SystemClock()).now())
    feed_id = secrets.token_bytes(FEED_ID_BYTES)
    claim = Counter(feed_id, 0, "", FeedState.IMPORTING, now, shards)
    is_second_try = _claim_all(client, table, claim, sleep)
    try:
        if is_second_try:
            _remove_records(client, table, claim, sleep)
        ends = [_End(0, "")] * shards
        with closing(_batches(records, now, ends)) as batches:
            count = _write_all(client, table, claim, batches, progress, sleep)
        _finish(client, table, claim, ends)
    except BaseException:
        # What ended the import matters more than that the table could not be told.
        with contextlib.suppress(
            botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError
        ):
            _declare_failed(client, table, claim)
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
    if counter is None or counter.state is not FeedState.IMPORTING:
        raise NoImportRunningError(f"No import into {table} is running")
    if not _declare_failed(client, table, counter):
        raise NoImportRunningError(f"The import into {table} has just ended")


def _claim_all(
    client: "DynamoDBClient", table: str, claim: Counter, sleep: Callable[[float], None]
) -> bool:
    """Claim the table, and return whether it may hold what a failed import has left."""
    failed: Counter | None = None
    for attempt in range(_ATTEMPTS):
        if attempt > 0:
            sleep(_CLAIM_PAUSE_SECONDS)
        try:
            client.transact_write_items(TransactItems=_claim_actions(table, failed, claim))
        except client.exceptions.TransactionCanceledException as error:
            present = read_counter(client, table)
            # The answer to a transaction may be lost, and the repeated one finds itself.
            if present == claim:
                return failed is not None
            match present and present.state:
                case FeedState.IMPORT_FAILED:
                    failed = present
                case FeedState.OPEN | FeedState.RENEWING:
                    raise FeedNotEmptyError(
                        f"{table} has a feed already; import into a new table"
                    ) from error
                case FeedState.IMPORTING:
                    raise ImportUnfinishedError(
                        f"An import into {table} has not ended; if it was killed, run"
                        f" bridge feed stop-import --table {table} and import again"
                    ) from error
                case None if read_counters(client, table, sleep=sleep):
                    raise FeedNotEmptyError(
                        f"{table} holds a part of a feed, without its first counter; import into a"
                        f" new table, or mend it: bridge feed renew --table {table}"
                    ) from error
                case _:
                    # A transaction is being applied: in a moment there is a feed, or none.
                    failed = None
        else:
            return failed is not None
    raise ImportUnfinishedError(f"Others came first into {table} every time; import again")


def _claim_actions(table: str, failed: Counter | None, claim: Counter) -> "list[Action]":
    """Return what claims all counters at once; over a failed import its counters are replaced."""
    actions: list[Action] = [{"Put": put_over(table, failed, claim)}]
    if failed is None:
        others = range(1, claim.shards)
        return actions + [{"Put": put_over(table, None, claim, shard)} for shard in others]
    # Its other counters are as closed as its first one, which whoever changes them has to hold.
    for shard in range(1, max(claim.shards, failed.shards)):
        if shard < claim.shards:
            actions.append({"Put": {"TableName": table, "Item": counter_to_item(claim, shard)}})
        else:
            actions.append({"Delete": {"TableName": table, "Key": counter_key(shard)}})
    return actions


def _write_all(
    client: "DynamoDBClient",
    table: str,
    claim: Counter,
    batches: "Iterator[tuple[WriteRequest, ...]]",
    progress: Callable[[int], None],
    sleep: Callable[[float], None],
) -> int:
    """Write the batches, and return how many records they had."""
    count = 0

    def write(batch: "tuple[WriteRequest, ...]") -> None:
        _write_batch(client, table, list(batch), sleep)

    with ThreadPoolExecutor(_THREADS) as pool:
        # A bounded number of batches is in hand, so that a long source is not held in memory.
        for group in batched(batches, _THREADS, strict=False):
            _check_claimed(client, table, claim)
            for _ in pool.map(write, group):
                pass
            count += sum(map(len, group))
            progress(count)
    return count


def _finish(client: "DynamoDBClient", table: str, claim: Counter, ends: Sequence[_End]) -> None:
    """Open the feed; the counter that every reader and writer begins with comes last."""
    for shard in reversed(range(claim.shards)):
        sequence, last_id = ends[shard]
        finished = replace(
            claim, sequence=sequence, last_id=last_id, state=FeedState.OPEN, since=""
        )
        if not replace_counter(client, table, claim, finished, shard):
            raise _stopped(table)


def _declare_failed(client: "DynamoDBClient", table: str, seen: Counter) -> bool:
    """Let the counters say that the import has failed; return False if it is not that one's feed.

    What counts is the first counter. The others are for the message that a writer gets.
    """
    failed = replace(seen, state=FeedState.IMPORT_FAILED)
    if not replace_counter(client, table, seen, failed):
        return False
    for shard in range(1, seen.shards):
        replace_counter(client, table, seen, failed, shard)
    return True


def _check_claimed(client: "DynamoDBClient", table: str, claim: Counter) -> None:
    # A batch has no conditions: one that was stopped must see that for itself.
    if read_counter(client, table) != claim:
        raise _stopped(table)


def _remove_records(
    client: "DynamoDBClient", table: str, claim: Counter, sleep: Callable[[float], None]
) -> None:
    # What stays would come up as changes once the feed has reached its sequences. In every
    # collection that a feed can have: the failed import may have had more shards than this one,
    # and so may one before it that was killed while it removed what it had found.
    for shard in range(MAX_SHARDS):
        pages = client.get_paginator("query").paginate(
            TableName=table,
            ConsistentRead=True,
            ProjectionExpression="id",
            KeyConditionExpression="#collection = :records",
            ExpressionAttributeNames={"#collection": "collection"},
            ExpressionAttributeValues={":records": {"S": records_collection(shard)}},
        )
        for page in pages:
            for items in batched(page["Items"], _BATCH, strict=False):
                _check_claimed(client, table, claim)
                requests: list[WriteRequest] = [
                    {"DeleteRequest": {"Key": record_key(item["id"]["S"], shard)}} for item in items
                ]
                _write_batch(client, table, requests, sleep)


def _batches(
    records: Iterable[ImportedRecord], updated_at: str, ends: list[_End]
) -> "Generator[tuple[WriteRequest, ...]]":
    """Give each record its place in its shard, and move that shard's end."""
    with closing(_SeenIds()) as seen:
        for batch in batched(records, _BATCH, strict=False):
            requests: list[WriteRequest] = []
            for record_id, data in batch:
                seen.add(record_id)
                shard = shard_of(record_id, len(ends))
                sequence = ends[shard].sequence + 1
                record = _build_record(record_id, data, sequence, updated_at)
                requests.append({"PutRequest": {"Item": record_to_item(record, shard)}})
                ends[shard] = _End(sequence, record_id)
            yield tuple(requests)


class _SeenIds:
    """The IDs that have come, on disk beyond a few megabytes; gone with the import."""

    def __init__(self) -> None:
        # An unnamed database is a temporary file of SQLite's own, made once its cache is full.
        self._connection = sqlite3.connect("")
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")

    def add(self, record_id: str) -> None:
        """Raise ValueError if the ID has come before."""
        try:
            self._connection.execute("INSERT INTO ids VALUES (?)", (record_id,))
        except sqlite3.IntegrityError:
            raise ValueError(f"{record_id} came twice") from None

    def close(self) -> None:
        """Forget all."""
        self._connection.close()


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
