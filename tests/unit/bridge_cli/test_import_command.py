"""What `bridge import` makes of AWS's answers. The import itself is in the integration tests."""

import io
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from aws_backend.table_layout import Counter, FeedState, counter_to_item
from bridge_cli.importing.command import (
    ImportBrokenOffError,
    ImportRefusedError,
    _check_table,
    _import,
)
from bridge_cli.importing.record_file import FileFormat
from bridge_cli.importing.staging import staging
from tests.support.local_stack import SilentReporter

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def client() -> "DynamoDBClient":
    """A client of DynamoDB, to be stubbed."""
    return boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def counter(state: FeedState) -> Any:
    """What DynamoDB answers about the counter of a feed in that state."""
    return {"Item": counter_to_item(Counter(bytes(16), 0, "", state))}


@pytest.mark.parametrize(
    ("answer", "code", "advice"),
    [
        ("ResourceNotFoundException", "table_unknown", "RecordsTable"),
        ("AccessDeniedException", "table_refused", "dynamodb:GetItem"),
        ("ValidationException", "table_refused", "the stack's RecordsTable"),
    ],
)
def test_when_aws_refuses_the_table_then_the_message_says_what_to_change(
    client: "DynamoDBClient", answer: str, code: str, advice: str
) -> None:
    """Before anything is written."""
    with Stubber(client) as answers:
        answers.add_client_error("get_item", answer)
        with pytest.raises(ImportRefusedError) as caught:
            _check_table(client, "records")

    assert code == caught.value.code
    assert advice in str(caught.value)


def test_when_the_table_has_no_feed_then_nothing_is_refused(
    client: "DynamoDBClient",
) -> None:
    """A new table has no counter."""
    with Stubber(client) as answers:
        answers.add_response("get_item", {})
        _check_table(client, "records")

        answers.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (FeedState.OPEN, "feed_not_empty"),
        (FeedState.RENEWING, "feed_not_empty"),
        (FeedState.IMPORTING, "import_unfinished"),
        (FeedState.IMPORT_FAILED, None),
    ],
)
def test_when_the_table_has_a_feed_then_only_one_of_a_failed_import_is_taken(
    client: "DynamoDBClient", state: FeedState, code: str | None
) -> None:
    """Before the records are looked at; what a failed import has left, the next one removes."""
    refused = None
    with Stubber(client) as answers:
        answers.add_response("get_item", counter(state))
        try:
            _check_table(client, "records")
        except ImportRefusedError as error:
            refused = error.code

    assert code == refused


@pytest.mark.parametrize(
    ("state", "code"),
    [(FeedState.OPEN, "feed_not_empty"), (FeedState.IMPORTING, "import_unfinished")],
)
def test_when_another_import_was_quicker_then_nothing_is_written(
    client: "DynamoDBClient", state: FeedState, code: str
) -> None:
    """The condition decides, not the look before it."""
    with staging() as staged, Stubber(client) as answers:
        answers.add_client_error("transact_write_items", "TransactionCanceledException")
        answers.add_response("get_item", counter(state))
        with pytest.raises(ImportRefusedError) as caught:
            _import(client, "records", staged, 1, SilentReporter())

    assert code == caught.value.code


def test_when_the_import_breaks_off_then_the_message_says_what_is_left(
    client: "DynamoDBClient",
) -> None:
    """How far it came, and what to do next."""
    lines = "".join(f'{{"id": "r{number}", "data": {{}}}}\n' for number in range(30))
    with staging() as staged, Stubber(client) as answers:
        staged.add_all(io.StringIO(lines), FileFormat.LINES, id_member=None)
        answers.add_response("transact_write_items", {})
        answers.add_client_error("get_item", "ProvisionedThroughputExceededException")
        answers.add_response("put_item", {})
        with pytest.raises(ImportBrokenOffError) as caught:
            _import(client, "records", staged, 1, SilentReporter())

    assert "0 of 30 records (An error occurred (Provisioned" in str(caught.value)
    assert "Import again" in str(caught.value)
