"""Composition root of the records API: settings in, operations out.

The other two entries have nothing to compose, and do not import boto3.
"""

import secrets
import time
from typing import Final

import boto3
from botocore.config import Config

from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.records_api import RecordsApi
from aws_backend.settings import RecordsSettings
from shared.clock import SystemClock

# Three attempts of at most two seconds stay below the Lambda's and the gateway's time-outs.
_CLIENT_CONFIG: Final = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"mode": "standard", "total_max_attempts": 3},
)

LONGEST_WRITE_SECONDS: Final = 8.0
"""When a write that other writers keep back gives up: the caller is told that nothing was written,
before Lambda's time-out leaves that open."""


def build_records_api(settings: RecordsSettings) -> RecordsApi:
    """Return the records API over DynamoDB.

    Region, credentials and endpoint are boto3's own settings; the local stack sets
    AWS_ENDPOINT_URL.
    """
    return RecordsApi(
        DynamoDbRecordStore(
            client=boto3.client("dynamodb", config=_CLIENT_CONFIG),
            table=settings.table,
            clock=SystemClock(),
            sleep=time.sleep,
            jitter=secrets.SystemRandom().random,
            longest_write_seconds=LONGEST_WRITE_SECONDS,
            known=KnownFeed(settings.feed_shards),
        )
    )
