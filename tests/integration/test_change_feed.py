"""The record store on a real DynamoDB API: what the feed promises, under concurrent writers."""

import itertools
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.model import OperationModel

from aws_backend.cursor import Cursor, identify_feed
from aws_backend.dynamodb_store import DynamoDbRecordStore, read_counter
from aws_backend.errors import (
    CursorExpired,
    FeedContended,
    FeedImportFailed,
    FeedImporting,
    FeedRenewing,
    PreconditionFailed,
    ServiceUnavailable,
)
from aws_backend.feed.record_writing import PATIENT_ATTEMPTS
from aws_backend.feed_renewal import renew_feed
from aws_backend.preconditions import EntityTags, Preconditions
from aws_backend.record import StoredRecord
from aws_backend.record_import import (
    FeedNotEmptyError,
    ImportStoppedError,
    ImportUnfinishedError,
    NoImportRunningError,
    import_records,
    stop_import,
)
from aws_backend.table_layout import (
    Counter,
    FeedState,
    counter_to_item,
    record_key,
    record_to_item,
)
from emulator.aws.ministack import Ministack
from tests.support.dynamodb import build_client, create_table, open_store
from tests.support.feed_items import read_items
from tests.support.record_store_promises import START, RecordStorePromises, follow, ids, place, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


CHECKOUT = Path(__file__).parents[2]
IMPORT_FOR_EVER = """
import itertools, sys
from aws_backend.record_import import import_records
from tests.support.dynamodb import build_client

records = ((f"r{number}", {}) for number in itertools.count())
import_records(
    build_client(sys.argv[1]), sys.argv[2], records, progress=lambda count: print(count, flush=True)
)
"""


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


class TestDynamoDbRecordStore(RecordStorePromises):
    """The store on a real DynamoDB API."""

    @pytest.fixture
    def other_store(self, client: "DynamoDBClient") -> DynamoDbRecordStore:
        """A store on another empty table."""
        return open_store(client, create_table(client))


def test_when_records_are_large_then_a_page_ends_with_dynamodbs_page(
    store: DynamoDbRecordStore,
) -> None:
    """What does not fit into 1 MB comes with the next page, so no answer outgrows Lambda's 6 MB."""
    large = json.dumps({"text": "x" * 250_000})
    for number in range(6):
        put(store, f"r{number}", large)

    first = store.read_changes(START, 1000)

    assert first.has_more
    assert len(first.records) < 6
    assert [f"r{number}" for number in range(6)] == [record.id for record in follow(store)]


# --- concurrent writers -------------------------------------------------------------------------


def patient(write: Callable[[], StoredRecord]) -> StoredRecord:
    """The record as written, however often others come first."""
    while True:
        try:
            return write()
        except FeedContended:
            continue


