"""`bridge feed` on a real DynamoDB API: what a person types, and what the table says then."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner, Result

from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import CursorExpired, FeedImportFailed
from aws_backend.record_import import import_records
from aws_backend.table_layout import Counter, FeedState, counter_to_item, shard_of
from bridge_cli.main import app
from emulator.aws.deployment import LocalAws
from emulator.aws.ministack import Ministack
from emulator.stack import _import_airports
from emulator.stack_options import StackOptions
from tests.support.dynamodb import build_client, create_table, open_store
from tests.support.feed_items import read_counter_of, read_items, read_places
from tests.support.record_store_promises import START, follow, put

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAMES: Final = tuple(f"r{number:02}" for number in range(20))


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
    assert 4 == put(store, "d").sequence


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


def test_when_a_feed_is_given_more_shards_then_the_command_says_what_has_moved(
    ministack: Ministack, client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """A feed in use, from one shard to four."""
    for name in NAMES:
        put(store, name)

    result = run(ministack, "renew", "--table", store.table, "--shards", "4")

    assert (0, "") == (result.exit_code, result.stderr)
    moved = sum(shard_of(name, 4) != 0 for name in NAMES)
    assert [
        f"{store.table} has a new feed: {len(NAMES)} records, deleted ones included, in 4 shards.",
        "Every reader starts over.",
        f"{moved} records have moved to another shard.",
    ] == result.stdout.splitlines()
    items = read_items(client, store.table)
    for shard in range(4):
        own = [name for name in NAMES if shard_of(name, 4) == shard]
        assert own == sorted(name for _, name in read_places(items, shard))


def test_when_records_are_misplaced_then_the_command_names_the_one_that_moves_them(
    ministack: Ministack, client: "DynamoDBClient", store: DynamoDbRecordStore
) -> None:
    """And that one does."""
    import_records(client, store.table, [(name, {}) for name in NAMES], shards=4)
    first = read_counter_of(read_items(client, store.table), 0)
    assert first is not None
    client.put_item(TableName=store.table, Item=counter_to_item(replace(first, shards=1)))

    refused = run(ministack, "renew", "--table", store.table)
    healed = run(ministack, "renew", "--table", store.table, "--shards", "4")

    assert (1, 0) == (refused.exit_code, healed.exit_code)
    assert f"bridge feed renew --table {store.table} --shards 1 moves them" in refused.stderr
    assert "(records_misplaced)" in refused.stderr


@pytest.mark.parametrize("number", ["0", "65", "many"])
def test_when_no_feed_can_have_that_number_then_it_is_wrong_usage(
    ministack: Ministack, store: DynamoDbRecordStore, number: str
) -> None:
    """The feed stays as it is."""
    put(store, "a")

    result = run(ministack, "renew", "--table", store.table, "--shards", number)

    assert 2 == result.exit_code
    assert 2 == put(store, "b").sequence


def test_when_a_file_is_imported_into_shards_then_each_record_is_in_its_own(
    ministack: Ministack, client: "DynamoDBClient", tmp_path: Path
) -> None:
    """By the command, as a user would."""
    table = create_table(client)
    file = tmp_path / "records.jsonl"
    file.write_text("".join(f'{{"id": "{name}", "data": {{}}}}\n' for name in NAMES))
    place = ("--table", table, "--endpoint-url", ministack.endpoint_url)

    result = CliRunner().invoke(app, ["import", str(file), *place, "--shards", "3"])

    assert 0 == result.exit_code, result.output
    items = read_items(client, table)
    for shard in range(3):
        own = [name for name in NAMES if shard_of(name, 3) == shard]
        assert own == [name for _, name in read_places(items, shard)]


def test_when_a_stack_is_asked_for_shards_then_its_airports_are_in_them(
    ministack: Ministack, client: "DynamoDBClient", tmp_path: Path
) -> None:
    """As `bridge up --shards` fills its table."""
    table = create_table(client)
    options = StackOptions(checkout=tmp_path, folder=tmp_path, record_limit=30, feed_shards=3)
    aws = LocalAws(ministack.endpoint_url)

    assert 30 == _import_airports(aws, table, options, lambda _done, _all: None)
    items = read_items(client, table)
    assert [3] * 3 == [
        counter.shards for shard in range(3) if (counter := read_counter_of(items, shard))
    ]
    assert 30 == sum(len(read_places(items, shard)) for shard in range(3))
