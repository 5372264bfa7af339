"""Fills an empty feed with many records at once, many times faster than one by one."""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import batched
from typing import TYPE_CHECKING, Final

from aws_backend.cursor import FEED_ID_BYTES
from aws_backend.record import StoredRecord, parse_record_data, parse_record_id
from aws_backend.table_layout import Counter, counter_to_item, record_to_item
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
    """The table has seen changes already, or an import that did not end; use a new table."""

    code = "feed_not_empty"


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

    Readers of the feed see none of them until all are there, and writers are refused meanwhile.
    `progress` is called now and then, in this thread, with the number of records written so far.
    It can be done once: an import that fails leaves a table that takes neither another import nor
    a write. An ID may occur once; that is checked as the records come.

    Raises:
        FeedNotEmptyError: the feed exists already; nothing was written.
        InvalidRequest, BodyTooLarge: a record's ID or data is not what the API would take.
        ValueError: an ID came twice.

    """
    clock = clock or SystemClock()
    counter = Counter(secrets.token_bytes(FEED_ID_BYTES), 0, "", is_importing=True)
    _start(client, table, counter)
    last = None
    count = 0
    batches = _batches(records, format_rfc3339(clock.now()))
    with ThreadPoolExecutor(_THREADS) as pool:
        # A bounded number of batches is in hand, so that a long source is not held in memory.
        for group in batched(batches, _THREADS, strict=False):
            for _ in pool.map(lambda batch: _write_batch(client, table, batch, sleep), group):
                pass
            count += sum(map(len, group))
            last = group[-1][-1]
            progress(count)
    # While it says that an import runs, no other writer touches the counter: it needs no condition.
    finished = replace(counter, sequence=count, last_id=last.id if last else "", is_importing=False)
    client.put_item(TableName=table, Item=counter_to_item(finished))
    return count


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
    batch: tuple[StoredRecord, ...],
    sleep: Callable[[float], None],
) -> None:
    requests: list[WriteRequest] = [{"PutRequest": {"Item": record_to_item(r)}} for r in batch]
    pause = _FIRST_PAUSE_SECONDS
    while requests:
        response = client.batch_write_item(RequestItems={table: requests})
        # What the table has no capacity for comes back, to be sent again after a pause.
        requests = list(response["UnprocessedItems"].get(table, ()))
        if requests:
            sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, 2 * pause)


def _start(client: "DynamoDBClient", table: str, counter: Counter) -> None:
    try:
        client.put_item(
            TableName=table,
            Item=counter_to_item(counter),
            ConditionExpression="attribute_not_exists(id)",
        )
    except client.exceptions.ConditionalCheckFailedException as error:
        raise FeedNotEmptyError(f"{table} has a feed already; import into a new table") from error
