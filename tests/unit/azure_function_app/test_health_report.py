"""What the app says of itself."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import StoreUnavailable
from azure_function_app.health_report import Health
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import CheckpointStore, SyncReport, SyncStatus
from tests.support.fake_clock import FakeClock

REPORT = SyncReport("run-1", SyncStatus.COMPLETE, 1, 2, 3, 4, "then", "now", None)


def health(store: CheckpointStore, clock: FakeClock, wait_seconds: float = 0.5) -> Health:
    """The health of an app with that store."""
    return Health(
        wait_seconds=wait_seconds,
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
            "tombstones_set_aside": 0,
            "records_missing": 0,
        },
        "last_success_at": "now",
        "none_succeeded_since": None,
        "failing_shards": [],
        "last_sync_age_seconds": 0.0,
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


class StubbornStore(SqliteStore):
    """A store that answers when the test lets it."""

    def __init__(self) -> None:
        """Start as one that answers."""
        self.lets_go = asyncio.Event()
        self.lets_go.set()
        self.error: Exception | None = None
        self.reads = 0

    async def load_reports(self, *, deadline: Deadline | None = None) -> Sequence[SyncReport]:
        """The report, once the test says so."""
        assert deadline is not None
        self.reads += 1
        await self.lets_go.wait()
        if self.error is not None:
            raise self.error
        return [REPORT]


async def test_when_the_store_never_answered_then_everyone_is_told_and_it_was_asked_once() -> None:
    """503 with Retry-After, from one read however many ask and however long it hangs."""
    store, clock = StubbornStore(), FakeClock()
    store.lets_go.clear()
    subject = health(store, clock, wait_seconds=0.0)

    answers = []
    for _ in range(3):
        answers += await asyncio.gather(*(subject.answer("r") for _ in range(50)))
        clock.advance(60.0)
    store.lets_go.set()

    assert {503} == {answer.status for answer in answers}
    assert {"store_not_answering"} == {json.loads(answer.body)["error_code"] for answer in answers}
    assert {"1"} == {dict(answer.headers).get("Retry-After") for answer in answers}
    assert 1 == store.reads


async def test_when_the_store_stops_answering_then_the_last_report_is_shown_with_its_age() -> None:
    """A slow store is no news for ten seconds, and what it last said is shown for ever."""
    store, clock = StubbornStore(), FakeClock()
    subject = health(store, clock)
    await subject.answer("r-0")
    subject.wait_seconds = 0.0
    store.lets_go.clear()

    seen = []
    for seconds in (10.0, 0.1, 3600.0):
        clock.advance(seconds)
        answer = await subject.answer("r")
        document = json.loads(answer.body)
        seen.append((answer.status, document["error_code"], document["last_sync_age_seconds"]))
        assert "run-1" == document["last_sync"]["run_id"]
    store.lets_go.set()

    assert [
        (200, None, 10.0),
        (503, "store_not_answering", 10.1),
        (503, "store_not_answering", 3610.1),
    ] == seen


async def test_when_the_store_answers_again_then_so_does_health() -> None:
    """The read that hung ends, and the next one counts."""
    store, clock = StubbornStore(), FakeClock()
    store.lets_go.clear()
    subject = health(store, clock, wait_seconds=0.0)
    await subject.answer("r-1")

    store.lets_go.set()
    await asyncio.sleep(0)
    clock.advance(1.0)
    subject.wait_seconds = 1.0
    answer = await subject.answer("r-2")

    assert (200, 0.0) == (answer.status, json.loads(answer.body)["last_sync_age_seconds"])
    assert 2 == store.reads


async def test_when_the_store_fails_then_a_flood_asks_it_once_a_second() -> None:
    """A failing store is spared as an answering one is; the 503 says when to come again."""
    store, clock = StubbornStore(), FakeClock()
    store.error = StoreUnavailable("gone")
    subject = health(store, clock)

    answers = await asyncio.gather(*(subject.answer("r") for _ in range(50)))
    clock.advance(1.0)
    answers.append(await subject.answer("r"))

    assert {(503, "1")} == {
        (answer.status, dict(answer.headers).get("Retry-After")) for answer in answers
    }
    assert 2 == store.reads


async def test_when_reading_goes_wrong_in_a_new_way_then_nobody_is_told_that_all_is_well() -> None:
    """A bug is not remembered as an answer: whoever asks next meets it too."""
    store = StubbornStore()
    store.error = RuntimeError("a bug")
    subject = health(store, FakeClock())

    for _ in range(2):
        with pytest.raises(RuntimeError, match="a bug"):
            await subject.answer("r")


def ended(status: SyncStatus, minute: int) -> SyncReport:
    """A run that took a minute."""
    code = None if status in {SyncStatus.COMPLETE, SyncStatus.PAUSED} else "some_code"
    began, over = (f"2026-11-21T05:{at:02}:00.000Z" for at in (minute, minute + 1))
    return SyncReport(f"run-{minute}", status, 1, 2, 3, 4, began, over, code)


@pytest.mark.parametrize(
    ("statuses", "success", "since"),
    [
        ("complete", "01", None),
        ("paused", "01", None),
        ("superseded", None, None),
        ("failed", None, "00"),
        ("held failed", None, "00"),
        ("complete failed", "01", "01"),
        ("complete failed held superseded", "01", "01"),
        ("complete superseded", "01", None),
        ("failed complete", "02", None),
        ("complete failed complete failed failed", "03", "03"),
    ],
)
async def test_when_runs_do_not_succeed_then_health_says_since_when(
    tmp_path: Path, statuses: str, success: str | None, since: str | None
) -> None:
    """How the last run ended, when one last succeeded, and since when none has."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    for minute, status in enumerate(statuses.split()):
        await store.save_report(ended(SyncStatus(status), minute))

    answer = await health(store, FakeClock()).answer("r-1")
    await store.aclose()

    def at(minute: str | None) -> str | None:
        return minute and f"2026-11-21T05:{minute}:00.000Z"

    document = json.loads(answer.body)
    assert 200 == answer.status
    assert statuses.rsplit(maxsplit=1)[-1] == document["last_sync"]["status"]
    assert (at(success), at(since)) == (
        document["last_success_at"],
        document["none_succeeded_since"],
    )


