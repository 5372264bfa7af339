"""Reads of the table: DynamoDB may leave a part of a batch unanswered."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from aws_backend.errors import StorageUnavailable
from aws_backend.feed.feed_table import BATCH_ATTEMPTS, FeedTable
from aws_backend.record import StoredRecord
from aws_backend.table_layout import Counter, counter_key, counter_to_item, record_to_item

COUNTERS = [Counter(b"f" * 16, sequence, "", shards=3) for sequence in range(3)]
ITEMS: list[Any] = [counter_to_item(counter, shard) for shard, counter in enumerate(COUNTERS)]


class ScriptedTable:
    """A table whose DynamoDB answers from a script."""

    def __init__(self) -> None:
        """Make the table; nothing is answered yet."""
        client = boto3.client(
            "dynamodb",
            region_name="eu-west-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        self.pauses: list[float] = []
        self.answers = Stubber(client)
        self.table = FeedTable(client, "records", self.pauses.append, lambda: 0.5)

    def answer(self, asked: list[int], answered: list[int], *, is_whole: bool = True) -> None:
        """Let a request for these counters be answered with those."""
        left = [counter_key(shard) for shard in asked if shard not in answered]
        self.answers.add_response(
            "batch_get_item",
            {
                "Responses": {"records": [ITEMS[shard] for shard in answered]},
                "UnprocessedKeys": {} if is_whole else {"records": {"Keys": left}},
            },
            {
                "RequestItems": {
                    "records": {
                        "Keys": [counter_key(shard) for shard in asked],
                        "ConsistentRead": True,
                    }
                }
            },
        )


@pytest.fixture
def scripted() -> Iterator[ScriptedTable]:
    """A script that must be used up."""
    script = ScriptedTable()
    with script.answers:
        yield script
    script.answers.assert_no_pending_responses()


def test_when_dynamodb_answers_in_any_order_then_each_item_stands_where_its_key_did(
    scripted: ScriptedTable,
) -> None:
    """One request for all of them, and an absent item is none."""
    scripted.answer([0, 1, 2], [2, 0])

    assert [COUNTERS[0], None, COUNTERS[2]] == scripted.table.get_counters([0, 1, 2])
    assert [] == scripted.pauses


def test_when_a_part_is_left_unanswered_then_only_that_is_asked_for_again(
    scripted: ScriptedTable,
) -> None:
    """Consistently again, whatever DynamoDB's own list of what is left says, after a pause."""
    scripted.answer([0, 1, 2], [1], is_whole=False)
    scripted.answer([0, 2], [0], is_whole=False)
    scripted.answer([2], [2])

    assert COUNTERS == scripted.table.get_counters([0, 1, 2])
    assert [0.01, 0.02] == scripted.pauses


def test_when_a_part_is_left_unanswered_every_time_then_the_caller_may_try_again(
    scripted: ScriptedTable,
) -> None:
    """The requests are bounded: a reader must not take a counter that it lacks for none."""
    for _ in range(BATCH_ATTEMPTS):
        scripted.answer([0, 1], [], is_whole=False)

    with pytest.raises(StorageUnavailable):
        scripted.table.get_counters([0, 1])
    assert BATCH_ATTEMPTS - 1 == len(scripted.pauses)


def test_when_attempts_go_on_then_the_pauses_double_up_to_a_third_of_a_second(
    scripted: ScriptedTable,
) -> None:
    """Here the random part is a half, each time."""
    for attempt in (1, 2, 5, 6, 23):
        scripted.table.pause(attempt)

    assert [0.01, 0.02, 0.16, 0.16, 0.16] == scripted.pauses


@pytest.mark.parametrize(
    ("sequences", "is_cut", "has_more"),
    [
        ([6, 8], True, True),
        ([6, 8], False, False),
        ([6, 9], True, False),
        ([], True, False),
    ],
    ids=["cut", "all", "cut behind the last", "cut at one that does not show"],
)
def test_when_a_shard_is_read_then_there_is_more_only_where_asking_at_once_brings_it(
    scripted: ScriptedTable,
    sequences: list[int],
    *,
    is_cut: bool,
    has_more: bool,
) -> None:
    """Or a reader would go round in circles, or stop short of the end."""
    items: list[Any] = [
        record_to_item(StoredRecord(f"r{number}", 1, number, "", False, "{}"), 1)  # noqa: FBT003
        for number in sequences
    ]
    last: dict[str, Any] = {"LastEvaluatedKey": counter_key(1)} if is_cut else {}
    scripted.answers.add_response("query", {"Items": items} | last)

    reading = scripted.table.read_shard(1, 5, 9, 2)

    assert sequences == [record.sequence for record in reading.records]
    assert has_more is reading.has_more


@pytest.mark.parametrize("after", [9, 10])
def test_when_nothing_can_be_new_then_dynamodb_is_not_asked(
    scripted: ScriptedTable, after: int
) -> None:
    """A condition from 10 to 9 would be refused."""
    assert ((), False) == scripted.table.read_shard(1, after, 9, 2)


def test_when_the_next_change_is_the_last_then_it_is_asked_for(scripted: ScriptedTable) -> None:
    """By the sequences behind the reader and up to the end, consistently, and so many."""
    condition = {
        "collection": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "records-1"}]},
        "sequence": {
            "ComparisonOperator": "BETWEEN",
            "AttributeValueList": [{"N": "9"}, {"N": "9"}],
        },
    }
    request = {
        "TableName": "records",
        "IndexName": "feed",
        "ConsistentRead": True,
        "Limit": 2,
        "KeyConditions": condition,
    }
    scripted.answers.add_response("query", {"Items": []}, request)

    assert ((), False) == scripted.table.read_shard(1, 8, 9, 2)
