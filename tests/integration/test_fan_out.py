"""The sync past one process as it is deployed: the app under its host, a queue, the API's shards.

The Function App runs in Microsoft's worker library under the local host, its queues and its records
are on Azurite, and the API is the deployed template with its authorizer and DynamoDB.
"""

import asyncio
import itertools
import json
import os
import signal
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient
from boto3.dynamodb.types import TypeDeserializer
from typer.testing import CliRunner

from aws_backend.record_import import import_records
from azure_function_app.stores.table_store import build_table_store
from azure_function_app.sync.checkpoint_store import SyncReport, SyncStatus, shard_row
from benchmarks.sync.digest import Digest, canonical
from benchmarks.sync.sinks import digest_sqlite, digest_table
from bridge_cli.local_client import LocalClient
from bridge_cli.main import app
from emulator.airports import load_airports
from emulator.azurite import Azurite, AzuritePrograms
from emulator.functions_host.process import FunctionsHostProcess
from emulator.stack import LocalStack
from shared.clock import SystemClock
from tests.support.azurite import no_credential
from tests.support.dynamodb import build_client
from tests.support.local_stack import another_function_app, running_stack
from tests.support.processes import descendants_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CHECKOUT = Path(__file__).parents[2]
SHARDS = 4
RECORD_COUNT = 2_000
QUEUE = "sync-shards"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Place:
    """A Function App with an Azure Storage of its own."""

    stack: LocalStack
    connection_string: str
    table_url: str
    functions: FunctionsHostProcess
    _client: LocalClient = field(repr=False)
    _seen: dict[int, str] = field(default_factory=dict)

    async def tick(self) -> None:
        """Let the timer fire."""
        await self._client.start_sync()

    async def settle(self, *, lost: int = 0) -> list[SyncReport]:
        """Tick, and wait until all messages are worked on, until a tick finds nothing to do.

        Messages of a host that was killed stay invisible for the rest of their lease: so many.
        """

        async def is_worked_off() -> bool:
            return (await asyncio.to_thread(self.count) or 0) <= lost

        for _ in range(20):
            known = {report.run_id for report in await self.reports()}
            await self.tick()

            async def ticked(known: set[str] = known) -> list[SyncReport]:
                return [
                    report
                    for report in await self.reports()
                    if report.shard is None and report.run_id not in known
                ]

            planned = await eventually(ticked)
            # A superseded tick found another run at it, such as a person's, and tells nothing.
            if planned[0].status not in {SyncStatus.PAUSED, SyncStatus.SUPERSEDED}:
                return await self.reports()
            await eventually(is_worked_off)
        raise AssertionError("It never comes to an end.")

    async def reports(self) -> list[SyncReport]:
        """The reports of all runs, the newest first."""
        store = build_table_store(self.table_url, no_credential)
        try:
            return list(await store.load_reports())
        finally:
            await store.aclose()

    async def cursor(self, shard: int) -> str:
        """Where the shard's checkpoint stands."""
        store = build_table_store(self.table_url, no_credential)
        try:
            return (await store.for_row(shard_row(shard)).load()).cursor
        finally:
            await store.aclose()

    def queue(self, name: str = QUEUE) -> QueueClient:
        """A queue, which need not be there."""
        return QueueClient.from_connection_string(self.connection_string, name)

    def count(self, name: str = QUEUE) -> int | None:
        """How many messages the queue holds, visible or not; None if it is not there."""
        with self.queue(name) as queue:
            try:
                return queue.get_queue_properties().approximate_message_count
            except ResourceNotFoundError:
                return None

    async def has_moved(self, shard: int) -> bool:
        """Whether the shard's checkpoint is another one than it was at the first look."""
        cursor = await self.cursor(shard)
        return cursor != self._seen.setdefault(shard, cursor)

    @asynccontextmanager
    async def another_app(self, name: str) -> AsyncIterator["Place"]:
        """Another instance of the app, on the same storage."""
        own = {
            "TABLE_ENDPOINT": self.table_url,
            "AzureWebJobsStorage": self.connection_string,
        }
        async with (
            another_function_app(self.stack, name, own) as functions,
            LocalClient.to(self.stack, functions.url) as client,
        ):
            yield Place(self.stack, self.connection_string, self.table_url, functions, client)

    async def stored(self) -> str:
        """The digest of the records in the sink."""
        return await asyncio.to_thread(digest_table, self.table_url, "bridge")

    def log(self) -> str:
        """What the host and the app have logged."""
        return self.functions.log_file.read_text()


