"""A feed of several shards on a real DynamoDB API, under concurrent readers and writers."""

import itertools
import json
import random
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.model import OperationModel

from aws_backend.cursor import Cursor, FeedCursor, ShardCursor, WholeCursor
from aws_backend.dynamodb_store import DynamoDbRecordStore, read_counter
from aws_backend.errors import (
    ApiError,
    CursorExpired,
    FeedContended,
    FeedImporting,
    FeedRenewing,
    StorageUnavailable,
)
from aws_backend.record import StoredRecord
from aws_backend.record_store import ListedShard
from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_key,
    counter_to_item,
    item_to_counter,
    record_key,
    record_to_item,
    shard_of,
)
from emulator.aws.ministack import Ministack
from tests.support.dynamodb import build_client, create_table, open_store
from tests.support.feed_items import read_indexed_counters
from tests.support.record_store_promises import START, follow, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS = 16


@pytest.fixture(scope="module")
def client(ministack: Ministack) -> Iterator["DynamoDBClient"]:
    """A client of the local DynamoDB."""
    client = build_client(ministack.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoDbRecordStore:
    """A store on an empty table, whose feed will have many shards."""
    return open_store(client, create_table(client), SHARDS)


def another_process(store: DynamoDbRecordStore, shards: int = SHARDS) -> DynamoDbRecordStore:
    """A store on the same table that remembers nothing."""
    return open_store(store.client, store.table, shards)


def ids_of(shard: int, count: int, shards: int = SHARDS) -> list[str]:
    """So many IDs of records of this shard."""
    every = (f"r{number}" for number in itertools.count())
    return list(itertools.islice((i for i in every if shard_of(i, shards) == shard), count))


def counter_of(store: DynamoDbRecordStore, shard: int) -> Counter:
    """The shard's counter."""
    found = store.client.get_item(TableName=store.table, Key=counter_key(shard))
    return item_to_counter(found["Item"])


def put_counter(store: DynamoDbRecordStore, counter: Counter, shard: int) -> None:
    """Write a shard's counter by hand."""
    store.client.put_item(TableName=store.table, Item=counter_to_item(counter, shard))


def listed(store: DynamoDbRecordStore) -> tuple[ListedShard, ...]:
    """The feed's shards."""
    listing = store.list_shards()
    assert listing is not None
    return listing.shards


def remake(client: "DynamoDBClient", table: str) -> None:
    """Make the table anew, empty, under the same name."""
    client.delete_table(TableName=table)
    create_table(client, table)


@contextmanager
def noted_requests(client: "DynamoDBClient") -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Each request to DynamoDB: the operation's name and what it asks."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: OperationModel, **_given: object) -> None:
        asked.append((model.name, params))

    client.meta.events.register("before-parameter-build.dynamodb", note)
    try:
        yield asked
    finally:
        client.meta.events.unregister("before-parameter-build.dynamodb", note)


# --- many writers, and readers at their own pace ------------------------------------------------


@dataclass
class Traffic:
    """Writers that change a few records again and again, as processes of their own would."""

    store: DynamoDbRecordStore
    writers: int = 8
    writes: int = 30
    records: int = 60

    def __post_init__(self) -> None:
        """Nothing is written yet."""
        self.written: list[StoredRecord] = []
        self.is_over = threading.Event()

    def run(self, *readers: Callable[[], list[StoredRecord]]) -> list[list[StoredRecord]]:
        """What each reader has seen, from before the first write to after the last one."""
        with ThreadPoolExecutor(self.writers + len(readers)) as pool:
            reading = [pool.submit(reader) for reader in readers]
            writing = [pool.submit(self._write, writer) for writer in range(self.writers)]
            wait(writing)
            self.is_over.set()
            seen = [future.result() for future in reading]
            for future in writing:
                future.result()
        return seen

    def _write(self, writer: int) -> None:
        chosen = random.Random(writer)  # noqa: S311 - a repeatable choice of writes
        own = another_process(self.store)
        for number in range(self.writes):
            record_id = f"r{chosen.randrange(self.records)}"
            data = None if chosen.random() < 0.2 else json.dumps({"writer": writer, "n": number})
            while True:
                try:
                    written = own.write_record(record_id, lambda _current, d=data: d)  # type: ignore[misc]  # bound now, not when it runs
                except FeedContended:
                    continue
                self.written.append(written)
                break

    def latest(self) -> dict[str, StoredRecord]:
        """The last change of each record."""
        return {r.id: r for r in sorted(self.written, key=lambda r: r.version)}

    def follow(
        self, store: DynamoDbRecordStore, cursor: FeedCursor, limit: int
    ) -> list[StoredRecord]:
        """Everything that a reader sees who asks on and on until the writers are done."""
        seen: list[StoredRecord] = []
        while True:
            # Read before asking, so that one more page is read after the last write.
            is_last = self.is_over.is_set()
            page = store.read_changes(cursor, limit)
            seen += page.records
            cursor = page.next_cursor
            if is_last and not page.has_more:
                return seen


def check_versions_grow(seen: list[StoredRecord]) -> None:
    """Each record's changes come in their order, and none twice."""
    for record_id in {record.id for record in seen}:
        versions = [record.version for record in seen if record.id == record_id]
        assert versions == sorted(set(versions))


def test_when_many_write_then_readers_with_one_cursor_miss_nothing(
    store: DynamoDbRecordStore,
) -> None:
    """At any pace, also one that began before there was a feed, and one with large pages."""
    traffic = Traffic(store)

    seen = traffic.run(
        *(
            lambda limit=limit: traffic.follow(another_process(store), START, limit)
            for limit in (3, 500)
        )
    )

    for each in seen:
        assert traffic.latest() == {record.id: record for record in each}
        check_versions_grow(each)
        assert set(each) <= set(traffic.written)
    assert 8 * 30 == sum(counter_of(store, shard).sequence for shard in range(SHARDS))


def test_when_many_write_then_readers_of_each_shard_miss_nothing(
    store: DynamoDbRecordStore,
) -> None:
    """Each follows its shard by itself, from the start that the listing gave it."""
    put(store, "first")
    traffic = Traffic(store)

    seen = traffic.run(
        *(
            lambda start=each.start: traffic.follow(another_process(store), start, 4)
            for each in listed(store)
        )
    )

    together = [record for each in seen for record in each if record.id != "first"]
    assert traffic.latest() == {record.id: record for record in together}
    for shard, each in enumerate(seen):
        sequences = [record.sequence for record in each]
        assert sequences == sorted(set(sequences))
        assert {shard} >= {shard_of(record.id, SHARDS) for record in each}
    ends = [each.end for each in listed(store)]
    assert [counter_of(store, shard).sequence for shard in range(SHARDS)] == [
        end.sequence for end in ends
    ]


def test_when_each_shard_was_read_to_its_end_then_the_listing_names_the_readers_cursor(
    store: DynamoDbRecordStore,
) -> None:
    """So that a planner sees without a page that there is nothing new."""
    for number in range(60):
        put(store, f"r{number % 40}")

    for each in listed(store):
        cursor: FeedCursor = each.start
        while (page := store.read_changes(cursor, 2)).has_more:
            cursor = page.next_cursor
        assert each.end == page.next_cursor
        assert () == store.read_changes(each.end, 2).records


# --- pages --------------------------------------------------------------------------------------


def test_when_ten_records_have_changed_then_one_request_reads_them(
    store: DynamoDbRecordStore,
) -> None:
    """All counters come in one batch, and only the shards with news are queried."""
    for number in range(40):
        put(store, f"r{number}")
    cursor = store.read_changes(START, 1000).next_cursor
    changed = {put(store, f"r{number}").id for number in range(10)}

    with noted_requests(store.client) as asked:
        page = store.read_changes(cursor, 500)

    names = Tally(name for name, _ in asked)
    assert (changed, False) == ({record.id for record in page.records}, page.has_more)
    assert {"BatchGetItem": 1, "Query": len({shard_of(i, SHARDS) for i in changed})} == names
    assert () == store.read_changes(page.next_cursor, 500).records


def test_when_a_process_does_not_know_the_feed_then_it_finds_its_shards(
    store: DynamoDbRecordStore,
) -> None:
    """What it was told to give a new feed is no more than a guess."""
    for number in range(20):
        put(store, f"r{number}")

    for shards in (1, 5, MAX_SHARDS):
        stranger = another_process(store, shards)
        assert 20 == len(follow(stranger, limit=7))
        assert "r3" == (another_process(store, shards).get_record("r3") or put(store, "r3")).id
        assert another_process(store, shards).get_record("nobody") is None
        assert SHARDS == len(listed(another_process(store, shards)))


def test_when_one_shards_last_change_does_not_show_yet_then_its_place_stays_before_it(
    store: DynamoDbRecordStore,
) -> None:
    """The other shards go on; the change comes with a later page, and no writer goes past it."""
    late_id, same_shard = ids_of(5, 2)
    put(store, late_id)
    before = put(store, late_id)
    after = put(store, late_id, '{"late":true}')
    other = put(store, ids_of(6, 1)[0])
    store.client.put_item(TableName=store.table, Item=record_to_item(before, 5))
    stranger = replace(another_process(store), sleep=lambda _seconds: None)

    page = stranger.read_changes(START, 10)
    with pytest.raises(FeedContended):
        put(stranger, same_shard)
    put(stranger, other.id)
    store.client.put_item(TableName=store.table, Item=record_to_item(after, 5))

    assert isinstance(page.next_cursor, WholeCursor)
    assert 2 == page.next_cursor.sequences[5]
    assert late_id in {r.id for r in stranger.read_changes(page.next_cursor, 10).records}
    assert 4 == put(stranger, same_shard).sequence


# --- cursors ------------------------------------------------------------------------------------


def test_when_a_cursor_is_not_of_this_feed_then_it_has_expired(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Another feed, another number of shards, a place ahead: its reader starts over."""
    put(store, "a")
    other = open_store(client, create_table(client), SHARDS)
    put(other, "a")
    here, there = (each.read_changes(START, 10).next_cursor for each in (store, other))
    assert isinstance(here, WholeCursor)
    ahead = tuple(sequence + 1 for sequence in here.sequences)
    start = listed(store)[3].start
    expired: list[FeedCursor] = [
        there,
        Cursor(here.feed, 1),
        replace(here, sequences=here.sequences[:-1]),
        replace(here, sequences=ahead),
        *(each.start for each in listed(other)),
        replace(start, sequence=10**6),
        replace(start, shards=SHARDS + 1),
        replace(start, shards=SHARDS + 1, shard=SHARDS),
        replace(start, feed=bytes(16)),
    ]

    for cursor in expired:
        with pytest.raises(CursorExpired):
            store.read_changes(cursor, 10)


@pytest.mark.parametrize("shard", [0, 3, 63])
def test_when_there_is_no_feed_then_a_shards_cursor_has_expired(
    store: DynamoDbRecordStore, shard: int
) -> None:
    """Its start too: an empty page would be the news that its records are gone."""
    assert store.list_shards() is None

    with pytest.raises(CursorExpired):
        store.read_changes(ShardCursor(bytes(16), MAX_SHARDS, shard, 0), 10)


def test_when_a_reader_began_before_the_feed_did_then_its_cursor_stays_good(
    store: DynamoDbRecordStore,
) -> None:
    """The start of no feed is the start of any, whatever its number of shards."""
    cursor = store.read_changes(START, 10).next_cursor
    for number in range(8):
        put(store, f"r{number}")

    assert 8 == len(follow(store, cursor, limit=3))


# --- the making of a feed -----------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2, MAX_SHARDS])
def test_when_a_feed_is_made_then_all_of_its_counters_are(
    client: "DynamoDBClient", shards: int
) -> None:
    """In one transaction, so that none is ever missing."""
    store = open_store(client, create_table(client), shards)

    put(store, "a")

    counters = [counter_of(store, shard) for shard in range(shards)]
    assert {(counters[0].feed_id, shards)} == {(each.feed_id, each.shards) for each in counters}
    assert [int(shard == shard_of("a", shards)) for shard in range(shards)] == [
        counter.sequence for counter in counters
    ]
    assert "Item" not in client.get_item(TableName=store.table, Key=counter_key(shards))


def test_when_two_processes_make_the_feed_at_once_then_one_of_them_does(
    client: "DynamoDBClient",
) -> None:
    """They were told other numbers; both writes are there, in the feed of whoever came first."""
    numbers = (1, 2, 7, 16)
    table = create_table(client)
    barrier = threading.Barrier(len(numbers))

    def write(shards: int) -> None:
        own = open_store(client, table, shards)
        attempts = itertools.count()

        def decide(_current: StoredRecord | None) -> str:
            # All of them have seen that there is no feed.
            if next(attempts) == 0:
                barrier.wait(10)
            return "{}"

        own.write_record(f"r{shards}", decide)

    with ThreadPoolExecutor(len(numbers)) as pool:
        for _ in pool.map(write, numbers):
            pass

    counter = read_counter(client, table)
    assert counter is not None
    assert counter.shards in numbers
    assert {f"r{number}" for number in numbers} == {r.id for r in follow(open_store(client, table))}
    assert "Item" not in client.get_item(TableName=table, Key=counter_key(counter.shards))


def test_when_the_setting_is_changed_then_the_feed_keeps_its_shards_and_a_warning_says_so(
    store: DynamoDbRecordStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in each process."""
    put(store, "a")
    cursor = store.read_changes(START, 10).next_cursor
    caplog.clear()
    changed = another_process(store, 4)

    for number in range(8):
        put(changed, f"r{number}")

    assert SHARDS == len(listed(changed))
    assert 8 == len(follow(store, cursor))
    assert ["feed_shards_ignored"] == [record.getMessage() for record in caplog.records]


# --- a process that remembers -------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 4, SHARDS, MAX_SHARDS])
@pytest.mark.parametrize("is_begun", [False, True], ids=["no feed yet", "with a feed"])
def test_when_the_table_was_made_anew_then_a_process_that_knew_the_old_feed_finds_out(
    store: DynamoDbRecordStore,
    shards: int,
    is_begun: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """By what the shard's counter says, or that there is none: nothing goes where nobody looks."""
    for number in range(30):
        put(store, f"old{number}")
    cursor = store.read_changes(START, 100).next_cursor
    remake(store.client, store.table)
    newcomer = another_process(store, shards)
    if is_begun:
        put(newcomer, "new")

    with pytest.raises(CursorExpired):
        store.read_changes(cursor, 10)
    put(store, "a")
    put(store, "b")
    put(newcomer, "c")

    expected = {"a", "b", "c"} | ({"new"} if is_begun else set())
    for reader in (store, newcomer, another_process(store)):
        assert expected == {record.id for record in follow(reader)}
        assert reader.get_record("a") is not None
        assert reader.get_record("old1") is None


@pytest.mark.parametrize("shards", [1, 4, SHARDS, MAX_SHARDS])
def test_when_the_table_was_made_anew_then_a_record_is_found_where_it_is_now(
    store: DynamoDbRecordStore, shards: int
) -> None:
    """Also by a process whose first question this is."""
    put(store, "a")
    remake(store.client, store.table)
    written = put(another_process(store, shards), "a")

    assert written == store.get_record("a")


@pytest.mark.parametrize(
    ("state", "error"), [(FeedState.IMPORTING, FeedImporting), (FeedState.RENEWING, FeedRenewing)]
)
def test_when_the_first_counter_is_closed_then_so_is_the_whole_feed(
    store: DynamoDbRecordStore, state: FeedState, error: type[ApiError]
) -> None:
    """For readers of the whole, of a shard and of the listing, and for whoever does not know it."""
    put(store, "a")
    cursor = store.read_changes(START, 10).next_cursor
    shards = listed(store)
    put_counter(store, replace(counter_of(store, 0), state=state), 0)
    asked: list[Callable[[], object]] = [
        lambda: store.read_changes(START, 10),
        lambda: store.read_changes(cursor, 10),
        lambda: store.read_changes(Cursor(b"x" * 16, 5), 10),
        lambda: store.read_changes(shards[0].start, 10),
        lambda: store.read_changes(shards[7].end, 10),
        lambda: store.read_changes(replace(shards[7].end, feed=b"x" * 16), 10),
        store.list_shards,
        lambda: put(another_process(store), "b"),
        lambda: put(store, ids_of(0, 1)[0]),
    ]

    for ask in asked:
        with pytest.raises(error):
            ask()
    assert store.get_record("a") is not None


def test_when_a_shard_is_claimed_then_no_writer_who_remembers_the_feed_writes_to_it(
    store: DynamoDbRecordStore,
) -> None:
    """A renewal claims the first counter, then the others: each is closed from its claim on."""
    (record_id,) = ids_of(5, 1)
    put(store, record_id)
    for shard in (0, 5):
        seen = counter_of(store, shard)
        put_counter(store, replace(seen, feed_id=b"n" * 16, state=FeedState.RENEWING), shard)

    with pytest.raises(FeedRenewing):
        put(store, record_id)


def test_when_the_counters_are_not_of_one_feed_then_nobody_reads_or_writes_by_them(
    store: DynamoDbRecordStore,
) -> None:
    """Between two reads of a batch the feed may have been replaced; that passes, or is an error."""
    (record_id,) = ids_of(5, 1)
    put(store, record_id)
    whole = counter_of(store, 5)
    put_counter(store, replace(whole, feed_id=b"n" * 16), 5)
    pauses: list[float] = []
    patient = replace(store, sleep=pauses.append)

    with pytest.raises(StorageUnavailable):
        patient.read_changes(START, 10)
    with pytest.raises(StorageUnavailable):
        patient.list_shards()
    with pytest.raises(FeedContended):
        put(patient, record_id)
    put_counter(store, whole, 5)

    assert [record_id] == [record.id for record in follow(patient)]
    assert 2 == put(patient, record_id).version


@pytest.mark.parametrize("is_known", [True, False], ids=["remembered", "a new process"])
def test_when_records_are_on_their_way_to_other_shards_then_none_is_said_to_be_absent(
    store: DynamoDbRecordStore,
    is_known: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A renewal to another number of shards copies each record before it removes one."""
    written = put(store, "a")
    old = shard_of("a", SHARDS)
    claim = replace(counter_of(store, 0), feed_id=b"n" * 16, shards=7, state=FeedState.RENEWING)
    put_counter(store, claim, 0)
    reader = store if is_known else another_process(store, 7)

    with pytest.raises(FeedRenewing):
        reader.get_record("nobody")
    if not is_known:
        with pytest.raises(FeedRenewing):
            reader.get_record("a")

    store.client.put_item(TableName=store.table, Item=record_to_item(written, shard_of("a", 7)))
    store.client.delete_item(TableName=store.table, Key=record_key("a", old))
    for shard in range(7):
        put_counter(store, Counter(b"n" * 16, 1, "", shards=7), shard)

    assert written == reader.get_record("a")
    assert 2 == put(reader, "a").version
    assert 7 == len(listed(reader))


# --- what a write costs -------------------------------------------------------------------------


def written_by(store: DynamoDbRecordStore, record_id: str) -> list[tuple[str, int]]:
    """The requests of one write, each with how many items it names."""
    with noted_requests(store.client) as asked:
        put(store, record_id)
    return [
        (name, len(params.get("TransactItems") or params["RequestItems"][store.table]["Keys"]))
        for name, params in asked
    ]


@pytest.mark.parametrize("shards", [1, SHARDS])
def test_when_a_process_writes_then_it_reads_once_and_checks_the_change_before(
    client: "DynamoDBClient", shards: int
) -> None:
    """Its own too; unless that is of the same record, which is in the transaction already."""
    store = open_store(client, create_table(client), shards)
    one, two, three = ids_of(shards - 1, 3, shards)
    put(store, one)
    other = open_store(client, store.table, shards)

    own_change_before = written_by(store, two)
    put(other, three)
    change_of_another = written_by(store, one)
    same_record = written_by(other, one)

    assert [("BatchGetItem", 2), ("TransactWriteItems", 3)] == own_change_before
    assert [("BatchGetItem", 2), ("TransactWriteItems", 3)] == change_of_another
    assert [("BatchGetItem", 2), ("TransactWriteItems", 2)] == same_record


@pytest.mark.parametrize(("shards", "indexed"), [(1, ["counter"]), (2, []), (SHARDS, [])])
def test_when_a_feed_has_several_shards_then_its_counters_are_not_in_the_index(
    client: "DynamoDBClient", shards: int, indexed: list[str]
) -> None:
    """Nobody reads them there, and each write would pay for it."""
    store = open_store(client, create_table(client), shards)
    for number in range(8):
        put(store, f"r{number}")

    assert indexed == read_indexed_counters(client, store.table)
    assert 8 == len(follow(store))


def test_when_a_commit_was_not_seen_to_succeed_then_the_change_is_checked(
    store: DynamoDbRecordStore,
) -> None:
    """A write whose answer was lost may show by halves: only a success says that it does not."""
    one, two = ids_of(3, 2)
    put(store, one)
    counter = counter_of(store, 3)
    put_counter(store, replace(counter, sequence=2, last_id=one), 3)
    hasty = replace(store, sleep=lambda _seconds: None)

    with pytest.raises(FeedContended):
        put(hasty, two)
