"""How the store tells errors apart. What it promises is tested on a real DynamoDB API."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.stub import ANY, Stubber

from aws_backend.cursor import Cursor, identify_feed
from aws_backend.dynamodb_store import (
    MAX_ATTEMPTS,
    SIZE_LOGGED_FROM_GIGABYTES,
    DynamoDbRecordStore,
)
from aws_backend.errors import ApiError, FeedContended, InternalError, StorageUnavailable
from aws_backend.record_store import FeedPage
from aws_backend.table_layout import Counter, counter_to_item, record_key
from shared.log import JsonLines
from tests.support.fake_clock import FakeClock

NOTHING: dict[str, Any] = {}


class Scripted:
    """A store whose DynamoDB answers from a script."""

    def __init__(self) -> None:
        """Make the store; nothing is answered yet."""
        self.pauses: list[float] = []
        client = boto3.client(
            "dynamodb",
            region_name="eu-west-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        self.answers = Stubber(client)
        self.store = DynamoDbRecordStore(
            client, "records", FakeClock(), sleep=self.pauses.append, jitter=lambda: 0.5
        )

    def cancel(self, *codes: str) -> None:
        """Let one attempt find an empty table and its transaction be canceled with these codes."""
        self.answers.add_response("get_item", NOTHING)
        self.answers.add_response("get_item", NOTHING)
        self.answers.add_client_error(
            "transact_write_items",
            "TransactionCanceledException",
            modeled_fields={"CancellationReasons": [{"Code": code} for code in codes]},
        )

    def succeed(self) -> None:
        """Let one attempt find an empty table and its transaction pass."""
        self.answers.add_response("get_item", NOTHING)
        self.answers.add_response("get_item", NOTHING)
        self.answers.add_response("transact_write_items", NOTHING)

    def succeed_with_size(self, *gigabytes: float) -> None:
        """Let one attempt pass; DynamoDB puts the records' size between these two."""
        self.answers.add_response("get_item", NOTHING)
        self.answers.add_response("get_item", NOTHING)
        collection = {
            "ItemCollectionKey": {"collection": {"S": "records"}},
            "SizeEstimateRangeGB": list(gigabytes),
        }
        self.answers.add_response(
            "transact_write_items",
            {"ItemCollectionMetrics": {"records": [collection]}},
            {"TransactItems": ANY, "ReturnItemCollectionMetrics": "SIZE"},
        )

    def put(self) -> int:
        """The version that a write ends with."""
        return self.store.write_record("a", lambda _current: "{}").version


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A script that must be used up."""
    script = Scripted()
    with script.answers:
        yield script
    script.answers.assert_no_pending_responses()


@pytest.mark.parametrize(
    "codes",
    [
        ("ConditionalCheckFailed", "None"),
        ("None", "ConditionalCheckFailed"),
        ("TransactionConflict", "None"),
        ("TransactionConflict", "ConditionalCheckFailed"),
    ],
)
def test_when_another_writer_came_first_then_the_write_is_tried_again(
    scripted: Scripted, codes: tuple[str, ...]
) -> None:
    """A lost race is nobody's error."""
    scripted.cancel(*codes)
    scripted.succeed()

    assert 1 == scripted.put()
    assert [0.01] == scripted.pauses