@dataclass
class Source:
    """The API's table, and what the Function App did while it had never been written to."""

    stack: LocalStack
    client: "DynamoDBClient"
    first_day: list[SyncReport] = field(default_factory=list)
    first_queue: int | None = None
    first_health: dict[str, Any] = field(default_factory=dict)

    async def digest(self) -> str:
        """The digest of the records that are not deleted."""
        return await asyncio.to_thread(self._digest)

    def _digest(self) -> str:
        digest = Digest()
        read = TypeDeserializer().deserialize
        pages = self.client.get_paginator("scan").paginate(
            TableName=self.stack.deployment.table_name
        )
        for item in itertools.chain.from_iterable(page["Items"] for page in pages):
            found: dict[str, Any] = {name: read(value) for name, value in item.items()}
            if "data" in found and not found["deleted"]:
                digest.add(
                    found["id"],
                    int(found["version"]),
                    found["updated_at"],
                    canonical(json.loads(found["data"])),
                )
        return digest.text

    async def change(self, *record_ids: str, deletes: str | None = None) -> None:
        """Write these records by the API, and delete that one."""
        async with LocalClient.to(self.stack) as client:
            token = await client.token_for(self.stack.tenant.editor)
            for record_id in record_ids:
                answer = await client.call_api(
                    "PUT", f"/v1/records/{record_id}", token=token, json={"changed": record_id}
                )
                assert answer.status_code in {200, 201}, answer.text
            if deletes:
                answer = await client.call_api("DELETE", f"/v1/records/{deletes}", token=token)
                assert 204 == answer.status_code, answer.text


async def eventually[T](ask: Callable[[], Any], within: float = 60.0) -> Any:
    """What the question is answered with, once that is anything."""
    async with asyncio.timeout(within):
        while not (answer := await ask()):  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)
        return answer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def source(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Source]:
    """The airports in a feed of four shards, in a stack whose app has seen it empty."""
    folder = tmp_path_factory.mktemp("stack") / "stack"
    options: dict[str, Any] = {
        "sync_fan_out": True,
        "record_store": "table",
        "feed_shards": SHARDS,
        "imports_records": False,
    }
    async with running_stack(folder, **options) as stack, LocalClient.to(stack) as client:
        settings = stack.function_settings
        source = Source(stack, build_client(stack.aws_endpoint_url))
        place = Place(
            stack,
            settings["AzureWebJobsStorage"],
            settings["TABLE_ENDPOINT"],
            stack.functions,
            client,
        )
        source.first_day = await place.settle()
        source.first_queue = place.count()
        source.first_health = (await client.call_function("GET", "/health")).json()
        await asyncio.to_thread(
            import_records,
            source.client,
            stack.deployment.table_name,
            itertools.islice(load_airports(), RECORD_COUNT),
            shards=SHARDS,
        )
        yield source
        source.client.close()


@asynccontextmanager
async def place_of(source: Source, folder: Path, **settings: str) -> AsyncIterator[Place]:
    """A Function App on an empty Azurite, which reads the source."""
    azurite = await asyncio.to_thread(
        Azurite.start,
        AzuritePrograms.under(CHECKOUT / ".tools"),
        folder,
        clock=SystemClock(),
        sleep=time.sleep,
    )
    try:
        own = {
            "TABLE_ENDPOINT": azurite.table_url,
            "AzureWebJobsStorage": azurite.connection_string,
        }
        async with (
            another_function_app(source.stack, folder.name, own | settings) as functions,
            LocalClient.to(source.stack, functions.url) as client,
        ):
            yield Place(
                source.stack, azurite.connection_string, azurite.table_url, functions, client
            )
    finally:
        await asyncio.to_thread(azurite.stop)


async def test_when_the_account_is_new_then_a_tick_is_complete_and_makes_no_queue(
    source: Source,
) -> None:
    """The API's table had no feed yet; health is content."""
    assert [(SyncStatus.COMPLETE, None)] == [
        (report.status, report.error_code) for report in source.first_day
    ]
    assert source.first_queue is None
    assert ("ok", None) == (
        source.first_health["status"],
        source.first_health["none_succeeded_since"],
    )


async def test_when_the_timer_ticks_then_the_shards_are_read_and_then_what_has_changed(
    source: Source, tmp_path: Path
) -> None:
    """All airports arrive, and the increment costs a run of each shard that has one."""
    async with place_of(source, tmp_path) as place:
        first = await place.settle()
        loaded, expected = await place.stored(), await source.digest()
        first_id, *changed_ids = (code for code, _ in itertools.islice(load_airports(), 3))
        await source.change(*changed_ids, "NEW1", deletes=first_id)
        second = await place.settle()
        changed, expected_then = await place.stored(), await source.digest()

    assert set(range(SHARDS)) == {report.shard for report in first} - {None}
    assert expected == loaded
    assert expected_then == changed != loaded
    increment = [report for report in second if report not in first]
    assert 4 == sum(report.records_read for report in increment)
    assert "(Failed)" not in place.log()


