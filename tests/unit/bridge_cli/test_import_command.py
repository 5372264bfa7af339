"""What `bridge import` makes of AWS's answers. The import itself is in the integration tests."""

import io
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

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


def test_when_another_import_was_quicker_then_nothing_is_written(
    client: "DynamoDBClient",
) -> None:
    """The condition decides, not the look before it."""
    with staging() as staged, Stubber(client) as answers:
        answers.add_client_error("put_item", "ConditionalCheckFailedException")
        with pytest.raises(ImportRefusedError) as caught:
            _import(client, "records", staged, SilentReporter())

    assert "feed_not_empty" == caught.value.code


def test_when_the_import_breaks_off_then_the_message_says_what_is_left(
    client: "DynamoDBClient",
) -> None:
    """How far it came, and that the table has to be made anew."""
    lines = "".join(f'{{"id": "r{number}", "data": {{}}}}\n' for number in range(30))
    with staging() as staged, Stubber(client) as answers:
        staged.add_all(io.StringIO(lines), FileFormat.LINES, id_member=None)
        answers.add_response("put_item", {})
        for _ in range(2):
            answers.add_client_error("batch_write_item", "ProvisionedThroughputExceededException")
        with pytest.raises(ImportBrokenOffError) as caught:
            _import(client, "records", staged, SilentReporter())

    assert "0 of 30 records" in str(caught.value)
    assert "delete the table" in str(caught.value)
