"""A table that was taken back to an earlier state: who has read the later one is not left wrong.

A point-in-time restore copies items, the feed's ID among them, to a table with another name, and a
transaction may be in the copy by half. The restores here are copies by hand with those halves.
"""

import asyncio
import json
import sqlite3
import threading
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from aws_backend.dispatch import dispatch_event
from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import (
    CursorExpired,
    FeedContended,
    FeedRenewing,
    ServiceUnavailable,
)
from aws_backend.feed_renewal import FeedRenewalError, RenewedFeed, renew_feed
from aws_backend.record import StoredRecord
from aws_backend.record_import import ImportUnfinishedError, import_records
from aws_backend.records_api import RecordsApi
from aws_backend.table_layout import (
    Counter,
    FeedState,
    counter_key,
    counter_to_item,
    shard_of,
)
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendUnavailable
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.change_feed import error_for_status, parse_change_page
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.records import ChangePage
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from emulator.aws.ministack import Ministack
from shared.clock import SystemClock
from tests.support.dynamodb import build_client, create_table, open_store
from tests.support.feed_items import read_counter_of, read_items
from tests.support.proxy_event import proxy_event
from tests.support.record_store_promises import START, follow, place, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RECORDS: Final = 40
NAMES: Final = tuple(f"r{number:02}" for number in range(RECORDS))


