"""How a write goes on when others come first. What it promises is tested on a real DynamoDB API."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from aws_backend.bootstrap import LONGEST_WRITE_SECONDS
from aws_backend.errors import FeedContended
from aws_backend.feed.feed_table import FeedTable
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.feed.record_writing import (
    MAX_ATTEMPTS,
    PATIENT_ATTEMPTS,
    RecordWriter,
)
from aws_backend.record import StoredRecord
from aws_backend.table_layout import Counter, FeedState, counter_to_item, record_to_item
from emulator.aws.template import load_template
from tests.support.dynamodb import create_table, open_store
from tests.support.dynamodb_model.client import ModelClient
from tests.support.dynamodb_model.service import DynamoDbModel
from tests.support.fake_clock import FakeClock
from tests.support.record_store_promises import put

FIRST = Counter(b"f" * 16, 1, "other")
AHEAD = replace(FIRST, sequence=9, last_id="another")


class ScriptedWriter:
    """A writer whose DynamoDB answers from a script."""

    def __init__(self) -> None:
        """Make the writer; nothing is answered yet."""
        client = boto3.client(
            "dynamodb",
            region_name="eu-west-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        self.pauses: list[float] = []
        self.clock = FakeClock()
        self.answers = Stubber(client)
        table = FeedTable(client, "records", self.pauses.append, lambda: 0.5)
        known = KnownFeed(1)
        known.learn(FIRST)
        self.writer = RecordWriter(
            table, known, self.clock, lambda: b"n" * 16, LONGEST_WRITE_SECONDS
        )

    def read(self, counter: Counter = FIRST, record: StoredRecord | None = None) -> None:
        """Let the counter and the record be read."""
        items: list[Any] = [counter_to_item(counter)]
        if record is not None:
            items.append(record_to_item(record))
        self.answers.add_response("batch_get_item", {"Responses": {"records": items}})

    def read_first(self, counter: Counter) -> None:
        """Let the counter of shard 0 be read by itself."""
        item: Any = counter_to_item(counter)
        self.answers.add_response("get_item", {"Item": item})

    def lose(self, counter: Counter | None, record: str = "None", previous: str = "None") -> None:
        """Let a transaction be canceled, and say what the counter is by now."""
        reasons: list[Any] = [
            {"Code": record},
            {"Code": "ConditionalCheckFailed"},
            {"Code": previous},
        ]
        if counter is not None:
            reasons[1]["Item"] = counter_to_item(counter)
        self.answers.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            modeled_fields={"CancellationReasons": reasons},
        )

    def lose_patiently(self) -> None:
        """Lose as often as a write steps back."""
        for _ in range(PATIENT_ATTEMPTS - 1):
            self.read()
            self.lose(FIRST)
        self.read()

    def succeed(self) -> None:
        """Let a transaction pass."""
        self.answers.add_response("transact_write_items", {})

    def write(self) -> StoredRecord:
        """The record as written."""
        return self.writer.write_record("a", lambda _current: "{}")


@pytest.fixture
def scripted() -> Iterator[ScriptedWriter]:
    """A script that must be used up."""
    script = ScriptedWriter()
    with script.answers:
        yield script
    script.answers.assert_no_pending_responses()


def test_when_a_write_has_lost_often_then_it_goes_on_at_once_from_what_it_was_told(
    scripted: ScriptedWriter,
) -> None:
    """It reads nothing and waits for nobody; those who have just begun step back instead."""
    scripted.lose_patiently()
    scripted.lose(FIRST)
    scripted.lose(AHEAD)
    scripted.succeed()

    assert AHEAD.sequence + 1 == scripted.write().sequence
    assert PATIENT_ATTEMPTS - 1 == len(scripted.pauses)


@pytest.mark.parametrize(
    ("counter", "record", "previous"),
    [
        (None, "None", "None"),
        (AHEAD, "ConditionalCheckFailed", "None"),
        (AHEAD, "None", "ConditionalCheckFailed"),
        (AHEAD, "None", "TransactionConflict"),
        (replace(AHEAD, feed_id=b"g" * 16), "None", "None"),
        (replace(AHEAD, shards=2), "None", "None"),
        (replace(AHEAD, state=FeedState.RENEWING), "None", "None"),
    ],
    ids=[
        "not told",
        "the record has changed",
        "the change before does not show",
        "it is being applied",
        "another feed",
        "other shards",
        "closed",
    ],
)
def test_when_anything_else_is_wrong_too_then_the_write_waits_and_reads_again(
    scripted: ScriptedWriter, counter: Counter | None, record: str, previous: str
) -> None:
    """What it was told is enough only if nothing but the counter has moved."""
    scripted.lose_patiently()
    scripted.lose(counter, record, previous)
    scripted.read()
    scripted.succeed()

    assert FIRST.sequence + 1 == scripted.write().sequence
    assert PATIENT_ATTEMPTS == len(scripted.pauses)


def test_when_the_race_is_lost_every_time_then_the_write_gives_up(
    scripted: ScriptedWriter,
) -> None:
    """Impatience has an end too."""
    scripted.lose_patiently()
    for _ in range(MAX_ATTEMPTS - PATIENT_ATTEMPTS + 1):
        scripted.lose(AHEAD)

    with pytest.raises(FeedContended):
        scripted.write()


def test_when_the_attempts_take_too_long_then_the_write_gives_up(
    scripted: ScriptedWriter,
) -> None:
    """The caller is told that nothing was written, before Lambda's time-out says nothing at all."""
    template = load_template(Path(__file__).parents[4] / "infra" / "aws" / "template.yaml")
    scripted.read()
    scripted.lose(FIRST)

    def decide(_current: StoredRecord | None) -> str:
        scripted.clock.advance(LONGEST_WRITE_SECONDS + 1)
        return "{}"

    with pytest.raises(FeedContended):
        scripted.writer.write_record("a", decide)
    assert LONGEST_WRITE_SECONDS < template["Globals"]["Function"]["Timeout"]


