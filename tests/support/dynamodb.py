"""Record tables on the local DynamoDB."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from emulator.aws.template import load_template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TEMPLATE: Final = Path(__file__).parents[2] / "infra" / "aws" / "template.yaml"

_numbers = itertools.count(1)


def build_client(endpoint_url: str) -> "DynamoDBClient":
    """A client of the DynamoDB behind the URL, with connections for many threads."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint_url,
        region_name="eu-west-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(max_pool_connections=32, retries={"total_max_attempts": 1}),
    )


def create_table(client: "DynamoDBClient") -> str:
    """The name of a new, empty table for records, made as the template makes it."""
    table = load_template(TEMPLATE)["Resources"]["RecordsTable"]["Properties"]
    name = f"records-{next(_numbers)}"
    client.create_table(
        TableName=name,
        BillingMode=table["BillingMode"],
        AttributeDefinitions=table["AttributeDefinitions"],
        KeySchema=table["KeySchema"],
        LocalSecondaryIndexes=table["LocalSecondaryIndexes"],
    )
    return name
