"""How an import treats what DynamoDB does not take at once. The rest is tested on a real API."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from aws_backend.record_import import (
    ImportStoppedError,
    ImportUnfinishedError,
    _batches,
    _End,
    import_records,
)
from tests.support.fake_clock import FakeClock


class Scripted:
    """A client whose answers come from a script, and whose counter says what was put last."""

    def __init__(self) -> None:
        """Make the client; nothing is answered yet."""
        self.client = boto3.client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.counter: dict[str, Any] = {}
        self.client.meta.events.register("before-parameter-build.dynamodb.PutItem", self._keep)
        self.client.meta.events.register(
            "before-parameter-build.dynamodb.TransactWriteItems", self._keep_first
        )
        self.answers = Stubber(self.client)

    def _keep(self, params: dict[str, Any], **_given: object) -> None:
        self.counter["Item"] = params["Item"]

    def _keep_first(self, params: dict[str, Any], **_given: object) -> None:
        self.counter["Item"] = params["TransactItems"][0]["Put"]["Item"]

    def run(self, pauses: list[float]) -> int:
        """How many records an import of two ends with."""
        records: list[tuple[str, dict[str, object]]] = [("a", {}), ("b", {})]
        return import_records(
            self.client, "records", records, clock=FakeClock(), sleep=pauses.append
        )


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A script that must be used up."""
    script = Scripted()
    with script.answers:
        yield script
    script.answers.assert_no_pending_responses()


def test_when_dynamodb_takes_a_part_then_the_rest_is_sent_again_after_a_pause(
    scripted: Scripted,
) -> None:
    """What comes back unprocessed is neither lost nor sent at once; the pause doubles."""
    pauses: list[float] = []
    left: dict[str, Any] = {
        "UnprocessedItems": {
            "records": [{"PutRequest": {"Item": {"collection": {"S": "records"}}}}]
        }
    }
    answers = scripted.answers
    answers.add_response("transact_write_items", {})
    answers.add_response("get_item", scripted.counter)
    answers.add_response("batch_write_item", left)
    answers.add_response("batch_write_item", left, {"RequestItems": left["UnprocessedItems"]})
    answers.add_response("batch_write_item", {"UnprocessedItems": {}})
    answers.add_response("put_item", {})

    assert 2 == scripted.run(pauses)
    assert [0.05, 0.1] == pauses


def test_when_the_answer_to_the_claim_is_lost_then_the_repeated_claim_finds_itself(
    scripted: Scripted,
) -> None:
    """Botocore repeats what was not answered; that is no other import."""
    answers = scripted.answers
    answers.add_client_error("transact_write_items", "TransactionCanceledException")
    answers.add_response("get_item", scripted.counter)
    answers.add_response("get_item", scripted.counter)
    answers.add_response("batch_write_item", {"UnprocessedItems": {}})
    answers.add_response("put_item", {})

    assert 2 == scripted.run([])


def test_when_the_import_was_stopped_meanwhile_then_it_writes_no_further_record(
    scripted: Scripted,
) -> None:
    """A process that was frozen for long looks before each of its steps."""
    answers = scripted.answers
    other = {"Item": {**_item(), "feed_id": {"B": b"another import"}}}
    answers.add_response("transact_write_items", {})
    answers.add_response("get_item", other)
    # It may not call the other one's import a failed one.
    answers.add_client_error(
        "put_item",
        "ConditionalCheckFailedException",
        expected_params={
            "TableName": "records",
            "Item": ANY,
            "ConditionExpression": ANY,
            "ExpressionAttributeNames": ANY,
            "ExpressionAttributeValues": ANY,
        },
    )
    answers.add_response("get_item", other)

    with pytest.raises(ImportStoppedError, match="records"):
        scripted.run([])


def test_when_a_transaction_is_being_applied_then_the_claim_waits_for_it(
    scripted: Scripted,
) -> None:
    """A writer's, for instance: in a moment there is a feed, or still none."""
    pauses: list[float] = []
    answers = scripted.answers
    answers.add_client_error("transact_write_items", "TransactionCanceledException")
    answers.add_response("get_item", {})
    answers.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": {}})
    answers.add_response("transact_write_items", {})
    answers.add_response("get_item", scripted.counter)
    answers.add_response("batch_write_item", {"UnprocessedItems": {}})
    answers.add_response("put_item", {})

    assert 2 == scripted.run(pauses)
    assert [0.1] == pauses


def test_when_others_come_first_every_time_then_the_import_gives_up(scripted: Scripted) -> None:
    """It has written nothing then."""
    answers = scripted.answers
    for _ in range(30):
        answers.add_client_error("transact_write_items", "TransactionCanceledException")
        answers.add_response("get_item", {})
        answers.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": {}})

    with pytest.raises(ImportUnfinishedError, match="first"):
        scripted.run([])


def test_when_an_id_comes_twice_with_many_between_then_it_is_found_in_little_memory() -> None:
    """What has come is on disk by then: 20,000 IDs of 126 letters would take some 4 MB."""

    def records() -> Iterator[tuple[str, dict[str, object]]]:
        for number in (*range(20_000), 0):
            yield f"{number:05}-{'x' * 120}", {}

    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^00000-x{120} came twice$"):
            for _batch in _batches(records(), "", [_End(0, "")]):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 1_000_000 > peak


def _item() -> dict[str, Any]:
    return {
        "sequence": {"N": "0"},
        "last_id": {"S": ""},
        "state": {"S": "importing"},
        "since": {"S": ""},
        "is_importing": {"BOOL": True},
    }
