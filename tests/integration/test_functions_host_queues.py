"""Queue triggers and outputs of the Functions host, as processes, on Azurite's queues.

What the host does at each fault is what the manual of Azure's queue trigger says, or the source of
the Storage Queues extension where the manual says nothing.
"""

import asyncio
import base64
import http.client
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from emulator.azurite import Azurite, AzuritePrograms
from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.process import FunctionsHostProcess, start_functions_host
from shared.clock import SystemClock
from tests.support.azurite import azurite
from tests.support.faulty_server import faulty_server
from tests.support.local_stack import running_stack
from tests.support.processes import becomes_true, descendants_of
from tests.support.storage_identity import start_tls_azurite, storage_token, token_answer

__all__ = ["azurite"]

CHECKOUT = Path(__file__).resolve().parents[2]
SAMPLE_APP = CHECKOUT / "tests" / "support" / "sample_queue_app"
APP_PYTHON = CHECKOUT / ".tools" / "function-app" / "bin" / "python"
LEASE = 3


@dataclass
class Bench:
    """An app with queues of its own on an Azurite, and the hosts that serve it."""

    folder: Path
    connection_string: str
    running: ExitStack
    name: str
    app: Path = SAMPLE_APP
    hosts: int = 0

    def configure(self, timeout: str = "00:00:10", **queues: object) -> None:
        """Serve a copy of the app with another host.json."""
        self.app = self.folder / "app"
        shutil.copytree(SAMPLE_APP, self.app)
        document = {
            "version": "2.0",
            "functionTimeout": timeout,
            "extensions": {"queues": queues},
        }
        (self.app / "host.json").write_text(json.dumps(document))

    @contextmanager
    def host(self, *, lease: int | None = LEASE, **settings: str) -> Iterator[FunctionsHostProcess]:
        """A host that serves the app."""
        self.hosts += 1
        environment = {
            "NOTES": str(self.folder / "notes"),
            "WORK_QUEUE": self.name,
            "RESULT_QUEUE": f"{self.name}-results",
            "POISON_QUEUE": f"{self.name}-unused",
            "AzureWebJobsStorage": self.connection_string,
            **settings,
        }
        host = asyncio.run(
            start_functions_host(
                self.app,
                APP_PYTHON,
                0,
                environment,
                self.folder / f"host-{self.hosts}.log",
                kind="emulated",
                message_lease=lease,
            )
        )
        try:
            yield host
        finally:
            host.stop(grace=5)

    def start(self, **options: Any) -> FunctionsHostProcess:
        """A host that runs until the test ends."""
        return self.running.enter_context(self.host(**options))

    def queue(self, suffix: str = "") -> QueueClient:
        """A queue, which need not be there."""
        return self.running.enter_context(
            QueueClient.from_connection_string(self.connection_string, f"{self.name}{suffix}")
        )

    def create(self) -> QueueClient:
        """The work queue, made if it is not there; no host makes it."""
        queue = self.queue()
        with suppress(ResourceExistsError):
            queue.create_queue()
        return queue

    def send(self, *texts: str) -> None:
        """Put messages into the work queue, encoded as Functions expects them."""
        queue = self.create()
        for text in texts:
            queue.send_message(base64.b64encode(text.encode()).decode())

    def count(self, suffix: str = "") -> int:
        """How many messages the queue holds, visible or not."""
        return self.queue(suffix).get_queue_properties().approximate_message_count or 0

    def texts(self, suffix: str) -> list[str]:
        """The visible messages of a queue, as they stand there; none if it is not there."""
        try:
            return [m.content for m in self.queue(suffix).peek_messages(32)]
        except ResourceNotFoundError:
            return []

    def results(self) -> list[str]:
        """What was written to the results, decoded."""
        return [base64.b64decode(text).decode() for text in self.texts("-results")]

    def notes(self, member: str) -> list[dict[str, Any]]:
        """What the functions noted, where that member is in it."""
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        return [note for note in map(json.loads, lines) if member in note]


@contextmanager
def open_bench(folder: Path, connection_string: str) -> Iterator[Bench]:
    """A bench with queues that nobody else has."""
    with ExitStack() as running:
        yield Bench(folder, connection_string, running, f"work-{uuid4().hex[:12]}")


@pytest.fixture
def bench(tmp_path: Path, azurite: Azurite) -> Iterator[Bench]:
    """A bench on the module's Azurite."""
    with open_bench(tmp_path, azurite.connection_string) as bench:
        yield bench


def eventually(condition: Any, within: float = 15) -> None:
    """Fail unless the condition holds within that time."""
    assert becomes_true(condition, within)


