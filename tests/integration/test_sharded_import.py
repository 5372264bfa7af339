"""An import into a feed of several shards, looked at in the table itself."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from aws_backend.record_import import (
    FeedNotEmptyError,
    ImportStoppedError,
    ImportUnfinishedError,
    import_records,
    stop_import,
)
from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_key,
    counter_to_item,
    shard_of,
)
from emulator.aws.ministack import Ministack
from tests.support.dynamodb import build_client, create_table
from tests.support.feed_items import read_counter_of, read_items, read_places

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CHECKOUT = Path(__file__).parents[2]
IMPORT_FOR_EVER = """
import itertools, sys
from aws_backend.record_import import import_records
from tests.support.dynamodb import build_client

client = build_client(sys.argv[1])
import_records(
    client,
    sys.argv[2],
    ((f"k{number}", {}) for number in itertools.count()),
    shards=8,
    progress=lambda count: print(count, flush=True),
)
"""
COUNT: Final = 60


@pytest.fixture(scope="module")
def client(ministack: Ministack) -> Iterator["DynamoDBClient"]:
    """A client of the local DynamoDB."""
    client = build_client(ministack.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def table(client: "DynamoDBClient") -> str:
    """An empty table."""
    return create_table(client)


def numbered(count: int, prefix: str = "r") -> list[tuple[str, dict[str, object]]]:
    """Records to import."""
    return [(f"{prefix}{number:03}", {"number": number}) for number in range(count)]


def fail_to_import(client: "DynamoDBClient", table: str, shards: int) -> None:
    """Let an import fail after its records were written."""
    with pytest.raises(ValueError, match="f000 came twice"):
        import_records(client, table, [*numbered(125, "f"), ("f000", {})], shards=shards)


def assert_feed(client: "DynamoDBClient", table: str, ids: list[str], shards: int) -> None:
    """Assert that the table holds a feed of exactly these records as its first changes."""
    items = read_items(client, table)
    feed_ids = set()
    for shard in range(MAX_SHARDS):
        counter = read_counter_of(items, shard)
        own = [each for each in ids if shard < shards and shard_of(each, shards) == shard]
        assert list(enumerate(own, start=1)) == read_places(items, shard)
        if shard >= shards:
            assert counter is None
            continue
        assert counter is not None
        feed_ids.add(counter.feed_id)
        expected = Counter(counter.feed_id, len(own), own[-1] if own else "", shards=shards)
        assert expected == counter
    assert 1 == len(feed_ids)
    assert len(ids) + shards == len(items)


@pytest.mark.parametrize("shards", [1, 4, MAX_SHARDS])
def test_when_records_are_imported_then_each_is_in_its_shard_in_their_order(
    client: "DynamoDBClient", table: str, shards: int
) -> None:
    """Each shard has sequences of its own, without a gap, and a counter that says where it ends."""
    records = numbered(COUNT)

    assert COUNT == import_records(client, table, records, shards=shards)
    assert_feed(client, table, [record_id for record_id, _ in records], shards)


@pytest.mark.parametrize("shards", [0, MAX_SHARDS + 1])
def test_when_no_feed_can_have_that_number_then_nothing_is_written(
    client: "DynamoDBClient", table: str, shards: int
) -> None:
    """The number is for good."""
    with pytest.raises(ValueError, match="1 to 64 shards"):
        import_records(client, table, numbered(1), shards=shards)

    assert [] == read_items(client, table)


@pytest.mark.parametrize(("before", "after"), [(8, 2), (2, 8), (1, 4), (4, 1)])
def test_when_an_import_has_failed_then_the_next_one_may_have_another_number_of_shards(
    client: "DynamoDBClient", table: str, before: int, after: int
) -> None:
    """Nothing of the failed one stays, in no shard of it."""
    fail_to_import(client, table, before)

    import_records(client, table, numbered(COUNT), shards=after)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], after)


def test_when_the_import_after_a_failed_one_is_killed_then_a_third_removes_what_both_left(
    ministack: Ministack, client: "DynamoDBClient", table: str
) -> None:
    """The second was killed before it removed a record, and its claim has fewer shards."""
    fail_to_import(client, table, 8)
    killed = build_client(ministack.endpoint_url)

    def die(**_given: object) -> None:
        raise SystemExit

    killed.meta.events.register("before-call.dynamodb.BatchWriteItem", die)
    killed.meta.events.register("before-call.dynamodb.PutItem", die)
    with closing(killed), pytest.raises(SystemExit):
        import_records(killed, table, numbered(COUNT), shards=2)
    with pytest.raises(ImportUnfinishedError):
        import_records(client, table, numbered(COUNT), shards=4)
    stop_import(client, table)

    import_records(client, table, numbered(COUNT), shards=4)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], 4)


def test_when_the_importing_process_is_killed_then_it_is_stopped_and_the_next_one_heals_the_table(
    ministack: Ministack, client: "DynamoDBClient", table: str
) -> None:
    """A real process, killed with records half in."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT_FOR_EVER, ministack.endpoint_url, table],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    stop_import(client, table)
    import_records(client, table, numbered(COUNT), shards=3)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], 3)


