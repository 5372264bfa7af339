"""Record tables on the local DynamoDB."""

import itertools
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from aws_backend.dynamodb_store import DynamoDbRecordStore
from emulator.aws.template import load_template
from shared.clock import SystemClock

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


def open_store(client: "DynamoDBClient", table: str) -> DynamoDbRecordStore:
    """The store on the table, with true pauses and random numbers."""
    jitter = random.Random(1).random  # noqa: S311 - spreads attempts, guards nothing
    return DynamoDbRecordStore(client, table, SystemClock(), sleep=time.sleep, jitter=jitter)


def create_table(client: "DynamoDBClient", name: str | None = None) -> str:
    """The name of a new, empty table for records, made as the template makes it."""
    table = load_template(TEMPLATE)["Resources"]["RecordsTable"]["Properties"]
    name = name or f"records-{next(_numbers)}"
    client.create_table(
        TableName=name,
        BillingMode=table["BillingMode"],
        AttributeDefinitions=table["AttributeDefinitions"],
        KeySchema=table["KeySchema"],
        LocalSecondaryIndexes=table["LocalSecondaryIndexes"],
    )
    return name