def test_when_the_race_is_lost_every_time_then_the_write_gives_up(scripted: Scripted) -> None:
    """Attempts are bounded; the pauses double up to a bound, and are random."""
    for _ in range(MAX_ATTEMPTS):
        scripted.cancel("TransactionConflict", "None")

    with pytest.raises(FeedContended):
        scripted.put()
    assert [0.01, 0.02, 0.04, 0.08] + [0.16] * (MAX_ATTEMPTS - 5) == scripted.pauses


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (("ThrottlingError", "None"), StorageUnavailable),
        (("None", "ProvisionedThroughputExceeded"), StorageUnavailable),
        (("ThrottlingError", "ConditionalCheckFailed"), StorageUnavailable),
        (("ValidationError", "None"), InternalError),
        (("ItemCollectionSizeLimitExceeded", "None"), InternalError),
        (("ValidationError", "ConditionalCheckFailed"), InternalError),
        (("None", "None"), InternalError),
    ],
)
def test_when_a_transaction_fails_for_another_reason_then_it_is_not_tried_again(
    scripted: Scripted, codes: tuple[str, ...], error: type[ApiError]
) -> None:
    """Only a lost race is worth an attempt at once; the caller may try throttling again later."""
    scripted.cancel(*codes)

    with pytest.raises(error):
        scripted.put()
    assert not scripted.pauses


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("RequestLimitExceeded", 400),
        ("TransactionInProgressException", 400),
        ("InternalServerError", 500),
        ("AnythingElse", 500),
        ("AnythingElse", 503),
    ],
)
def test_when_dynamodb_is_busy_or_broken_then_the_caller_may_try_again(
    scripted: Scripted, code: str, status: int
) -> None:
    """What a moment may cure is told from what it cannot."""
    scripted.answers.add_client_error("get_item", code, http_status_code=status)

    with pytest.raises(StorageUnavailable):
        scripted.store.get_record("a")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_when_the_deployment_is_wrong_then_the_error_is_not_softened(
    scripted: Scripted, code: str
) -> None:
    """No second attempt helps; the log has DynamoDB's own words."""
    scripted.answers.add_client_error("get_item", code)

    with pytest.raises(botocore.exceptions.ClientError, match=code):
        scripted.store.read_changes(Cursor.at_start(), 1)


def test_when_dynamodb_cannot_be_reached_then_the_caller_may_try_again(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is no verdict."""

    def unreachable(**_arguments: object) -> None:
        raise botocore.exceptions.EndpointConnectionError(
            endpoint_url="https://dynamodb.eu-west-1.amazonaws.com"
        )

    monkeypatch.setattr(scripted.store.client, "get_item", unreachable)

    with pytest.raises(StorageUnavailable, match="did not answer"):
        scripted.store.get_record("a")


def test_when_dynamodb_stops_at_an_item_that_it_does_not_show_then_the_page_is_the_last(
    scripted: Scripted,
) -> None:
    """A page that hands out nothing never says that there is more: its cursor could not move."""
    counter = Counter(bytes(range(16)), sequence=8, last_id="a")
    item: Any = counter_to_item(counter)
    hidden = record_key("a") | {"sequence": {"N": "8"}}
    scripted.answers.add_response("get_item", {"Item": item})
    scripted.answers.add_response("query", {"Items": [], "LastEvaluatedKey": hidden})
    # Whether the records were moved away meanwhile: it is the same feed, and open.
    scripted.answers.add_response("get_item", {"Item": item})
    after = Cursor(identify_feed(counter.feed_id, "records"), 7)

    assert FeedPage((), after, has_more=False) == scripted.store.read_changes(after, 1)


# --- how much one key holds ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        ((0.0, 1.0), []),
        ((SIZE_LOGGED_FROM_GIGABYTES - 2, SIZE_LOGGED_FROM_GIGABYTES - 1), []),
        ((SIZE_LOGGED_FROM_GIGABYTES - 1, SIZE_LOGGED_FROM_GIGABYTES), [5.0]),
        ((9.0, 10.0), [10.0]),
    ],
)
def test_when_the_records_grow_large_then_each_write_logs_the_estimate(
    scripted: Scripted,
    caplog: pytest.LogCaptureFixture,
    estimate: tuple[float, float],
    expected: list[float],
) -> None:
    """The upper end of what DynamoDB says, because nothing comes after 10."""
    scripted.succeed_with_size(*estimate)

    assert 1 == scripted.put()
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert expected == [line["gigabytes"] for line in lines]
    assert {"item_collection_size"} >= {line["event"] for line in lines}
