"""The timer's function, called with the worker's own timer request."""

import logging
from pathlib import Path

import azure.functions as func
import pytest

from azure_function_app import bootstrap
from azure_function_app.bootstrap import ServicesPerLoop
from azure_function_app.errors import BackendUnavailable
from azure_function_app.sync.checkpoint_store import SyncStatus
from shared.settings_reader import SettingsError
from tests.support.fake_feed import FakeFeed, record
from tests.support.functions_app import both_clients, context, services_per_loop, user_function


class ClosableFeed(FakeFeed):
    """A feed that can be closed, as the real API can."""

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> ClosableFeed:
    """What stands in for the API."""
    feed = ClosableFeed([record("a"), record("b")])
    monkeypatch.setattr(bootstrap, "build_api_clients", lambda *_: both_clients(feed))
    monkeypatch.setattr(bootstrap, "ChangeFeed", lambda *_: feed)
    return feed


@pytest.fixture
def services(tmp_path: Path) -> ServicesPerLoop:
    """The services of a well-configured app."""
    return services_per_loop(SQLITE_PATH=str(tmp_path / "records.sqlite3"))


@pytest.mark.usefixtures("feed")
async def test_when_the_timer_ticks_then_the_sync_job_runs_once(services: ServicesPerLoop) -> None:
    """A tick is a run, and a run that worked returns nothing."""
    result = await user_function(services, "sync_timer")(
        func.TimerRequest(past_due=False), context()
    )
    report = await (await services.get()).health.checkpoints.load_report()

    assert result is None
    assert report is not None
    assert (SyncStatus.COMPLETE, 2) == (report.status, report.records_changed)


@pytest.mark.usefixtures("feed")
@pytest.mark.parametrize("past_due", [True, False])
async def test_when_the_tick_is_late_then_the_log_says_so(
    services: ServicesPerLoop, caplog: pytest.LogCaptureFixture, *, past_due: bool
) -> None:
    """A late tick runs all the same."""
    with caplog.at_level(logging.INFO):
        await user_function(services, "sync_timer")(func.TimerRequest(past_due=past_due), context())

    events = [line.getMessage() for line in caplog.records]
    assert past_due == ("sync_past_due" in events)
    assert "sync_finished" in events


async def test_when_a_run_fails_then_the_invocation_does(
    services: ServicesPerLoop, feed: ClosableFeed
) -> None:
    """Azure counts a failed run as a failed invocation, so that alerts see it."""

    def fail(_cursor: str) -> None:
        raise BackendUnavailable("The API is down.")

    feed.before_answer = fail

    with pytest.raises(BackendUnavailable):
        await user_function(services, "sync_timer")(func.TimerRequest(past_due=False), context())


async def test_when_the_settings_are_wrong_then_the_invocation_fails(feed: ClosableFeed) -> None:
    """Nothing runs half-configured."""
    services = services_per_loop(SYNC_RUN_SECONDS="-1")

    with pytest.raises(SettingsError, match="SYNC_RUN_SECONDS"):
        await user_function(services, "sync_timer")(func.TimerRequest(past_due=False), context())
    assert [] == feed.calls
