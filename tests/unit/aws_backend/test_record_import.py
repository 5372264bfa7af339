"""How an import treats what DynamoDB does not take at once. The rest is tested on a real API."""

from typing import Any

import boto3
from botocore.stub import ANY, Stubber

from aws_backend.record_import import import_records
from tests.support.fake_clock import FakeClock


def test_when_dynamodb_takes_a_part_then_the_rest_is_sent_again_after_a_pause() -> None:
    """What comes back unprocessed is neither lost nor sent at once; the pause doubles."""
    client = boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    pauses: list[float] = []
    left: dict[str, Any] = {
        "UnprocessedItems": {
            "records": [{"PutRequest": {"Item": {"collection": {"S": "records"}}}}]
        }
    }
    with Stubber(client) as answers:
        answers.add_response("put_item", {})
        answers.add_response("batch_write_item", left)
        answers.add_response("batch_write_item", left, {"RequestItems": left["UnprocessedItems"]})
        answers.add_response("batch_write_item", {"UnprocessedItems": {}})
        answers.add_response("put_item", {}, {"TableName": "records", "Item": ANY})

        count = import_records(
            client, "records", [("a", {}), ("b", {})], clock=FakeClock(), sleep=pauses.append
        )

        answers.assert_no_pending_responses()
    assert 2 == count
    assert [0.05, 0.1] == pauses