@pytest.mark.parametrize("other", [2, 8])
def test_when_another_import_takes_over_then_the_first_one_opens_nothing(
    client: "DynamoDBClient", table: str, other: int
) -> None:
    """It was stopped by hand while it ran, and the other one has another number of shards."""

    def take_over(_count: int) -> None:
        with pytest.raises(ImportUnfinishedError):
            import_records(client, table, numbered(COUNT), shards=other)
        stop_import(client, table)
        import_records(client, table, numbered(COUNT), shards=other)

    with pytest.raises(ImportStoppedError):
        import_records(client, table, numbered(300, "f"), shards=4, progress=take_over)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], other)


def test_when_another_import_takes_over_at_the_end_then_the_first_one_opens_nothing(
    ministack: Ministack, client: "DynamoDBClient", table: str
) -> None:
    """All of its records were written, and the next thing was to open the shards."""
    frozen = build_client(ministack.endpoint_url)
    taken: list[bool] = []

    def take_over(**_given: object) -> None:
        if not taken:
            taken.append(True)
            stop_import(client, table)
            import_records(client, table, numbered(COUNT), shards=2)

    frozen.meta.events.register("before-call.dynamodb.PutItem", take_over)
    with closing(frozen), pytest.raises(ImportStoppedError):
        import_records(frozen, table, numbered(100, "f"), shards=4)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], 2)


def test_when_what_the_failed_one_left_is_removed_then_nothing_of_a_later_import_is(
    ministack: Ministack, client: "DynamoDBClient", table: str
) -> None:
    """The import that removes was frozen with a page of IDs in hand, which another has by then."""
    fail_to_import(client, table, 2)
    frozen = build_client(ministack.endpoint_url)
    taken: list[bool] = []

    def take_over(**_given: object) -> None:
        if not taken:
            taken.append(True)
            stop_import(client, table)
            import_records(client, table, numbered(COUNT, "f"), shards=2)

    frozen.meta.events.register("after-call.dynamodb.Query", take_over)
    with closing(frozen), pytest.raises(ImportStoppedError):
        import_records(frozen, table, numbered(COUNT), shards=2)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT, "f")], 2)


def test_when_an_import_ends_then_the_first_counter_opens_last(
    ministack: Ministack, client: "DynamoDBClient", table: str
) -> None:
    """It says to everybody whether there is a feed; a kill on the way opens none."""
    watched = build_client(ministack.endpoint_url)
    opened: list[str] = []

    def keep(params: dict[str, Any], **_given: object) -> None:
        opened.append(params["Item"]["collection"]["S"])
        if opened[-1] == "counter":
            raise SystemExit

    watched.meta.events.register("before-parameter-build.dynamodb.PutItem", keep)
    with closing(watched), pytest.raises(SystemExit):
        import_records(watched, table, numbered(COUNT), shards=4)

    assert ["counter-3", "counter-2", "counter-1", "counter"] == opened[:4]
    first = read_counter_of(read_items(client, table), 0)
    assert first is not None
    assert FeedState.IMPORTING is first.state
    stop_import(client, table)
    import_records(client, table, numbered(COUNT), shards=4)
    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], 4)


def test_when_an_import_has_failed_then_every_counter_says_so(
    client: "DynamoDBClient", table: str
) -> None:
    """A writer asks the counter of its own shard only."""
    fail_to_import(client, table, 4)

    items = read_items(client, table)
    counters = [read_counter_of(items, shard) for shard in range(4)]
    assert [FeedState.IMPORT_FAILED] * 4 == [counter and counter.state for counter in counters]


def test_when_only_the_first_counter_is_missing_then_an_import_is_refused(
    client: "DynamoDBClient", table: str
) -> None:
    """A backup can hold that, and records with it."""
    import_records(client, table, numbered(COUNT), shards=4)
    client.delete_item(TableName=table, Key=counter_key())
    before = read_items(client, table)

    with pytest.raises(FeedNotEmptyError, match=f"bridge feed renew --table {table}"):
        import_records(client, table, numbered(COUNT), shards=4)

    assert before == read_items(client, table)


def test_when_a_failed_import_has_no_other_counter_then_the_next_one_makes_them_all(
    client: "DynamoDBClient", table: str
) -> None:
    """A backup can hold that too; what counts is what the first one says."""
    failed = Counter(b"f" * 16, 0, "", FeedState.IMPORT_FAILED, shards=3)
    client.put_item(TableName=table, Item=counter_to_item(failed))
    stray = replace(failed, feed_id=b"x" * 16, sequence=7, last_id="x", state=FeedState.OPEN)
    client.put_item(TableName=table, Item=counter_to_item(stray, 2))

    import_records(client, table, numbered(COUNT), shards=4)

    assert_feed(client, table, [record_id for record_id, _ in numbered(COUNT)], 4)
