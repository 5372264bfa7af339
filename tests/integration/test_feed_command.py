"""`bridge feed` on a real DynamoDB API: what a person types, and what the table says then."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import CursorExpired, FeedImportFailed
from aws_backend.record_import import import_records
from aws_backend.table_layout import Counter, FeedState, counter_to_item
from bridge_cli.main import app
from emulator.aws.ministack import Ministack
from tests.support.dynamodb import build_client, create_table, open_store
from tests.support.record_store_promises import START, follow, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def client(ministack: Ministack) -> Iterator["DynamoDBClient"]:
    """A client of the local DynamoDB."""
    client = build_client(ministack.endpoint_url)
    yield client
    client.close()


@pytest.fixture
def store(client: "DynamoDBClient") -> DynamoDbRecordStore:
    """A store on an empty table."""
    return open_store(client, create_table(client))


def run(ministack: Ministack, *arguments: str) -> Result:
    """How the command ends for somebody who is signed in."""
    environment = {
        "AWS_ENDPOINT_URL": ministack.endpoint_url,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    return CliRunner().invoke(app, ["feed", *arguments], env=environment)


def test_when_a_feed_is_renewed_then_its_readers_start_over(
    ministack: Ministack, client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The command says what it found."""
    for name in "abc":
        put(store, name)
    cursor = store.read_changes(START, 2).next_cursor
    torn = Counter(b"f" * 16, 5, "b")
    client.put_item(TableName=store.table, Item=counter_to_item(torn))

    result = run(ministack, "renew", "--table", store.table)

    assert 0 == result.exit_code
    assert [
        f"{store.table} has a new feed: 3 records, deleted ones included.",
        "Every reader starts over.",
        "The last change was not in the backup and is lost.",
    ] == result.stdout.splitlines()
    with pytest.raises(CursorExpired):
        store.read_changes(cursor, 2)
    assert 6 == put(store, "d").sequence


def test_when_an_import_was_killed_then_the_table_takes_another_after_it_was_stopped(
    ministack: Ministack, client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """The whole way back, by commands."""
    killed = Counter(b"k" * 16, 0, "", FeedState.IMPORTING)
    client.put_item(TableName=store.table, Item=counter_to_item(killed))

    refused = run(ministack, "renew", "--table", store.table)
    stopped = run(ministack, "stop-import", "--table", store.table)

    assert (1, 0) == (refused.exit_code, stopped.exit_code)
    assert "(import_unfinished)" in refused.stderr
    with pytest.raises(FeedImportFailed):
        store.read_changes(START, 1)
    import_records(client, store.table, [("a", {})])
    assert ["a"] == [record.id for record in follow(store)]


def test_when_nothing_is_imported_then_there_is_nothing_to_stop(
    ministack: Ministack, store: DynamoDbRecordStore
) -> None:
    """A feed in use stays open."""
    put(store, "a")

    result = run(ministack, "stop-import", "--table", store.table)

    assert (1, "") == (result.exit_code, result.stdout)
    assert "(no_import_running)" in result.stderr
    assert 2 == put(store, "b").sequence


@pytest.mark.parametrize("command", ["renew", "stop-import"])
def test_when_there_is_no_such_table_then_one_sentence_says_so(
    ministack: Ministack, command: str
) -> None:
    """Nothing is made under a misspelled name."""
    result = run(ministack, command, "--table", "no-such-table")

    assert 1 == result.exit_code
    assert "✗ There is no such table in this account and region.\n" == result.stderr