def post(host: FunctionsHostProcess, path: str, body: bytes) -> int:
    """The status of a POST."""
    connection = http.client.HTTPConnection(host.url.removeprefix("http://"), timeout=20)
    try:
        connection.request("POST", path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_when_the_function_succeeds_then_its_message_is_deleted(bench: Bench) -> None:
    """The function saw text, ID, attempt and time of insertion; its output is written."""
    bench.send("succeed naïvely")
    bench.start()

    eventually(lambda: bench.count() == 0)

    (note,) = bench.notes("began")
    assert ("succeed naïvely", 1) == (note["began"], note["attempt"])
    assert note["id"]
    assert note["inserted"]
    assert ["result of succeed naïvely"] == bench.results()


def test_when_the_function_fails_five_times_then_the_message_is_poison(bench: Bench) -> None:
    """As it stood in the queue; what the function had set as output is never written."""
    bench.send("fail")
    bench.start()

    eventually(lambda: bench.texts("-poison"))

    assert [1, 2, 3, 4, 5] == [note["attempt"] for note in bench.notes("began")]
    assert [base64.b64encode(b"fail").decode()] == bench.texts("-poison")
    eventually(lambda: bench.count() == 0)
    assert [] == bench.results()


def test_when_a_message_failed_then_it_stays_invisible_as_host_json_says(bench: Bench) -> None:
    """`visibilityTimeout` is the pause between two attempts; the last one is followed by none."""
    bench.configure(maxDequeueCount=2, visibilityTimeout="00:00:02")
    bench.send("fail")
    bench.start()

    eventually(lambda: bench.texts("-poison"))

    first, second = (note["at"] for note in bench.notes("began"))
    (poison,) = bench.queue("-poison").peek_messages(1)
    assert 1.5 < second - first < 8
    assert poison.inserted_on is not None
    assert poison.inserted_on.timestamp() - second < 1.5


def test_when_a_host_is_killed_then_another_one_gets_its_message(bench: Bench) -> None:
    """After the lease, as the second attempt."""
    bench.send("dawdle 2.5")
    with bench.host() as killed:
        eventually(lambda: bench.notes("began"))
        for process_id in descendants_of(killed.pid):
            os.kill(process_id, signal.SIGKILL)
        bench.start()
        eventually(lambda: bench.notes("ended"), within=20)

    assert [1, 2] == [note["attempt"] for note in bench.notes("began")]
    began = bench.notes("began")
    assert began[1]["at"] - began[0]["at"] > LEASE - 1
    eventually(lambda: bench.count() == 0)


def test_when_a_message_killed_its_hosts_too_often_then_it_is_poison_unseen(bench: Bench) -> None:
    """Its sixth host does not try it."""
    bench.send("succeed")
    queue = bench.queue()
    for _ in range(5):
        (taken,) = queue.receive_messages(max_messages=1, visibility_timeout=1)
        queue.update_message(taken, visibility_timeout=0)

    bench.start()
    eventually(lambda: bench.texts("-poison"))

    assert [] == bench.notes("began")


def test_when_two_hosts_share_a_queue_then_each_message_is_processed_once(bench: Bench) -> None:
    """Both take their part."""
    texts = [f"dawdle 0.2{number:02}" for number in range(20)]
    bench.start()
    bench.start()
    bench.send(*texts)

    eventually(lambda: len(bench.notes("ended")) == len(texts), within=30)

    assert sorted(texts) == sorted(note["began"] for note in bench.notes("began"))
    assert 2 == len({note["process"] for note in bench.notes("began")})
    eventually(lambda: bench.count() == 0)


def most_at_once(bench: Bench) -> int:
    """How many messages were being processed at the same time, at most."""
    most = running = 0
    for note in bench.notes("process"):
        running += 1 if "began" in note else -1
        most = max(most, running)
    return most


def test_when_the_batch_size_is_one_then_a_host_runs_one_at_a_time(bench: Bench) -> None:
    """The threshold for the next batch is then none."""
    bench.send(*["dawdle 0.3"] * 4)
    bench.start()

    eventually(lambda: len(bench.notes("ended")) == 4)

    assert 1 == most_at_once(bench)


def test_when_the_batch_is_larger_then_so_many_run_at_once(bench: Bench) -> None:
    """A batch, and then the threshold on top."""
    bench.configure(batchSize=2, newBatchThreshold=1)
    bench.send(*["dawdle 1"] * 6)
    bench.start()

    eventually(lambda: len(bench.notes("ended")) == 6)

    assert 3 >= most_at_once(bench) >= 2


def test_when_the_function_outlives_the_lease_then_it_is_renewed(bench: Bench) -> None:
    """A second host sees nothing of the message, and the receipt that deletes it is the newest."""
    bench.send(f"dawdle {LEASE * 2.5}")
    bench.start()
    bench.start()

    eventually(lambda: bench.notes("ended"), within=20)

    assert [1] == [note["attempt"] for note in bench.notes("began")]
    eventually(lambda: bench.count() == 0)


def test_when_the_function_times_out_then_the_attempt_has_failed(bench: Bench) -> None:
    """By functionTimeout of host.json."""
    bench.configure(timeout="00:00:01", batchSize=1, maxDequeueCount=2)
    bench.send("dawdle 30")
    host = bench.start()

    eventually(lambda: bench.texts("-poison"))

    assert [1, 2] == [note["attempt"] for note in bench.notes("began")]
    assert [] == bench.notes("ended")
    assert "timed out after 1 s" in host.log_file.read_text()


@pytest.mark.parametrize(
    ("text", "attempts"),
    [
        ("this is no base64!", 0),
        (base64.b64encode(b"\xff\xfe\x00").decode(), 5),
    ],
)
def test_when_a_message_cannot_be_read_then_it_is_poison_and_the_rest_goes_on(
    bench: Bench, text: str, attempts: int
) -> None:
    """What is no base64 at once, what is no UTF-8 after five attempts; no function sees it."""
    bench.create().send_message(text)
    bench.send("succeed")
    host = bench.start()

    eventually(lambda: bench.texts("-poison") and bench.notes("ended"))

    assert [text] == bench.texts("-poison")
    assert ["succeed"] == [note["began"] for note in bench.notes("began")]
    assert attempts == host.log_file.read_text().count("is not UTF-8")


def test_when_messages_are_not_encoded_then_both_ways_are_plain(bench: Bench) -> None:
    """`messageEncoding` is `none`, for triggers and outputs."""
    bench.configure(messageEncoding="none")
    bench.create().send_message("succeed <plainly> & naïvely")
    bench.start()

    eventually(lambda: bench.texts("-results"))

    assert ["result of succeed <plainly> & naïvely"] == bench.texts("-results")


def test_when_the_queue_is_not_there_then_the_host_waits_for_it(bench: Bench) -> None:
    """It says so once, makes none, and takes the first message."""
    host = bench.start()
    time.sleep(2)
    said = host.log_file.read_text().count(f"The queue {bench.name} cannot be read")
    bench.send("succeed")

    eventually(lambda: bench.notes("ended"))

    assert 1 == said


def test_when_a_poison_queue_has_a_trigger_then_what_fails_there_stays(bench: Bench) -> None:
    """There is no poison queue of a poison queue, and the message does not come around at once."""
    bench.send("fail")
    bench.configure(maxDequeueCount=2)
    bench.start(POISON_QUEUE=f"{bench.name}-poison", lease=600)

    eventually(lambda: bench.notes("poisoned"))
    time.sleep(1)

    assert [1] == [note["attempt"] for note in bench.notes("poisoned")]
    assert 1 == bench.count("-poison")


def test_when_an_unreadable_text_is_poison_then_no_trigger_sees_it_there_either(
    bench: Bench,
) -> None:
    """It stays in the poison queue, which somebody has to watch by its length."""
    bench.create().send_message("this is no base64!")
    host = bench.start(POISON_QUEUE=f"{bench.name}-poison", lease=600)

    eventually(lambda: host.log_file.read_text().count("is not base64") == 2)

    assert [] == bench.notes("poisoned")
    assert 1 == bench.count("-poison")


def test_when_a_timer_has_queue_outputs_then_only_success_writes_them(bench: Bench) -> None:
    """A list becomes a message for each of its items."""
    host = bench.start()
    (bench.folder / "plan-fails").touch()
    post(host, "/admin/functions/plan", b"{}")
    eventually(lambda: "Executed 'Functions.plan' (Failed)" in host.log_file.read_text())
    after_failure = bench.results()
    (bench.folder / "plan-fails").unlink()
    post(host, "/admin/functions/plan", b"{}")
    eventually(lambda: "Executed 'Functions.plan' (Succeeded)" in host.log_file.read_text())

    assert [] == after_failure
    assert ['{"shard": 0}', '{"shard": 1}'] == bench.results()


def test_when_an_http_function_has_queue_outputs_then_they_are_written(bench: Bench) -> None:
    """Before its answer; one that cannot be written is a 500."""
    host = bench.start()

    assert 200 == post(host, "/api/return", b"\x00\xff")
    assert [base64.b64encode(b"\x00\xff").decode()] == bench.texts("-results")
    assert 500 == post(host, "/api/send", b"x")
    assert "the app setting %ABSENT% is not set" in host.log_file.read_text()


def test_when_a_queue_function_is_asked_for_then_it_runs_on_the_input(bench: Bench) -> None:
    """Without a message; an input is needed."""
    host = bench.start()

    assert 400 == post(host, "/admin/functions/work", b"{}")
    assert 202 == post(host, "/admin/functions/work", b'{"input": "succeed"}')
    eventually(lambda: bench.notes("ended"))
    assert ["succeed"] == [note["began"] for note in bench.notes("began")]


def test_when_the_host_is_told_to_stop_then_what_runs_ends_and_the_rest_stays(
    bench: Bench,
) -> None:
    """The message is deleted, the exit code is 0, and the other one is there for another host."""
    bench.send("dawdle 1.5", "succeed")
    with bench.host() as host:
        eventually(lambda: bench.notes("began"))
        code = host.stop(grace=10)

    assert 0 == code
    assert ["dawdle 1.5"] == [note["ended"] for note in bench.notes("ended")]
    assert [base64.b64encode(b"succeed").decode()] == bench.texts("")
    assert 1 == bench.count()


def test_when_the_host_is_stopped_in_haste_then_the_message_comes_again(bench: Bench) -> None:
    """Once its lease is over."""
    bench.send("dawdle 3.5")
    with bench.host() as host:
        eventually(lambda: bench.notes("began"))
        host.stop(grace=0.5)
    left = bench.count()
    bench.start()

    eventually(lambda: bench.notes("ended"), within=20)

    assert 1 == left
    assert [1, 2] == [note["attempt"] for note in bench.notes("began")]


def test_when_the_storage_goes_away_then_the_listener_goes_on(tmp_path: Path) -> None:
    """It says once that it cannot read, and works as soon as it can."""
    first = start_azurite(tmp_path / "first")
    with open_bench(tmp_path, first.connection_string) as bench:
        bench.send("succeed")
        host = bench.start()
        eventually(lambda: bench.notes("ended"))
        first.stop()
        trouble = f"The queue {bench.name} cannot be read"
        eventually(lambda: trouble in host.log_file.read_text())
        time.sleep(3)
        said = host.log_file.read_text().count(trouble)
        second = start_azurite(tmp_path / "second", urlsplit(first.queue_url).port or 0)
        try:
            bench.send("succeed")
            eventually(lambda: len(bench.notes("ended")) == 2)
        finally:
            second.stop()

    assert 1 == said


def start_azurite(folder: Path, queue_port: int = 0) -> Azurite:
    """An Azurite of the test's own."""
    return Azurite.start(
        AzuritePrograms.under(CHECKOUT / ".tools"),
        folder,
        clock=SystemClock(),
        sleep=time.sleep,
        queue_port=queue_port,
    )


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        ("", "the app setting AzureWebJobsStorage is not set"),
        ("nonsense", "the app setting AzureWebJobsStorage is no storage connection string"),
    ],
)
def test_when_there_is_no_connection_then_the_host_refuses_and_names_the_setting(
    bench: Bench, connection: str, reason: str
) -> None:
    """As Core Tools do; it does not show what the setting holds."""
    with pytest.raises(FunctionsHostError, match=reason) as refusal:
        bench.start(AzureWebJobsStorage=connection)

    assert "nonsense" not in str(refusal.value)