def test_when_many_write_while_one_follows_then_no_change_is_missed_or_out_of_order(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """A reader at any pace ends with exactly what was committed, and saw it in order of commit."""
    writers, writes = 6, 25
    written: list[StoredRecord] = []
    is_over = threading.Event()

    def write_some(writer: int) -> None:
        chosen = random.Random(writer)  # noqa: S311 - a repeatable choice of writes
        own = open_store(client, store.table)
        for number in range(writes):
            # A few IDs, so that records move in the feed while it is read; some are deleted.
            record_id = f"r{chosen.randrange(12)}"
            data = None if chosen.random() < 0.2 else json.dumps({"writer": writer, "n": number})
            written.append(
                patient(lambda i=record_id, d=data: own.write_record(i, lambda _current: d))  # type: ignore[misc]  # bound now, not when it runs
            )

    def follow_along() -> list[StoredRecord]:
        seen: list[StoredRecord] = []
        cursor = START
        while True:
            # Read before asking, so that one more page is read after the last write.
            is_last = is_over.is_set()
            page = store.read_changes(cursor, 3)
            seen += page.records
            cursor = page.next_cursor
            if is_last and not page.has_more:
                return seen

    with ThreadPoolExecutor(writers + 1) as pool:
        reading = pool.submit(follow_along)
        writing = [pool.submit(write_some, writer) for writer in range(writers)]
        wait(writing)
        is_over.set()
        seen = reading.result()
        for future in writing:
            future.result()

    sequences = [record.sequence for record in seen]
    latest = {record.id: record for record in sorted(written, key=lambda r: r.sequence)}
    assert list(range(1, writers * writes + 1)) == sorted(record.sequence for record in written)
    assert sequences == sorted(set(sequences))
    assert latest == {record.id: record for record in seen}
    assert set(seen) <= set(written)


def test_when_many_write_with_the_same_etag_then_exactly_one_wins(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """If-Match holds under a race: the others are told that the record has moved on."""
    first = put(store, "a")
    preconditions = Preconditions(if_match=EntityTags(frozenset({first.entity_tag})))
    barrier = threading.Barrier(8)

    def compete(writer: int) -> str:
        own = open_store(client, store.table)

        def decide(current: StoredRecord | None) -> str:
            preconditions.check_if_match(current.entity_tag if current else None)
            return json.dumps({"writer": writer})

        barrier.wait()
        try:
            return patient(lambda: own.write_record("a", decide)).data
        except PreconditionFailed:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(compete, range(8)))

    winners = [outcome for outcome in outcomes if outcome != "refused"]
    final = store.get_record("a")
    assert 1 == len(winners)
    assert final is not None
    assert (2, winners[0]) == (final.version, final.data)


def test_when_many_create_the_same_record_then_exactly_one_wins(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """If-None-Match: * holds under a race, on a feed that does not exist yet either."""
    preconditions = Preconditions(if_none_match=EntityTags(frozenset(), is_any=True))
    barrier = threading.Barrier(8)

    def compete(writer: int) -> bool:
        own = open_store(client, store.table)

        def decide(current: StoredRecord | None) -> str:
            preconditions.check_if_none_match(current.entity_tag if current else None)
            return json.dumps({"writer": writer})

        barrier.wait()
        try:
            patient(lambda: own.write_record("a", decide))
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(compete, range(8)))

    assert 1 == outcomes.count(True)
    assert [1] == [record.sequence for record in follow(store)]


def test_when_others_always_come_first_then_the_write_ends_with_feed_contended(
    store: DynamoDbRecordStore,
) -> None:
    """The attempts are bounded, and a write that gave up has changed nothing."""
    numbers = itertools.count()
    pauses: list[float] = []
    unlucky = replace(store, sleep=pauses.append, jitter=lambda: 1.0)

    def overtaken(_current: StoredRecord | None) -> str:
        put(store, f"other{next(numbers)}")
        return "{}"

    with pytest.raises(FeedContended):
        unlucky.write_record("a", overtaken)

    assert store.get_record("a") is None
    assert PATIENT_ATTEMPTS - 1 == len(pauses)
    assert pauses == sorted(pauses)
    assert 0.32 == max(pauses)


def test_when_the_record_alone_is_changed_meanwhile_then_the_write_starts_over(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Even a change that goes past the store, by hand or a restore, is not written over unseen."""
    first = put(store, "a")
    given: list[int] = []

    def decide(current: StoredRecord | None) -> str:
        assert current is not None
        given.append(current.version)
        changed = replace(first, version=7)
        client.put_item(TableName=store.table, Item=record_to_item(changed))
        return "{}"

    assert 8 == store.write_record("a", decide).version
    assert [1, 7] == given


# --- a transaction that shows item by item ------------------------------------------------------
#
# MiniStack applies a transaction in one step, DynamoDB does not (docs/adr/0002-change-feed.md).
# These tests put the table into the state in between: the counter is ahead of the record. All such
# states, in every order, are tried on the model (tests/unit/aws_backend/test_feed_on_the_model.py).


@dataclass(frozen=True, slots=True)
class HalfShown:
    """A feed whose last change, of `b`, shows in the counter and not yet in the record."""

    store: DynamoDbRecordStore
    before: StoredRecord
    after: StoredRecord

    def complete(self) -> None:
        """Let the rest of the transaction show."""
        self.store.client.put_item(TableName=self.store.table, Item=record_to_item(self.after))


@pytest.fixture
def half_shown(client: "DynamoDBClient", store: DynamoDbRecordStore) -> HalfShown:
    """Records a and b, then a change of b that only the counter shows."""
    put(store, "a")
    before = put(store, "b")
    after = put(store, "b", '{"late":true}')
    client.put_item(TableName=store.table, Item=record_to_item(before))
    # The very process that wrote the change and was told so: in a table that has been restored
    # under the same name, that says nothing.
    return HalfShown(replace(store, sleep=lambda _seconds: None), before, after)


def test_when_the_last_change_does_not_show_yet_then_the_cursor_stays_before_it(
    half_shown: HalfShown,
) -> None:
    """The reader gets the change with a later page, once it is there."""
    page = half_shown.store.read_changes(START, 10)

    assert 2 == place(page.next_cursor)

    half_shown.complete()

    assert [half_shown.after] == list(half_shown.store.read_changes(page.next_cursor, 10).records)


def test_when_a_change_shows_before_the_counter_does_then_it_is_left_to_a_later_page(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """What is committed while a page is read may show without what was committed just before."""
    put(store, "a")
    late = replace(put(store, "b"), sequence=4)
    client.put_item(TableName=store.table, Item=record_to_item(replace(late, id="c", sequence=3)))
    client.put_item(TableName=store.table, Item=record_to_item(late))

    page = store.read_changes(START, 10)

    assert ["a"] == ids(page)
    assert (1, False) == (place(page.next_cursor), page.has_more)


@pytest.mark.parametrize("record_id", ["a", "b", "c"])
def test_when_the_last_change_does_not_show_yet_then_no_change_is_committed_after_it(
    half_shown: HalfShown, record_id: str
) -> None:
    """A reader who sees a change has seen all before it, so a writer waits for the one before."""
    with pytest.raises(FeedContended):
        put(half_shown.store, record_id)

    half_shown.complete()

    assert 4 == put(half_shown.store, record_id).sequence


def test_when_the_record_does_not_show_its_last_change_yet_then_its_old_data_is_no_repetition(
    half_shown: HalfShown,
) -> None:
    """What is on its way replaces that data, so saying it again is a change after it."""
    with pytest.raises(FeedContended):
        put(half_shown.store, "b", half_shown.before.data)

    half_shown.complete()

    assert 4 == put(half_shown.store, "b", half_shown.before.data).sequence


def test_when_the_record_shows_a_change_before_the_counter_does_then_it_says_that_already(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The repetition waits for nobody: the change that it repeats is committed."""
    first = put(store, "a")
    ahead = replace(first, sequence=2, version=2, data='{"ahead":true}')
    client.put_item(TableName=store.table, Item=record_to_item(ahead))

    assert ahead == put(store, "a", ahead.data)


@pytest.mark.parametrize("shards", [1, 3])
def test_when_the_feed_is_read_or_written_then_every_read_is_strongly_consistent(
    client: "DynamoDBClient", shards: int
) -> None:
    """What the feed promises holds for such reads alone; the local DynamoDB has no others."""
    store = open_store(client, create_table(client), shards)
    asked: list[tuple[str, object]] = []

    def note(params: dict[str, Any], model: OperationModel, **_given: object) -> None:
        each = params.get("RequestItems", {}).values() or [params]
        asked.extend((model.name, part.get("ConsistentRead")) for part in each)

    client.meta.events.register("before-parameter-build.dynamodb", note)
    try:
        put(store, "a", "{}")
        put(store, "a", "{}")
        store.get_record("a")
        store.get_record("nobody")
        follow(store, limit=1)
        listing = store.list_shards()
        assert listing is not None
        for shard in listing.shards:
            follow(store, shard.start)
    finally:
        client.meta.events.unregister("before-parameter-build.dynamodb", note)

    reads = [(name, consistent) for name, consistent in asked if not name.startswith("Transact")]
    assert {("GetItem", True), ("BatchGetItem", True), ("Query", True)} == set(reads)


# --- earlier releases ---------------------------------------------------------------------------


def move_as_before_shards(
    client: "DynamoDBClient", table: str, written: StoredRecord, feed_id: bytes
) -> None:
    """Commit the change as a release does that knows of no shards: by literal names."""
    seen = written.sequence - 1
    client.transact_write_items(
        TransactItems=[
            {
                "Put": {
                    "TableName": table,
                    "Item": record_to_item(written),
                    "ConditionExpression": "attribute_not_exists(id)",
                }
            },
            {
                "Put": {
                    "TableName": table,
                    "Item": {
                        "collection": {"S": "counter"},
                        "id": {"S": "counter"},
                        "sequence": {"N": str(written.sequence)},
                        "feed_id": {"B": feed_id},
                        "last_id": {"S": written.id},
                        "state": {"S": "open"},
                        "since": {"S": ""},
                        "is_importing": {"BOOL": False},
                    },
                    "ConditionExpression": (
                        "#sequence = :sequence AND feed_id = :feed_id AND is_importing = :no"
                    ),
                    "ExpressionAttributeNames": {"#sequence": "sequence"},
                    "ExpressionAttributeValues": {
                        ":sequence": {"N": str(seen)},
                        ":feed_id": {"B": feed_id},
                        ":no": {"BOOL": False},
                    },
                }
            },
        ]
    )


def feed_id_of(store: DynamoDbRecordStore) -> bytes:
    """The ID of the store's feed."""
    counter = read_counter(store.client, store.table)
    assert counter is not None
    return counter.feed_id


def test_when_an_earlier_release_writes_in_turn_then_a_feed_of_one_shard_goes_on(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """As while a release is rolled out, or after one was rolled back."""
    put(store, "a")
    early = StoredRecord("b", 1, 2, "2026-11-21T00:00:00.000Z", deleted=False, data="{}")
    move_as_before_shards(client, store.table, early, feed_id_of(store))
    put(store, "c")
    later = replace(early, id="d", sequence=4)
    move_as_before_shards(client, store.table, later, feed_id_of(store))

    assert [("a", 1), ("b", 2), ("c", 3), ("d", 4)] == [
        (record.id, record.sequence) for record in follow(store)
    ]
    renew_feed(client, store.table)
    assert 5 == put(store, "e").sequence


def test_when_an_earlier_release_meets_several_shards_then_it_changes_nothing(
    client: "DynamoDBClient",
) -> None:
    """It would take shard 0 for the whole feed."""
    store = open_store(client, create_table(client), 2)
    put(store, "a")
    before = read_items(client, store.table)
    early = StoredRecord("b", 1, 2, "2026-11-21T00:00:00.000Z", deleted=False, data="{}")

    for sequence in (1, 2):
        with pytest.raises(client.exceptions.TransactionCanceledException):
            move_as_before_shards(
                client, store.table, replace(early, sequence=sequence), feed_id_of(store)
            )
    assert before == read_items(client, store.table)


# --- import -------------------------------------------------------------------------------------


def test_when_records_are_imported_then_they_are_the_first_changes_in_their_order(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """An imported feed reads, and goes on, like one that was written record by record."""
    source: list[tuple[str, dict[str, object]]] = [
        (f"r{number:03}", {"number": number, "name": "Zürich"}) for number in range(203)
    ]
    progress: list[int] = []

    count = import_records(client, store.table, source, progress=progress.append)

    changes = follow(store, limit=50)
    assert 203 == count
    assert source == [(change.id, json.loads(change.data)) for change in changes]
    assert list(range(1, 204)) == [change.sequence for change in changes]
    assert {1} == {change.version for change in changes}
    assert [100, 200, 203] == progress
    assert 204 == put(store, "new").sequence


def test_when_an_import_runs_then_readers_and_writers_are_refused(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Nobody acts on half of an import; an empty page would tell a reader that all was deleted."""
    looked: list[int] = []
    old = Cursor(b"an older feed's.", 5)

    def look(count: int) -> None:
        looked.append(count)
        with pytest.raises(FeedImporting):
            put(store, "early")
        for cursor in (START, old):
            with pytest.raises(FeedImporting, match="since 20") as caught:
                store.read_changes(cursor, 10)
            assert (503, 10) == (caught.value.status, caught.value.retry_after_seconds)

    import_records(client, store.table, [("a", {}), ("b", {})], progress=look)

    assert [2] == looked
    with pytest.raises(CursorExpired):
        store.read_changes(old, 10)
    assert ["a", "b"] == [record.id for record in follow(store)]


def test_when_the_feed_has_changes_then_an_import_is_refused(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """An import never writes over records."""
    put(store, "a", '{"mine":true}')

    with pytest.raises(FeedNotEmptyError, match=store.table):
        import_records(client, store.table, [("a", {})])

    record = store.get_record("a")
    assert record is not None
    assert '{"mine":true}' == record.data


def numbered(count: int) -> list[tuple[str, dict[str, object]]]:
    """Records to import."""
    return [(f"r{number:03}", {"number": number}) for number in range(count)]


def fail_to_import(client: "DynamoDBClient", table: str, written: int) -> None:
    """Let an import fail after so many records."""
    with pytest.raises(ValueError, match="r000 came twice"):
        import_records(client, table, [*numbered(written), ("r000", {})])


def test_when_an_import_has_failed_then_the_feed_says_so(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Half an import never becomes a feed."""
    fail_to_import(client, store.table, 200)

    with pytest.raises(FeedImportFailed, match="once more") as caught:
        store.read_changes(START, 10)
    with pytest.raises(FeedImportFailed):
        put(store, "c")
    assert ("feed_import_failed", 503) == (caught.value.code, caught.value.status)
    assert store.get_record("r150") is not None


def test_when_an_import_is_interrupted_then_the_feed_says_so(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Ctrl-C is a failure like any other."""

    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_records(client, store.table, numbered(300), progress=interrupt)

    with pytest.raises(FeedImportFailed):
        store.read_changes(START, 10)
    assert 300 == import_records(client, store.table, numbered(300))


def test_when_the_importing_process_is_killed_then_the_feed_stays_closed_until_it_is_mended(
    ministack: Ministack, client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """A real process, killed with records half in; nothing of it shows up later."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT_FOR_EVER, ministack.endpoint_url, store.table],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    with pytest.raises(FeedImporting):
        store.read_changes(START, 10)

    stop_import(client, store.table)
    import_records(client, store.table, [("a", {}), ("b", {})])
    for _ in range(3):
        put(store, "a")

    assert [("b", 2), ("a", 5)] == [(record.id, record.sequence) for record in follow(store)]


def test_when_an_import_has_failed_then_the_next_one_heals_the_table(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Of the failed one nothing stays, below the new feed's end or above it."""
    fail_to_import(client, store.table, 200)

    assert 2 == import_records(client, store.table, [("a", {}), ("r150", {"new": True})])
    put(store, "b")
    assert [("a", 1), ("r150", 2), ("b", 3)] == [
        (record.id, record.sequence) for record in follow(store)
    ]
    assert store.get_record("r000") is None


def test_when_an_import_was_killed_then_it_is_stopped_by_hand_and_the_next_one_heals_the_table(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """From the outside a killed import looks like one that takes long, so somebody has to say."""
    killed = Counter(b"k" * 16, 0, "", FeedState.IMPORTING, "2026-11-21T05:47:00.000Z")
    client.put_item(TableName=store.table, Item=counter_to_item(killed))

    with pytest.raises(ImportUnfinishedError, match="bridge feed stop-import"):
        import_records(client, store.table, [("a", {})])

    stop_import(client, store.table)
    with pytest.raises(FeedImportFailed):
        store.read_changes(START, 10)

    import_records(client, store.table, [("a", {})])
    assert ["a"] == [record.id for record in follow(store)]


def test_when_an_import_is_stopped_while_it_runs_then_it_ends_and_opens_nothing(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The one that came after it is not disturbed."""

    def replace_import(_count: int) -> None:
        stop_import(client, store.table)
        import_records(client, store.table, [("new", {})])

    with pytest.raises(ImportStoppedError):
        import_records(client, store.table, numbered(300), progress=replace_import)

    assert ["new"] == [record.id for record in follow(store)]


@pytest.mark.parametrize("written", [0, 1])
def test_when_no_import_runs_then_there_is_none_to_stop(
    client: "DynamoDBClient", store: DynamoDbRecordStore, written: int
) -> None:
    """A feed that is in use is never closed by that."""
    for number in range(written):
        put(store, f"r{number}")

    with pytest.raises(NoImportRunningError, match=store.table):
        stop_import(client, store.table)

    assert written == len(follow(store))


@pytest.mark.parametrize(
    ("state", "error"),
    [("importing", FeedImporting), ("renewing", FeedRenewing), ("sharding", FeedImporting)],
)
def test_when_the_counter_is_of_another_release_then_a_closed_feed_stays_closed(
    client: "DynamoDBClient",
    store: DynamoDbRecordStore,
    state: str,
    error: type[ServiceUnavailable],
) -> None:
    """A state that this release does not know is not taken for an open feed."""
    item = counter_to_item(Counter(bytes(16), 0, "", FeedState.IMPORTING))
    client.put_item(TableName=store.table, Item=item | {"state": {"S": state}})

    with pytest.raises(error):
        store.read_changes(START, 10)


def test_when_the_counter_is_of_an_older_release_then_the_feed_goes_on(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """Its item has no state; an upgrade needs no migration."""
    first = put(store, "a")
    item = counter_to_item(Counter(b"f" * 16, 1, first.id))
    old = {name: item[name] for name in item if name not in {"state", "since"}}
    client.put_item(TableName=store.table, Item=old)

    assert 2 == put(store, "b").sequence
    assert identify_feed(b"f" * 16, store.table) == store.read_changes(START, 9).next_cursor.feed


def test_when_nothing_is_imported_then_the_feed_is_empty_and_open(
    client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """An import of no records leaves a feed that takes its first write."""
    assert 0 == import_records(client, store.table, [])
    assert [] == follow(store)
    assert 1 == put(store, "a").sequence


def test_when_a_record_is_read_by_its_key_then_the_counter_is_none_of_them(
    store: DynamoDbRecordStore,
) -> None:
    """A record named like the counter is a record of its own."""
    put(store, "counter", '{"mine":true}')

    record = store.get_record("counter")

    assert record is not None
    assert '{"mine":true}' == record.data
    assert record_key("counter") != {"collection": {"S": "counter"}, "id": {"S": "counter"}}
