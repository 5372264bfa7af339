"""What the app says of itself."""

import json
from pathlib import Path

from azure_function_app.health_report import Health
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import SyncReport, SyncStatus
from tests.support.fake_clock import FakeClock

REPORT = SyncReport("run-1", SyncStatus.COMPLETE, 1, 2, 3, 4, "then", "now", None)


def health(store: SqliteStore, clock: FakeClock) -> Health:
    """The health of an app with that store."""
    return Health(
        version="1.2.3",
        credential="managed_identity",
        record_store="sqlite",
        checkpoints=store,
        clock=clock,
    )


async def test_when_a_run_has_ended_then_health_shows_its_report(tmp_path: Path) -> None:
    """Version, kinds and the whole last report."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    await store.save_report(REPORT)

    answer = await health(store, FakeClock()).answer("r-1")
    await store.aclose()

    assert 200 == answer.status
    assert {
        "status": "ok",
        "error_code": None,
        "version": "1.2.3",
        "credential": "managed_identity",
        "record_store": "sqlite",
        "last_sync": {
            "run_id": "run-1",
            "status": "complete",
            "pages": 1,
            "records_read": 2,
            "records_changed": 3,
            "records_set_aside": 4,
            "started_at": "then",
            "finished_at": "now",
            "error_code": None,
        },
    } == json.loads(answer.body)


async def test_when_nothing_ever_ran_then_health_is_ok_all_the_same(tmp_path: Path) -> None:
    """A new app is not a broken one."""
    store = SqliteStore(tmp_path / "records.sqlite3")

    answer = await health(store, FakeClock()).answer("r-1")
    await store.aclose()

    assert (200, None) == (answer.status, json.loads(answer.body)["last_sync"])


async def test_when_the_store_cannot_be_read_then_the_app_is_degraded(tmp_path: Path) -> None:
    """503 with the code, without the store's own words."""
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file" / "records.sqlite3")

    answer = await health(store, FakeClock()).answer("r-1")
    await store.aclose()

    document = json.loads(answer.body)
    assert (503, "degraded", "store_unavailable") == (
        answer.status,
        document["status"],
        document["error_code"],
    )
    assert str(tmp_path) not in answer.body.decode()


async def test_when_many_ask_then_the_store_is_read_once_a_second(tmp_path: Path) -> None:
    """Anybody may ask, so asking must cost next to nothing."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    clock = FakeClock()
    subject = health(store, clock)
    await subject.answer("r-1")
    await store.save_report(REPORT)

    clock.advance(0.999)
    before = json.loads((await subject.answer("r-2")).body)
    clock.advance(0.001)
    after = json.loads((await subject.answer("r-3")).body)
    await store.aclose()

    assert before["last_sync"] is None
    assert "run-1" == after["last_sync"]["run_id"]