@pytest.fixture(scope="module")
def client(ministack: Ministack) -> Iterator["DynamoDBClient"]:
    """A client of the local DynamoDB."""
    client = build_client(ministack.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoDbRecordStore:
    """A store on an empty table."""
    return open_store(client, create_table(client))


# --- the sync job over the API, and the restore -------------------------------------------------


@dataclass(slots=True)
class Source:
    """The API over one table after the other, as the sync job reads it."""

    store: DynamoDbRecordStore

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """A page, through the API's own JSON."""
        assert not deadline.has_passed
        query = {"limit": [str(limit)]} | ({"cursor": [cursor]} if cursor else {})
        operations = RecordsApi(self.store).operations()
        answer: dict[str, Any] = dispatch_event(
            proxy_event(query=query), lambda: operations, SystemClock()
        )
        if answer["statusCode"] != 200:
            code = json.loads(answer["body"])["code"]
            raise error_for_status(answer["statusCode"], code, None)
        return parse_change_page(answer["body"].encode())


@dataclass(frozen=True, slots=True)
class Sink:
    """A SQLite file, filled by the real job."""

    path: Path

    async def sync(self, source: Source) -> SyncStatus:
        """How a run ends."""
        store = SqliteStore(self.path)
        try:
            job = SyncJob(
                source=source,
                store=store,
                clock=SystemClock(),
                new_run_id=lambda: "run",
                page_size=7,
                run_seconds=60.0,
                page_seconds=30.0,
                deletion_limit=DeletionLimit(1.0),
            )
            return (await job.run()).status
        finally:
            await store.aclose()

    def records(self) -> dict[str, Any]:
        """What a reader of the file takes for the records."""
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT id, data FROM records WHERE NOT deleted")
            return {record_id: json.loads(data) for record_id, data in rows}


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    """An empty sink."""
    return Sink(tmp_path / "records.sqlite3")


def live(store: DynamoDbRecordStore) -> dict[str, Any]:
    """The source's records."""
    return {r.id: json.loads(r.data) for r in follow(store) if not r.deleted}


def fill(store: DynamoDbRecordStore, shards: int = 1) -> None:
    """Write the records once, each with the same text of the past."""
    records: list[tuple[str, dict[str, object]]] = [(name, {"at": "first"}) for name in NAMES]
    import_records(store.client, store.table, records, shards=shards)


def change(store: DynamoDbRecordStore, numbers: range, what: str) -> list[StoredRecord]:
    """Change some of the records."""
    return [put(store, f"r{number:02}", json.dumps({"at": what})) for number in numbers]


type Backup = list[dict[str, Any]]


def back_up(store: DynamoDbRecordStore) -> Backup:
    """Every item of the table."""
    return read_items(store.client, store.table)


def restore(client: "DynamoDBClient", backup: Backup, table: str) -> DynamoDbRecordStore:
    """The store on a table with exactly the backup's items."""
    store = open_store(client, table)
    for item in back_up(store):
        key = {name: item[name] for name in ("collection", "id")}
        client.delete_item(TableName=table, Key=key)
    for item in backup:
        client.put_item(TableName=table, Item=item)
    return store


def put_item(store: DynamoDbRecordStore, item: Any) -> None:
    """Write past the store."""
    store.client.put_item(TableName=store.table, Item=item)


def counter_of(store: DynamoDbRecordStore, shard: int = 0) -> Counter:
    """A shard's counter, which is there."""
    counter = read_counter_of(back_up(store), shard)
    assert counter is not None
    return counter


def shards_of(store: DynamoDbRecordStore) -> range:
    """The shards of the store's feed."""
    return range(counter_of(store).shards)


# --- healing, from end to end -------------------------------------------------------------------


async def test_when_a_table_is_restored_to_another_then_the_sink_heals_by_itself(
    client: "DynamoDBClient", store: DynamoDbRecordStore, sink: Sink
) -> None:
    """Other changes took the same sequences and versions; nobody has done anything about it."""
    fill(store)
    backup = back_up(store)
    change(store, range(15), "lost with the restore")
    put(store, "lost", "{}")
    source = Source(store)
    await sink.sync(source)
    assert live(store) == sink.records()

    source.store = restore(client, backup, create_table(client))
    change(source.store, range(15, 38), "after the restore")

    assert SyncStatus.COMPLETE == await sink.sync(source)
    assert live(source.store) == sink.records()
    assert "lost" not in sink.records()


async def test_when_the_job_runs_while_a_table_is_filled_then_the_sink_keeps_its_records(
    client: "DynamoDBClient", store: DynamoDbRecordStore, sink: Sink
) -> None:
    """From its claim to its end, and after it failed; then the new feed takes over."""
    fill(store)
    source = Source(store)
    await sink.sync(source)
    before = sink.records()
    source.store = open_store(client, create_table(client))
    busy = ThreadPoolExecutor(1)

    def tick(_count: int) -> None:
        # The import calls from within a running loop, which cannot wait for another coroutine.
        with pytest.raises(BackendUnavailable, match="503"):
            busy.submit(asyncio.run, sink.sync(source)).result()
        assert before == sink.records()

    records: list[tuple[str, dict[str, object]]] = [(f"n{n:03}", {}) for n in range(200)]
    with busy, pytest.raises(ValueError, match="came twice"):
        import_records(client, source.store.table, [*records, ("n000", {})], progress=tick)
    with pytest.raises(BackendUnavailable):
        await sink.sync(source)
    assert before == sink.records()

    import_records(client, source.store.table, records)
    await sink.sync(source)
    assert {name for name, _ in records} == set(sink.records())


type Halves = Callable[[DynamoDbRecordStore], None]


def nothing_by_half(_store: DynamoDbRecordStore) -> None:
    """A backup between two transactions."""


def counter_ahead(store: DynamoDbRecordStore, record_id: str = "r20") -> None:
    """Of the last transaction the backup has the counter."""
    shard = shard_of(record_id, len(shards_of(store)))
    counter = counter_of(store, shard)
    ahead = replace(counter, sequence=counter.sequence + 1, last_id=record_id)
    put_item(store, counter_to_item(ahead, shard))


def counter_ahead_of_a_new_record(store: DynamoDbRecordStore) -> None:
    """The same, and the record was new."""
    counter_ahead(store, "n")


def every_counter_ahead(store: DynamoDbRecordStore) -> None:
    """The same in each shard."""
    shards = shards_of(store)
    for shard in shards:
        counter_ahead(store, next(name for name in NAMES if shard_of(name, len(shards)) == shard))


def counter_behind(store: DynamoDbRecordStore) -> None:
    """Of the last three transactions the backup has the records."""
    counters = [counter_of(store, shard) for shard in shards_of(store)]
    change(store, range(20, 23), "by half")
    for shard, counter in enumerate(counters):
        put_item(store, counter_to_item(counter, shard))


def counter_behind_and_served(store: DynamoDbRecordStore) -> None:
    """The same, and since then other changes have taken the sequences once more."""
    counter_behind(store)
    change(store, range(25, 30), "on half a transaction")


def counter_lost(store: DynamoDbRecordStore) -> None:
    """The backup is of the moment when the feed began."""
    last = shards_of(store)[-1]
    store.client.delete_item(TableName=store.table, Key=counter_key(last))


def first_counter_lost(store: DynamoDbRecordStore) -> None:
    """The one that says how many there are."""
    store.client.delete_item(TableName=store.table, Key=counter_key())


def all_counters_lost_but_one(store: DynamoDbRecordStore) -> None:
    """The one that is left says it as well."""
    for shard in [shard for shard in shards_of(store) if shard != 2]:
        store.client.delete_item(TableName=store.table, Key=counter_key(shard))


def shards_of_different_moments(store: DynamoDbRecordStore) -> None:
    """Of some shards the backup is a moment younger than of the others."""
    older = {"counter", "counter-2", "records", "records-2"}
    before = [item for item in back_up(store) if item["collection"]["S"] in older]
    change(store, range(30, 40), "a moment later")
    for item in before:
        put_item(store, item)


def renewal_killed_half_way(store: DynamoDbRecordStore) -> None:
    """Of the counters some have the new feed's ID, and are closed."""
    for shard in list(shards_of(store))[:2]:
        claimed = replace(counter_of(store, shard), feed_id=b"k" * 16, state=FeedState.RENEWING)
        put_item(store, counter_to_item(claimed, shard))


ONE_SHARD: Final = (
    nothing_by_half,
    counter_ahead,
    counter_ahead_of_a_new_record,
    counter_behind,
    counter_behind_and_served,
    counter_lost,
    renewal_killed_half_way,
)
SHARDS: Final = 4
HALVES: Final = pytest.mark.parametrize(
    ("shards", "halves"),
    [
        *((1, halves) for halves in ONE_SHARD),
        *((SHARDS, halves) for halves in ONE_SHARD),
        (SHARDS, every_counter_ahead),
        (SHARDS, first_counter_lost),
        (SHARDS, all_counters_lost_but_one),
        (SHARDS, shards_of_different_moments),
    ],
)


@HALVES
async def test_when_a_table_is_taken_back_and_renewed_then_the_sink_heals(
    client: "DynamoDBClient",
    store: DynamoDbRecordStore,
    sink: Sink,
    shards: int,
    halves: Halves,
) -> None:
    """Under the same name, with half of a transaction; some had read it before the renewal."""
    fill(store, shards)
    backup = back_up(store)
    change(store, range(15), "lost with the restore")
    put(store, "lost", "{}")
    source = Source(store)
    await sink.sync(source)

    restore(client, backup, store.table)
    halves(store)
    renew_feed(client, store.table)
    change(store, range(15, 38), "after the restore")

    assert SyncStatus.COMPLETE == await sink.sync(source)
    assert live(store) == sink.records()
    change(store, range(3), "still in use")
    await sink.sync(source)
    assert live(store) == sink.records()


LOST_CHANGES: Final[Mapping[Halves, int]] = {
    counter_ahead: 1,
    counter_ahead_of_a_new_record: 1,
    every_counter_ahead: SHARDS,
}


def doubles(shards: int) -> int:
    """How many of the five changes got a place that one of the three before had taken."""
    taken = Counts(shard_of(f"r{number}", shards) for number in range(20, 23))
    given = Counts(shard_of(f"r{number}", shards) for number in range(25, 30))
    return (taken & given).total()


@HALVES
def test_when_a_feed_is_renewed_then_it_is_whole(
    client: "DynamoDBClient", store: DynamoDbRecordStore, shards: int, halves: Halves
) -> None:
    """Each record has a place of its own, none beyond its counter, and every record takes writes.

    A page of one record at a time is where two records in one place would be passed over.
    """
    fill(store, shards)
    change(store, range(5), "before")
    halves(store)
    renewed = renew_feed(client, store.table)

    changes = follow(store, limit=1)
    assert shards == len(renewed.sequences)
    for shard in range(shards):
        places = [each.sequence for each in changes if shard_of(each.id, shards) == shard]
        assert places == sorted(set(places))
        assert places[-1] <= counter_of(store, shard).sequence == renewed.sequences[shard]
    assert sorted(NAMES) == sorted(record.id for record in changes)
    assert len(changes) == renewed.records
    assert LOST_CHANGES.get(halves, 0) == renewed.lost_changes
    assert (doubles(shards) if halves is counter_behind_and_served else 0) == renewed.records_moved
    for record_id in ("r20", "r22", "r25", "new"):
        put(store, record_id)


def test_when_half_a_transaction_is_not_renewed_then_no_write_is_taken(
    store: DynamoDbRecordStore,
) -> None:
    """What the counter names will never show; the runbook knows the sign."""
    fill(store)
    counter_ahead(store)

    with pytest.raises(FeedContended):
        put(replace(store, sleep=lambda _seconds: None), "r00")


# --- cursors ------------------------------------------------------------------------------------


def test_when_a_cursor_is_of_another_table_then_it_has_expired_in_both_directions(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The feed's ID is the same in both; going back to the old table is another change of feed."""
    fill(store)
    restored = restore(client, back_up(store), create_table(client))
    there = restored.read_changes(START, 10).next_cursor
    here = store.read_changes(START, 10).next_cursor

    assert place(there) == place(here)
    for feed, cursor in ((restored, here), (store, there)):
        with pytest.raises(CursorExpired):
            feed.read_changes(cursor, 10)
    assert 10 == len(store.read_changes(here, 10).records)


def test_when_a_table_is_made_again_under_its_name_then_old_cursors_have_expired(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The feed that begins in it has an ID of its own."""
    fill(store)
    cursor = store.read_changes(START, 10).next_cursor

    client.delete_table(TableName=store.table)
    create_table(client, store.table)
    with pytest.raises(CursorExpired):
        store.read_changes(cursor, 10)
    fill(store)
    with pytest.raises(CursorExpired):
        store.read_changes(cursor, 10)


def test_when_a_feed_is_renewed_twice_then_each_time_it_is_another_one(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The second renewal finds a whole feed; its readers start over once more, and that is all."""
    fill(store)
    cursors = [store.read_changes(START, 10).next_cursor]
    before = live(store)
    for _ in range(2):
        renewed = renew_feed(client, store.table)

        assert RenewedFeed(RECORDS, (RECORDS,), lost_changes=0, records_moved=0) == renewed
        cursors.append(store.read_changes(START, 10).next_cursor)

    assert 3 == len({cursor.feed for cursor in cursors})
    for cursor in cursors[:2]:
        with pytest.raises(CursorExpired):
            store.read_changes(cursor, 10)
    assert before == live(store)


def test_when_an_empty_table_is_renewed_then_it_is_an_empty_feed(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """A backup of a table without records is one too."""
    assert 0 == renew_feed(client, store.table).records
    assert [] == follow(store)
    assert 1 == put(store, "a").sequence


# --- others at the same time --------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, SHARDS])
def test_when_a_feed_is_renewed_under_writers_and_a_reader_then_no_change_is_lost(
    client: "DynamoDBClient", store: DynamoDbRecordStore, shards: int
) -> None:
    """Whoever follows the feed, starting over where told to, ends with the latest of each."""
    fill(store, shards)
    is_renewed, is_written = threading.Event(), threading.Event()

    def write(writer: int) -> dict[str, StoredRecord]:
        own = open_store(client, store.table)
        written: dict[str, StoredRecord] = {}
        number = 0
        while not is_renewed.is_set():
            record_id = f"w{writer}-{number % 5}"
            number += 1
            try:
                written[record_id] = put(own, record_id)
            except ServiceUnavailable:
                continue
        return written

    def read() -> dict[str, StoredRecord]:
        seen: dict[str, StoredRecord] = {}
        cursor = START
        while True:
            # Read before asking, so that one more page is read after the last write.
            is_last = is_written.is_set()
            try:
                page = store.read_changes(cursor, 5)
            except FeedRenewing:
                continue
            except CursorExpired:
                cursor = START
                seen.clear()
                continue
            seen |= {record.id: record for record in page.records}
            cursor = page.next_cursor
            if is_last and not page.has_more:
                return seen

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, writer) for writer in range(3)]
        reading = pool.submit(read)
        try:
            for _ in range(3):
                renew_feed(client, store.table)
        finally:
            is_renewed.set()
            wait(writing)
            is_written.set()
        written = {name: record for future in writing for name, record in future.result().items()}
        seen = reading.result()

    assert written
    assert written == {name: seen[name] for name in written}
    assert {record.id for record in follow(store)} == set(seen)


def test_when_a_renewal_was_killed_then_the_feed_is_closed_until_the_next_one_is_through(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Nobody reads a feed of which it is not known that it is whole."""
    fill(store)
    old = store.read_changes(START, 10).next_cursor
    killed = replace(
        counter_of(store), feed_id=b"k" * 16, state=FeedState.RENEWING, since="2026-11-21T05:47:00Z"
    )
    put_item(store, counter_to_item(killed))

    for ask in (lambda: store.read_changes(old, 10), lambda: put(store, "r00")):
        with pytest.raises(FeedRenewing, match="since 2026-11-21T05:47:00Z"):
            ask()

    renew_feed(client, store.table)
    with pytest.raises(CursorExpired):
        store.read_changes(old, 10)
    assert RECORDS + 1 == put(store, "r00").sequence


def test_when_another_renewal_takes_over_then_the_first_one_changes_nothing_more(
    client: "DynamoDBClient", ministack: Ministack, store: DynamoDbRecordStore
) -> None:
    """It was frozen between looking and moving, and wakes in a feed that is open and in use."""
    fill(store)
    counter_behind_and_served(store)
    frozen = build_client(ministack.endpoint_url)
    after: list[dict[str, StoredRecord]] = []

    def others_go_on(**_given: object) -> None:
        if not after:
            renew_feed(client, store.table)
            put(store, "r39")
            after.append({record.id: record for record in follow(store)})

    frozen.meta.events.register("before-call.dynamodb.TransactWriteItems", others_go_on)
    with closing(frozen), pytest.raises(FeedRenewalError, match="taken over"):
        renew_feed(frozen, store.table)

    assert after == [{record.id: record for record in follow(store)}]


def test_when_another_renewal_is_at_work_then_the_first_one_moves_no_record(
    client: "DynamoDBClient", ministack: Ministack, store: DynamoDbRecordStore
) -> None:
    """The other has not come to that record yet, which still is where the first one saw it."""
    fill(store)
    counter_behind_and_served(store)
    frozen = build_client(ministack.endpoint_url)
    after: list[Backup] = []

    def take_over(**_given: object) -> None:
        if not after:
            put_item(store, counter_to_item(replace(counter_of(store), feed_id=b"o" * 16)))
            after.append(back_up(store))

    frozen.meta.events.register("before-call.dynamodb.TransactWriteItems", take_over)
    with closing(frozen), pytest.raises(FeedRenewalError, match="taken over"):
        renew_feed(frozen, store.table)

    assert FeedState.RENEWING is counter_of(store).state
    assert after == [back_up(store)]
    assert 3 == renew_feed(client, store.table).records_moved


@pytest.mark.parametrize("state", [FeedState.IMPORTING, FeedState.IMPORT_FAILED])
def test_when_the_table_holds_part_of_an_import_then_it_is_not_renewed(
    client: "DynamoDBClient", store: DynamoDbRecordStore, state: FeedState
) -> None:
    """Half an import never becomes a feed, nor this way."""
    part = Counter(b"p" * 16, 0, "", state)
    put_item(store, counter_to_item(part))

    with pytest.raises(ImportUnfinishedError, match="once more"):
        renew_feed(client, store.table)

    assert part == counter_of(store)


@pytest.mark.parametrize(("before", "after"), [(1, SHARDS), (SHARDS, 1), (SHARDS, 3)])
async def test_when_a_feed_gets_another_number_of_shards_then_the_sink_stays_right(
    client: "DynamoDBClient", store: DynamoDbRecordStore, sink: Sink, before: int, after: int
) -> None:
    """The store is one that has seen the feed before; its readers start over."""
    fill(store, before)
    change(store, range(15), "before")
    put(store, "new")
    source = Source(store)
    await sink.sync(source)

    renew_feed(client, store.table, shards=after)

    for fresh in (store, open_store(client, store.table)):
        assert [] == [name for name in (*NAMES, "new") if fresh.get_record(name) is None]
    change(store, range(10, 20), "after")
    store.write_record("r30", lambda _current: None)
    assert SyncStatus.COMPLETE == await sink.sync(source)
    assert live(store) == sink.records()
    assert RECORDS == len(sink.records())


def test_when_a_feed_gets_another_number_of_shards_under_writers_then_no_write_is_lost(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Who has seen the old number is turned away, or looks again; each keeps its latest write."""
    fill(store)
    is_over = threading.Event()

    def write(writer: int) -> dict[str, StoredRecord]:
        own = open_store(client, store.table)
        written: dict[str, StoredRecord] = {}
        number = 0
        while not is_over.is_set():
            record_id = f"w{writer}-{number % 5}"
            number += 1
            try:
                written[record_id] = put(own, record_id)
            except ServiceUnavailable:
                continue
        return written

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, writer) for writer in range(3)]
        try:
            for shards in (SHARDS, 2, 3):
                renew_feed(client, store.table, shards=shards)
        finally:
            is_over.set()
        written = {name: record for future in writing for name, record in future.result().items()}

    found = {record.id: record for record in follow(store)}
    assert {*NAMES, *written} == set(found)
    for name, record in written.items():
        assert (record.version, record.data) == (found[name].version, found[name].data)
        assert found[name] == store.get_record(name)