async def test_when_the_host_is_killed_while_a_shard_is_read_then_all_is_there_in_the_end(
    source: Source, tmp_path: Path
) -> None:
    """Its message comes back only after its lease; the next tick plans from where the row is."""
    async with place_of(source, tmp_path, SYNC_PAGE_SIZE="50") as place:
        await place.tick()

        await eventually(partial(place.cursor, 0))
        await eventually(partial(place.has_moved, 0))
        killed = descendants_of(place.functions.pid)
        for process_id in killed:
            os.kill(process_id, signal.SIGKILL)
        left = await place.stored()
        async with place.another_app("second") as second:
            await second.settle(lost=1)
            loaded, expected = await place.stored(), await source.digest()

    assert killed
    assert expected == loaded != left


async def test_when_garbage_is_in_the_queue_then_it_is_told_of_and_the_rest_goes_on(
    source: Source, tmp_path: Path
) -> None:
    """After five attempts each the poison's function logs it, whatever it was encoded as."""
    garbage = [
        "no JSON at all",
        b64encode(b"\xff\xfe").decode(),
        "[1, 2]",
        '{"format": 2}',
        "é <&>",
    ]
    async with place_of(source, tmp_path) as place:
        with place.queue() as queue:
            queue.create_queue()
            for text in garbage:
                queue.send_message(text)
        await place.settle()
        loaded, expected = await place.stored(), await source.digest()

        async def all_told() -> bool:
            return len(events(place.log(), "shard_poisoned")) == len(garbage)

        await eventually(all_told)
        is_kept = place.count(f"{QUEUE}-poison")
        log = place.log()

    assert expected == loaded
    assert 5 * len(garbage) == len(events(log, "shard_message_invalid"))
    assert {"shard_message_invalid"} == {line["code"] for line in events(log, "shard_poisoned")}
    assert 0 == is_kept
    assert "no JSON at all" not in log


async def test_when_a_person_runs_the_sync_meanwhile_then_both_bring_everything(
    source: Source, tmp_path: Path
) -> None:
    """`bridge sync` plans and reads the same shards, by the same rows."""
    async with place_of(source, tmp_path, SYNC_PAGE_SIZE="200") as place:
        values = dict(source.stack.function_settings) | {
            "TABLE_ENDPOINT": place.table_url,
            "AzureWebJobsStorage": place.connection_string,
            "SYNC_PAGE_SIZE": "200",
        }
        file = tmp_path / "local.settings.json"
        file.write_text(json.dumps({"IsEncrypted": False, "Values": values}), "utf-8")
        await place.tick()
        first, report = await bridge_sync(file)
        await place.settle()
        loaded, expected = await place.stored(), await source.digest()
        last, idle = await bridge_sync(file)

    assert expected == loaded
    assert (first, report["status"]) in {(0, "complete"), (4, "superseded")}
    assert (0, "complete", 0) == (last, idle["status"], idle["records_read"])


async def test_when_the_way_of_reading_is_changed_then_nothing_is_lost_either_way(
    source: Source, tmp_path: Path
) -> None:
    """Each first run in another way reads everything once, in the same generation."""
    settings = tmp_path / "local.settings.json"
    values = dict(source.stack.function_settings) | {
        "RECORD_STORE": "sqlite",
        "SQLITE_PATH": str(tmp_path / "records.sqlite3"),
    }
    seen = []
    for fans_out in ("false", "true", "true", "false", "false"):
        values["SYNC_FAN_OUT"] = fans_out
        settings.write_text(json.dumps({"IsEncrypted": False, "Values": values}), "utf-8")
        code, report = await bridge_sync(settings)
        seen.append((code, report["status"], report["records_read"], report["records_changed"]))
    expected = await source.digest()
    count = int(expected.split()[0])

    assert expected == digest_sqlite(tmp_path / "records.sqlite3")
    assert [changed for *_, changed in seen] == [seen[0][3], 0, 0, 0, 0]
    assert [read >= count for _, _, read, _ in seen] == [True, True, False, True, False]
    assert {(0, "complete")} == {ended[:2] for ended in seen}


async def bridge_sync(settings: Path) -> tuple[int, dict[str, Any]]:
    """The command `bridge sync --json`: its exit code and its report."""
    arguments = ["sync", "--json", "--settings", str(settings)]
    with mock.patch.dict("os.environ"):
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return result.exit_code, json.loads(result.stdout)


def events(log: str, event: str) -> list[dict[str, Any]]:
    """The lines of the log that are of this event."""
    lines = [line[line.index("{") :] for line in log.splitlines() if f'"{event}"' in line]
    return [found for found in map(json.loads, lines) if found.get("event") == event]
