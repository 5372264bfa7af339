"""What a renewal does while others hold what it needs. The rest is tested on a real API."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from aws_backend.feed_renewal import FeedRenewalError, RenewedFeed, renew_feed
from aws_backend.table_layout import MAX_SHARDS, Counter, counter_to_item
from tests.support.fake_clock import FakeClock

COUNTERS: Any = {
    "Responses": {"records": [counter_to_item(Counter(b"f" * 16, 7, "a"))]},
    "UnprocessedKeys": {},
}
SHOWN = {"Responses": [{}, {"Item": {"sequence": {"N": "7"}}}]}
ONE_RECORD = {"Items": [{"id": {"S": "a"}, "sequence": {"N": "7"}}]}


class Scripted:
    """A client whose answers come from a script."""

    def __init__(self) -> None:
        """Make the client; nothing is answered yet."""
        self.client = boto3.client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        self.answers = Stubber(self.client)
        self.pauses: list[float] = []

    def conflict(self) -> None:
        """Let the claim meet a transaction that is being applied."""
        self.answers.add_response("batch_get_item", COUNTERS)
        self.answers.add_client_error("put_item", "TransactionConflictException")

    def claim(self) -> None:
        """Let the claim pass."""
        self.answers.add_response("batch_get_item", COUNTERS)
        self.answers.add_response("put_item", {})

    def show(self, *pages: Any) -> None:
        """Let the shard have these pages, and nothing lie where no shard is."""
        for page in pages:
            self.answers.add_response("query", page)
        for _ in range(1, MAX_SHARDS):
            self.answers.add_response("query", {"Items": []})

    def renew(self) -> RenewedFeed:
        """What the renewal ends with."""
        return renew_feed(self.client, "records", clock=FakeClock(), sleep=self.pauses.append)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A script that must be used up."""
    script = Scripted()
    with script.answers:
        yield script
    script.answers.assert_no_pending_responses()


def test_when_a_transaction_is_being_applied_then_the_renewal_waits_for_it(
    scripted: Scripted,
) -> None:
    """Before its claim and after it: only then is it known whether the last change is whole."""
    scripted.conflict()
    scripted.claim()
    scripted.answers.add_client_error("transact_get_items", "TransactionCanceledException")
    scripted.answers.add_response("transact_get_items", SHOWN)
    scripted.show(ONE_RECORD)
    scripted.answers.add_response("put_item", {})

    assert RenewedFeed(1, (7,), lost_changes=0, records_moved=0) == scripted.renew()
    assert [0.1, 0.1] == scripted.pauses


def test_when_writers_come_first_every_time_then_the_renewal_gives_up(scripted: Scripted) -> None:
    """It has changed nothing then."""
    for _ in range(30):
        scripted.conflict()

    with pytest.raises(FeedRenewalError, match="again"):
        scripted.renew()
    assert 29 == len(scripted.pauses)


def test_when_the_last_change_stays_in_the_air_then_the_renewal_gives_up(
    scripted: Scripted,
) -> None:
    """The feed stays closed: nobody knows whether it is whole."""
    scripted.claim()
    for _ in range(30):
        scripted.answers.add_client_error("transact_get_items", "TransactionCanceledException")

    with pytest.raises(FeedRenewalError, match="again"):
        scripted.renew()


def test_when_the_feed_is_read_then_every_page_of_the_index_is_read_consistently(
    scripted: Scripted,
) -> None:
    """A page that lags would hide a record beyond the counter."""
    asked: list[Any] = []

    def keep(params: dict[str, Any], **_given: object) -> None:
        asked.append(params.get("ConsistentRead"))

    def keep_batch(params: dict[str, Any], **_given: object) -> None:
        asked.append(params["RequestItems"]["records"]["ConsistentRead"])

    scripted.client.meta.events.register("before-parameter-build.dynamodb.Query", keep)
    scripted.client.meta.events.register("before-parameter-build.dynamodb.BatchGetItem", keep_batch)
    place = {"collection": {"S": "records"}, "id": {"S": "a"}, "sequence": {"N": "7"}}
    beyond = {"Items": [{"id": {"S": "b"}, "sequence": {"N": "9"}}]}
    scripted.claim()
    scripted.answers.add_response("transact_get_items", SHOWN)
    scripted.show(ONE_RECORD | {"LastEvaluatedKey": place}, beyond)
    scripted.answers.add_response("put_item", {})

    renewed = scripted.renew()

    assert (2, (9,)) == (renewed.records, renewed.sequences)
    assert [True] * (2 + MAX_SHARDS) == asked


def test_when_dynamodb_leaves_some_counters_out_then_they_are_asked_for_again(
    scripted: Scripted,
) -> None:
    """One that is taken for lost would be made anew, with every change beneath it unknown."""
    key: Any = {"collection": {"S": "counter"}, "id": {"S": "counter"}}
    left = {"records": {"Keys": [key], "ConsistentRead": True}}
    scripted.answers.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})
    scripted.answers.add_response("batch_get_item", COUNTERS, {"RequestItems": left})
    scripted.answers.add_response("put_item", {})
    scripted.answers.add_response("transact_get_items", SHOWN)
    scripted.show(ONE_RECORD)
    scripted.answers.add_response("put_item", {})

    assert 1 == scripted.renew().records
    assert [0.1] == scripted.pauses


@pytest.mark.parametrize("shards", [0, MAX_SHARDS + 1])
def test_when_no_feed_can_have_that_number_then_aws_is_not_asked(
    scripted: Scripted, shards: int
) -> None:
    """The feed stays open."""
    with pytest.raises(ValueError, match="1 to 64 shards"):
        renew_feed(scripted.client, "records", shards=shards)