A = StoredRecord("a", 3, 6, "2026-01-01T00:00:00Z", False, "{}")  # noqa: FBT003 - as stored


@pytest.mark.parametrize("data", ["{}", '{"n":1}'])
def test_when_the_records_last_change_does_not_show_yet_then_the_write_looks_again(
    scripted: ScriptedWriter, data: str
) -> None:
    """What is read then is the record as it was: neither good enough to return nor to replace."""
    scripted.read(replace(FIRST, sequence=7, last_id="a"), replace(A, data=data))
    scripted.read(replace(FIRST, sequence=7, last_id="a"), replace(A, sequence=7, version=4))

    written = scripted.write()

    assert (4, 7) == (written.version, written.sequence)
    assert 1 == len(scripted.pauses)


@pytest.mark.parametrize("last_id", ["", "0", "z"])
def test_when_the_record_says_it_already_then_later_changes_of_others_are_no_reason_to_write(
    scripted: ScriptedWriter, last_id: str
) -> None:
    """Whatever the other's ID is."""
    scripted.read(replace(FIRST, sequence=9, last_id=last_id), A)

    assert A == scripted.write()


def test_when_the_feed_is_replaced_twice_during_a_look_then_the_write_goes_on_with_the_latest(
    scripted: ScriptedWriter,
) -> None:
    """An attempt looks twice; the next one, after a pause, finds the feed that has stayed."""
    second, third = (replace(FIRST, feed_id=name * 16) for name in (b"2", b"3"))
    scripted.read(second)
    scripted.read_first(second)
    scripted.read(third)
    scripted.read_first(third)
    scripted.read(third)
    scripted.succeed()

    assert FIRST.sequence + 1 == scripted.write().sequence
    assert 1 == len(scripted.pauses)


@pytest.mark.parametrize(
    ("is_known", "record_id", "reads", "items"),
    [
        (True, "c", ["BatchGetItem"], 3),
        (True, "b", ["BatchGetItem"], 2),
        (False, "c", ["GetItem", "BatchGetItem"], 3),
        (False, "b", ["GetItem", "BatchGetItem"], 2),
    ],
    ids=["ours before", "the same record", "another's before", "the same record of another's"],
)
def test_when_a_record_is_written_then_the_change_before_is_checked_unless_it_was_of_that_record(
    is_known: bool,  # noqa: FBT001 - a parameter of the test
    record_id: str,
    reads: list[str],
    items: int,
) -> None:
    """A process that knows the feed reads once; whose change the one before was plays no part."""
    requests: list[tuple[str, int]] = []

    def note(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        requests.append((operation, len(request.get("TransactItems", ()))))
        return request

    client = ModelClient(DynamoDbModel(), rewrite=note).as_boto3()
    table = create_table(client)
    maker = open_store(client, table)
    put(maker, "a")
    put(maker, "b")
    writer = maker if is_known else open_store(client, table)
    requests.clear()

    put(writer, record_id)

    assert [*((read, 0) for read in reads), ("TransactWriteItems", items)] == requests


def test_when_a_process_has_made_the_feed_then_its_next_write_knows_it() -> None:
    """It need not ask for what it has just said."""
    operations: list[str] = []

    def note(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        operations.append(operation)
        return request

    client = ModelClient(DynamoDbModel(), rewrite=note).as_boto3()
    store = open_store(client, create_table(client))
    put(store, "a")
    operations.clear()

    put(store, "b")

    assert ["BatchGetItem", "TransactWriteItems"] == operations
