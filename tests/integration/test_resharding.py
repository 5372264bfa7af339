"""A feed in use gets another number of shards, looked at in the table itself."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from aws_backend.feed_renewal import FeedRenewalError, MisplacedRecordsError, renew_feed
from aws_backend.record import StoredRecord
from aws_backend.record_import import ImportUnfinishedError, import_records
from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_key,
    counter_to_item,
    item_to_record,
    record_key,
    record_to_item,
    shard_of,
)
from emulator.aws.ministack import Ministack
from tests.support.dynamodb import build_client, create_table
from tests.support.feed_items import (
    read_counter_of,
    read_indexed_counters,
    read_items,
    read_places,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COUNT: Final = 40
WRITES: Final = ("PutItem", "TransactWriteItems")


@pytest.fixture(scope="module")
def client(ministack: Ministack) -> Iterator["DynamoDBClient"]:
    """A client of the local DynamoDB."""
    client = build_client(ministack.endpoint_url)
    yield client
    client.close()


def fill(client: "DynamoDBClient", shards: int) -> str:
    """A new table with a feed of so many shards, one of its records deleted and one changed."""
    table = create_table(client)
    import_records(
        client, table, ((f"r{number:02}", {"n": number}) for number in range(COUNT)), shards=shards
    )
    for name, deleted in (("r07", True), ("r11", False)):
        shard = shard_of(name, shards)
        counter = read_counter_of(read_items(client, table), shard)
        assert counter is not None
        end = counter.sequence + 1
        changed = StoredRecord(name, 2, end, "2026-11-21T00:00:00.000Z", deleted, "{}")
        client.put_item(TableName=table, Item=record_to_item(changed, shard))
        moved = replace(counter, sequence=end, last_id=name)
        client.put_item(TableName=table, Item=counter_to_item(moved, shard))
    return table


def contents(items: list[dict[str, Any]]) -> dict[str, StoredRecord]:
    """The records by their IDs, all but their places; one that lies twice says the same twice."""
    found: dict[str, StoredRecord] = {}
    for item in items:
        if "version" in item:
            record = replace(item_to_record(item), sequence=0)
            assert record == found.setdefault(record.id, record)
    return found


def assert_whole(client: "DynamoDBClient", table: str, shards: int) -> None:
    """Assert that the feed is open, in so many shards, with each record in a place of its own."""
    items = read_items(client, table)
    counters = [read_counter_of(items, shard) for shard in range(MAX_SHARDS)]
    assert {"counter"} | {f"counter-{shard}" for shard in range(1, shards)} == {
        item["collection"]["S"] for item in items if "feed_id" in item
    }
    assert 1 == len({counter.feed_id for counter in counters if counter})
    for shard in range(MAX_SHARDS):
        places = read_places(items, shard)
        assert len(places) == len({sequence for sequence, _ in places})
        counter = counters[shard]
        if counter is None:
            assert [] == places
            continue
        assert (FeedState.OPEN, shards) == (counter.state, counter.shards)
        assert {shard} >= {shard_of(record_id, shards) for _, record_id in places}
        assert counter.sequence >= max((sequence for sequence, _ in places), default=0)
    assert COUNT + shards == len(items)
    assert (["counter"] if shards == 1 else []) == read_indexed_counters(client, table)


@pytest.mark.parametrize(
    ("before", "after"), [(1, 4), (4, 1), (4, 6), (6, 4), (1, MAX_SHARDS), (4, 4)]
)
def test_when_a_feed_is_given_another_number_of_shards_then_each_record_is_in_its_own(
    client: "DynamoDBClient", before: int, after: int
) -> None:
    """With its version, its data, and as deleted as it was."""
    table = fill(client, before)
    was = read_items(client, table)

    renewed = renew_feed(client, table, shards=after)

    assert_whole(client, table, after)
    assert contents(was) == contents(read_items(client, table))
    moved = [name for name in contents(was) if shard_of(name, before) != shard_of(name, after)]
    assert (COUNT, after, len(moved)) == (
        renewed.records,
        len(renewed.sequences),
        renewed.records_resharded,
    )


def test_when_a_record_stays_in_its_shard_then_it_keeps_its_place(
    client: "DynamoDBClient",
) -> None:
    """Only what moves is written."""
    table = fill(client, 1)
    was = {name: place for place, name in read_places(read_items(client, table), 0)}

    renew_feed(client, table, shards=4)

    stay = read_places(read_items(client, table), 0)
    assert stay
    assert [(was[name], name) for _, name in stay] == stay


class Killed(BaseException):
    """The process is gone."""


def at_write(
    client: "DynamoDBClient", number: int, act: Callable[[], None], moment: str = "before-call"
) -> None:
    """Let the client do that once, before or after the write of this number, from 0."""
    numbers = itertools.count()

    def look(**_given: object) -> None:
        if number == next(numbers):
            act()

    for name in WRITES:
        client.meta.events.register(f"{moment}.dynamodb.{name}", look)


def die() -> None:
    """Let the process be gone."""
    raise Killed


def count_writes(ministack: Ministack, before: int, after: int) -> int:
    """How many requests a renewal writes with."""
    counting = build_client(ministack.endpoint_url)
    seen: list[object] = []
    table = fill(counting, before)
    for name in WRITES:
        counting.meta.events.register(
            f"before-call.dynamodb.{name}", lambda **given: seen.append(given)
        )
    with closing(counting):
        renew_feed(counting, table, shards=after)
    return len(seen)


@pytest.mark.parametrize(
    ("before", "after", "moment"), [(1, 3, "before-call"), (4, 2, "after-call")]
)
def test_when_it_is_killed_at_any_write_then_nothing_is_lost_and_the_next_one_ends_it(
    ministack: Ministack, client: "DynamoDBClient", before: int, after: int, moment: str
) -> None:
    """Killed before a request or after it; in between, every record is somewhere."""
    writes = count_writes(ministack, before, after)
    assert writes > before + after
    for number in range(writes):
        table = fill(client, before)
        was = read_items(client, table)
        dying = build_client(ministack.endpoint_url)
        at_write(dying, number, die, moment)
        with closing(dying), pytest.raises(Killed):
            renew_feed(dying, table, shards=after)

        halfway = read_items(client, table)
        assert contents(was) == contents(halfway)
        first = read_counter_of(halfway, 0)
        assert first is not None
        is_untouched = (number, moment) == (0, "before-call")
        is_through = (number, moment) == (writes - 1, "after-call")
        assert (is_untouched or is_through) == (first.state is FeedState.OPEN)

        renew_feed(client, table, shards=after)
        assert_whole(client, table, after)
        assert contents(was) == contents(read_items(client, table))


def take_over(
    client: "DynamoDBClient", table: str, shards: int, later: list[list[dict[str, Any]]]
) -> None:
    """Renew the feed, and keep what the table holds then."""
    renew_feed(client, table, shards=shards)
    later.append(read_items(client, table))


@pytest.mark.parametrize(("before", "after", "other"), [(1, 3, 2), (3, 1, 3)])
def test_when_another_renewal_takes_over_then_the_first_one_changes_nothing_more(
    ministack: Ministack,
    client: "DynamoDBClient",
    before: int,
    after: int,
    other: int,
) -> None:
    """Frozen before any of its writes, it wakes in a feed that is open and in use."""
    for number in range(1, count_writes(ministack, before, after)):
        table = fill(client, before)
        was = read_items(client, table)
        frozen = build_client(ministack.endpoint_url)
        later: list[list[dict[str, Any]]] = []
        at_write(frozen, number, partial(take_over, client, table, other, later))
        with closing(frozen), pytest.raises(FeedRenewalError, match="taken over"):
            renew_feed(frozen, table, shards=after)

        assert later == [read_items(client, table)]
        assert_whole(client, table, other)
        assert contents(was) == contents(later[0])


def test_when_records_lie_outside_their_shard_then_they_are_reported_and_left(
    client: "DynamoDBClient",
) -> None:
    """The feed stays closed; told to, the next renewal moves them."""
    table = fill(client, 4)
    was = contents(read_items(client, table))
    home = shard_of("r20", 4)
    away = (home + 1) % 4
    item = next(i for i in read_items(client, table) if i["id"]["S"] == "r20")
    client.delete_item(TableName=table, Key=record_key("r20", home))
    client.put_item(
        TableName=table, Item=record_to_item(replace(item_to_record(item), sequence=99), away)
    )
    before = read_items(client, table)

    with pytest.raises(MisplacedRecordsError, match=r"1 records of .* such as r20 in records"):
        renew_feed(client, table)

    items = read_items(client, table)
    first = read_counter_of(items, 0)
    assert first is not None
    assert FeedState.RENEWING is first.state
    assert [i for i in before if "version" in i] == [i for i in items if "version" in i]

    assert 1 == renew_feed(client, table, shards=4).records_resharded
    assert_whole(client, table, 4)
    assert was == contents(read_items(client, table))


def test_when_a_record_lies_where_no_shard_is_then_it_is_reported(
    client: "DynamoDBClient",
) -> None:
    """A feed of one shard would be open without most of its records after a move that was cut."""
    table = fill(client, 4)
    first = read_counter_of(read_items(client, table), 0)
    assert first is not None
    client.put_item(TableName=table, Item=counter_to_item(replace(first, shards=1)))

    with pytest.raises(MisplacedRecordsError, match="bridge feed renew"):
        renew_feed(client, table)

    renew_feed(client, table, shards=1)
    assert_whole(client, table, 1)


def test_when_one_id_has_two_contents_then_it_is_reported_and_both_are_left(
    client: "DynamoDBClient",
) -> None:
    """Which of them is right is for a person to say."""
    table = fill(client, 4)
    home = shard_of("r20", 4)
    ghost = StoredRecord("r20", 5, 99, "2026-11-21T00:00:00.000Z", deleted=False, data="[]")
    client.put_item(TableName=table, Item=record_to_item(ghost, (home + 1) % 4))
    for _ in range(2):
        with pytest.raises(MisplacedRecordsError, match="r20 in records"):
            renew_feed(client, table, shards=4)

        places = [read_places(read_items(client, table), shard) for shard in range(4)]
        assert 2 == sum(name == "r20" for shard in places for _, name in shard)

    client.delete_item(TableName=table, Key=record_key("r20", (home + 1) % 4))
    renew_feed(client, table)
    assert_whole(client, table, 4)


def test_when_all_counters_are_lost_then_the_number_of_shards_must_be_said(
    client: "DynamoDBClient",
) -> None:
    """Nothing in the table says it; one shard would be a guess."""
    table = fill(client, 4)
    for shard in range(4):
        client.delete_item(TableName=table, Key=counter_key(shard))

    with pytest.raises(MisplacedRecordsError, match="another number"):
        renew_feed(client, table)

    assert 0 == renew_feed(client, table, shards=4).records_resharded
    assert_whole(client, table, 4)


def test_when_the_other_counters_do_not_agree_then_the_number_of_shards_must_be_said(
    client: "DynamoDBClient",
) -> None:
    """The first one is gone, and nothing is changed."""
    table = fill(client, 4)
    client.delete_item(TableName=table, Key=counter_key())
    stray = Counter(b"x" * 16, 0, "", shards=3)
    client.put_item(TableName=table, Item=counter_to_item(stray, 2))
    before = read_items(client, table)

    with pytest.raises(FeedRenewalError, match="--shards"):
        renew_feed(client, table)

    assert before == read_items(client, table)
    renew_feed(client, table, shards=4)
    assert_whole(client, table, 4)


@pytest.mark.parametrize("shard", [0, 2])
@pytest.mark.parametrize("state", [FeedState.IMPORTING, FeedState.IMPORT_FAILED])
def test_when_one_shard_holds_part_of_an_import_then_nothing_is_renewed(
    client: "DynamoDBClient", shard: int, state: FeedState
) -> None:
    """A backup may be of the moment at which an import ended: later than that for some shards."""
    table = fill(client, 4)
    counter = read_counter_of(read_items(client, table), shard)
    assert counter is not None
    part = replace(counter, sequence=0, last_id="", state=state)
    client.put_item(TableName=table, Item=counter_to_item(part, shard))
    before = read_items(client, table)

    with pytest.raises(ImportUnfinishedError, match="import"):
        renew_feed(client, table, shards=2)

    assert before == read_items(client, table)