def shard_run(shard: int | None, status: SyncStatus, minute: int) -> SyncReport:
    """A run that went on for half of that minute."""
    return SyncReport(
        run_id=f"{shard}-{minute}",
        status=status,
        pages=1,
        records_read=2,
        records_changed=3,
        records_set_aside=0,
        started_at=f"2026-11-21T05:{minute:02}:00.000Z",
        finished_at=f"2026-11-21T05:{minute:02}:30.000Z",
        error_code=None,
        shard=shard,
    )


async def document_of(tmp_path: Path, reports: Sequence[SyncReport]) -> dict[str, object]:
    """What health says after these runs."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    for each in reports:
        await store.save_report(each)
    answer = await health(store, FakeClock()).answer("r-1")
    await store.aclose()
    document: dict[str, object] = json.loads(answer.body)
    return document


async def test_when_one_shard_fails_for_long_then_the_others_do_not_hide_it(
    tmp_path: Path,
) -> None:
    """Sixteen shards and the ticks go on well; the one has not succeeded since it began to fail."""
    runs = [shard_run(3, SyncStatus.COMPLETE, 1)]
    for minute in range(5, 59):
        runs.append(shard_run(3, SyncStatus.FAILED, minute))
        runs += [shard_run(shard, SyncStatus.COMPLETE, minute) for shard in range(16) if shard != 3]
        runs.append(shard_run(None, SyncStatus.PAUSED, minute))

    document = await document_of(tmp_path, runs)

    assert [3] == document["failing_shards"]
    assert "2026-11-21T05:05:00.000Z" == document["none_succeeded_since"]
    assert "2026-11-21T05:01:30.000Z" == document["last_success_at"]


async def test_when_a_shard_has_never_succeeded_then_there_is_no_last_success(
    tmp_path: Path,
) -> None:
    """What the others did is no success of the sync."""
    runs = [shard_run(0, SyncStatus.COMPLETE, 1), shard_run(1, SyncStatus.FAILED, 2)]

    document = await document_of(tmp_path, runs)

    assert (None, [1]) == (document["last_success_at"], document["failing_shards"])


async def test_when_a_tick_fails_and_shards_go_on_then_health_says_since_when(
    tmp_path: Path,
) -> None:
    """Who plans is no shard, and must not be hidden by them."""
    runs = [
        shard_run(None, SyncStatus.PAUSED, 1),
        shard_run(None, SyncStatus.FAILED, 5),
        shard_run(0, SyncStatus.COMPLETE, 6),
    ]

    document = await document_of(tmp_path, runs)

    since, shards = document["none_succeeded_since"], document["failing_shards"]
    assert ("2026-11-21T05:05:00.000Z", []) == (since, shards)


@pytest.mark.parametrize(
    ("last", "since"),
    [(SyncStatus.COMPLETE, None), (SyncStatus.PAUSED, "2026-11-21T05:02:00.000Z")],
)
async def test_when_every_shard_was_found_read_then_an_older_failure_is_over(
    tmp_path: Path, last: SyncStatus, since: str | None
) -> None:
    """The shard may be gone since, with its feed; a tick that sent messages does not tell."""
    runs = [shard_run(7, SyncStatus.FAILED, 2), shard_run(None, last, 9)]

    document = await document_of(tmp_path, runs)

    assert since == document["none_succeeded_since"]


async def test_when_the_feed_has_fewer_shards_by_now_then_the_others_failures_are_over(
    tmp_path: Path,
) -> None:
    """While it was closed they failed; a feed that changes all the time has no quiet tick after."""
    runs = [shard_run(shard, SyncStatus.FAILED, 2) for shard in (3, 4, 40)]
    runs.append(replace(shard_run(None, SyncStatus.PAUSED, 9), shards=4))

    document = await document_of(tmp_path, runs)

    assert [3] == document["failing_shards"]


async def test_when_a_shards_run_was_superseded_then_its_failure_still_counts(
    tmp_path: Path,
) -> None:
    """That says nothing either way."""
    runs = [shard_run(2, SyncStatus.FAILED, 2), shard_run(2, SyncStatus.SUPERSEDED, 9)]

    document = await document_of(tmp_path, runs)

    assert [2] == document["failing_shards"]