async def test_when_the_connection_is_an_identitys_then_no_key_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trigger and output by the managed identity's token; the setting has only the address."""
    secured = start_tls_azurite(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secured.ca_file))
    try:
        async with faulty_server(token_answer(storage_token("https://storage.azure.com"))) as entra:
            with open_bench(tmp_path, secured.azurite.connection_string) as bench:
                settings = {
                    "AzureWebJobsStorage": "",
                    "AzureWebJobsStorage__queueServiceUri": secured.azurite.queue_url,
                    "AzureWebJobsStorage__credential": "managedidentity",
                    "SSL_CERT_FILE": str(secured.ca_file),
                    "IDENTITY_ENDPOINT": f"http://127.0.0.1:{entra.port}/token",
                    "IDENTITY_HEADER": "made-up",
                }

                def run() -> list[str]:
                    bench.send("succeed")
                    bench.start(**settings)
                    eventually(lambda: bench.count() == 0)
                    return bench.results()

                results = await asyncio.to_thread(run)
    finally:
        secured.azurite.stop()

    assert ["result of succeed"] == results
    assert len(entra.requests) >= 1


async def test_when_the_sync_fans_out_then_the_stack_has_queues(tmp_path: Path) -> None:
    """The Function App is told so, and gets a connection under which queues answer."""
    async with running_stack(tmp_path, sync_fan_out=True, imports_records=False) as stack:
        settings = stack.function_settings
        received = await asyncio.to_thread(send_and_receive, settings["AzureWebJobsStorage"])

    assert ("true", "message") == (settings["SYNC_FAN_OUT"], received)


def send_and_receive(connection_string: str) -> str:
    """A message that went through a new queue."""
    with QueueClient.from_connection_string(connection_string, "a-queue") as queue:
        queue.create_queue()
        queue.send_message("message")
        (message,) = queue.receive_messages(max_messages=1)
        return str(message.content)
