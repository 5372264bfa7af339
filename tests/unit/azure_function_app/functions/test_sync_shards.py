"""The queue's functions and the timer that feeds them, called with the worker's own objects."""

import logging
from pathlib import Path
from typing import cast

import azure.functions as func
import pytest

from azure_function_app import bootstrap
from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.errors import BackendUnavailable, ShardMessageInvalid
from azure_function_app.sync.checkpoint_store import SyncStatus
from tests.support.fake_feed import ShardedFeed
from tests.support.functions_app import both_clients, context, services_per_loop, user_function


class Out:
    """An output binding, as the worker's: what is set last is sent."""

    def __init__(self) -> None:
        """Nothing is set."""
        self.value: list[str] | None = None

    def set(self, value: list[str]) -> None:
        """Set what is sent."""
        self.value = value

    def get(self) -> list[str] | None:
        """What is set."""
        return self.value


class ClosableFeed(ShardedFeed):
    """A feed that can be closed, as the real API can."""

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> ClosableFeed:
    """What stands in for the API."""
    feed = ClosableFeed()
    feed.put(*(f"r{number}" for number in range(20)))
    monkeypatch.setattr(bootstrap, "build_api_clients", lambda *_: both_clients(feed))
    monkeypatch.setattr(bootstrap, "ChangeFeed", lambda *_: feed)
    return feed


@pytest.fixture
def services(tmp_path: Path) -> ServicesPerLoop:
    """The services of an app that fans out."""
    return services_per_loop(SQLITE_PATH=str(tmp_path / "records.sqlite3"), SYNC_FAN_OUT="true")


def queued(text: str) -> func.QueueMessage:
    """The message as the worker hands it over."""
    return func.QueueMessage(body=text.encode())


@pytest.mark.usefixtures("feed")
async def test_when_the_timer_ticks_then_each_message_it_sends_reads_a_shard(
    services: ServicesPerLoop,
) -> None:
    """The tick reads nothing itself."""
    sent, following = Out(), Out()

    await user_function(services, "sync_timer")(func.TimerRequest(past_due=False), sent, context())
    for text in sent.value or []:
        await user_function(services, "sync_shard")(queued(text), following, context())

    assert 3 == len(sent.value or [])
    assert following.value is None
    reports = await (await services.get()).checkpoints.load_reports()
    assert [None, 0, 1, 2] == sorted(
        (report.shard for report in reports), key=lambda shard: -1 if shard is None else shard
    )
    assert 20 == sum(report.records_changed for report in reports)


@pytest.mark.usefixtures("feed")
async def test_when_every_shard_is_read_then_the_timer_sets_nothing(
    services: ServicesPerLoop,
) -> None:
    """An idle tick costs no message."""
    await run_all(services)
    sent = Out()

    await user_function(services, "sync_timer")(func.TimerRequest(past_due=True), sent, context())

    assert sent.value is None


async def test_when_a_shards_run_fails_then_the_invocation_does(
    services: ServicesPerLoop, feed: ClosableFeed
) -> None:
    """So that the host tries the message again, and sets it aside in the end."""
    sent = Out()
    await user_function(services, "sync_timer")(func.TimerRequest(past_due=False), sent, context())

    def fail(_cursor: str) -> None:
        raise BackendUnavailable("The API is down.")

    feed.before_answer = fail

    with pytest.raises(BackendUnavailable):
        await user_function(services, "sync_shard")(queued((sent.value or [])[1]), Out(), context())
    report = await (await services.get()).checkpoints.load_report()
    assert report is not None
    assert (1, SyncStatus.FAILED) == (report.shard, report.status)


@pytest.mark.usefixtures("feed")
async def test_when_a_message_is_not_ours_then_the_invocation_fails_with_its_code(
    services: ServicesPerLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """What it holds is not logged: nobody knows what it is."""
    with caplog.at_level(logging.ERROR), pytest.raises(ShardMessageInvalid):
        await user_function(services, "sync_shard")(queued("secret"), Out(), context())

    assert ["shard_message_invalid"] == caplog.messages
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("feed")
async def test_when_a_message_is_given_up_then_the_log_names_its_shard(
    services: ServicesPerLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """An alert looks for the event."""
    sent = Out()
    await user_function(services, "sync_timer")(func.TimerRequest(past_due=False), sent, context())
    caplog.clear()

    for text in ((sent.value or [])[2], "secret"):
        await user_function(services, "sync_shards_poison")(queued(text), context())

    assert ["shard_poisoned"] * 2 == caplog.messages
    assert [logging.ERROR] * 2 == [line.levelno for line in caplog.records]
    fields = [cast("dict[str, object]", line.__dict__["bridge_fields"]) for line in caplog.records]
    assert (2, "shard_message_invalid") == (fields[0]["shard"], fields[1]["code"])


async def run_all(services: ServicesPerLoop) -> None:
    """Tick, and work on all that is sent."""
    sent = Out()
    await user_function(services, "sync_timer")(func.TimerRequest(past_due=False), sent, context())
    for text in sent.value or []:
        await user_function(services, "sync_shard")(queued(text), Out(), context())
