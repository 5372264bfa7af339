"""Timers, on a clock that only moves when somebody sleeps."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.timers import (
    FileScheduleMonitor,
    ScheduleStatus,
    TimerListener,
    TimerTrigger,
    parse_timer,
)
from emulator.functions_host.worker import IndexedFunction, InvocationFailed

START = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
EVERY_MINUTE = "0 * * * * *"


class SleeperClock:
    """Time passes while somebody sleeps, and not otherwise."""

    def __init__(self, now: datetime = START) -> None:
        self.moment = now

    def now(self) -> float:
        """Wall-clock time."""
        return self.moment.timestamp()

    def monotonic(self) -> float:
        """The same, for durations."""
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        """Move on by that much."""
        self.moment += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Runs:
    """Notes each run; ends the listening after so many."""

    def __init__(
        self, clock: SleeperClock, wanted: int = 3, *, lasting: float = 0, fails: bool = False
    ) -> None:
        self.clock = clock
        self.wanted = wanted
        self.lasting = lasting
        self.fails = fails
        self.began: list[datetime] = []
        self.timers: list[Mapping[str, Any]] = []
        self.listener: TimerListener | None = None

    async def __call__(self, _function: IndexedFunction, timer: Mapping[str, object]) -> None:
        """One run."""
        self.began.append(self.clock.moment)
        self.timers.append(timer)
        self.clock.moment += timedelta(seconds=self.lasting)
        if len(self.began) == self.wanted:
            assert self.listener is not None
            self.listener.stop()
        if self.fails:
            raise InvocationFailed("on purpose")


def timer_trigger(schedule: str = EVERY_MINUTE, **trigger: Any) -> TimerTrigger:
    """A timer as the app declares it."""
    binding = {"type": "timerTrigger", "name": "timer", "schedule": schedule, **trigger}
    return parse_timer(IndexedFunction("tick", "tick", binding), {}, START)


async def listen(timer: TimerTrigger, runs: Runs, folder: Path) -> None:
    """Listen until the runs have been had."""
    clock = runs.clock
    runs.listener = TimerListener(timer, runs, FileScheduleMonitor(folder), clock, clock.sleep)
    await runs.listener.listen()


def at(text: str) -> datetime:
    """A time on the day of the tests."""
    return datetime.fromisoformat(f"2026-11-21T{text}+00:00")


async def test_when_time_passes_then_the_timer_fires_on_schedule(tmp_path: Path) -> None:
    """Once a minute, at the full minute, and not late."""
    runs = Runs(SleeperClock())

    await listen(timer_trigger(), runs, tmp_path)

    assert [at("10:01:00"), at("10:02:00"), at("10:03:00")] == runs.began
    assert [False] * 3 == [timer["IsPastDue"] for timer in runs.timers]


async def test_when_a_run_takes_longer_than_the_interval_then_the_next_follows_at_once(
    tmp_path: Path,
) -> None:
    """Runs never overlap, and what was missed in between is not made up for."""
    runs = Runs(SleeperClock(), lasting=150)

    await listen(timer_trigger(), runs, tmp_path)

    assert [at("10:01:00"), at("10:03:30"), at("10:06:00")] == runs.began


async def test_when_a_run_fails_then_the_schedule_goes_on(tmp_path: Path) -> None:
    """A failed run is not retried before the next tick."""
    runs = Runs(SleeperClock(), wanted=2, fails=True)

    await listen(timer_trigger(), runs, tmp_path)

    assert [at("10:01:00"), at("10:02:00")] == runs.began


async def test_when_the_host_was_down_at_the_due_time_then_the_run_is_past_due(
    tmp_path: Path,
) -> None:
    """The status that was kept shows that a run was missed; one run makes up for it."""
    await listen(timer_trigger(), Runs(SleeperClock(), wanted=1), tmp_path)
    runs = Runs(SleeperClock(at("10:07:10")), wanted=2)

    await listen(timer_trigger(), runs, tmp_path)

    assert [at("10:07:10"), at("10:08:00")] == runs.began
    assert [True, False] == [timer["IsPastDue"] for timer in runs.timers]
    assert at("10:02:00").isoformat() == runs.timers[0]["ScheduleStatus"]["Next"]


async def test_when_the_host_is_back_before_the_due_time_then_nothing_was_missed(
    tmp_path: Path,
) -> None:
    """The kept status is gone on with."""
    await listen(timer_trigger(), Runs(SleeperClock(), wanted=1), tmp_path)
    runs = Runs(SleeperClock(at("10:01:59")), wanted=1)

    await listen(timer_trigger(), runs, tmp_path)

    assert [at("10:02:00")] == runs.began
    assert at("10:01:00").isoformat() == runs.timers[0]["ScheduleStatus"]["Last"]


async def test_when_the_schedule_was_changed_then_nothing_was_missed(tmp_path: Path) -> None:
    """The old due time means nothing to the new schedule."""
    await listen(timer_trigger(), Runs(SleeperClock(), wanted=1), tmp_path)
    runs = Runs(SleeperClock(at("10:07:10")), wanted=1)

    await listen(timer_trigger("0 0 * * * *"), runs, tmp_path)

    assert [at("11:00:00")] == runs.began
    assert [False] == [timer["IsPastDue"] for timer in runs.timers]


async def test_when_the_timer_runs_on_startup_then_it_fires_at_once(tmp_path: Path) -> None:
    """And is not past due."""
    runs = Runs(SleeperClock(), wanted=2)

    await listen(timer_trigger(runOnStartup=True), runs, tmp_path)

    assert [START, at("10:01:00")] == runs.began
    assert [False, False] == [timer["IsPastDue"] for timer in runs.timers]


@pytest.mark.parametrize(
    ("schedule", "trigger", "files"),
    [
        (EVERY_MINUTE, {}, ["tick.json"]),
        (EVERY_MINUTE, {"useMonitor": True}, ["tick.json"]),
        (EVERY_MINUTE, {"useMonitor": False}, []),
        ("*/20 * * * * *", {}, []),
        ("*/20 * * * * *", {"useMonitor": True}, []),
    ],
)
async def test_when_a_timer_fires_often_then_it_is_not_monitored(
    tmp_path: Path, schedule: str, trigger: dict[str, bool], files: list[str]
) -> None:
    """Nothing is kept for a timer of less than a minute, whatever the app asks for."""
    runs = Runs(SleeperClock(), wanted=1)

    await listen(timer_trigger(schedule, **trigger), runs, tmp_path)

    assert files == os.listdir(tmp_path)  # noqa: PTH208 - pathlib's own is an error in async code
    assert bool(files) == (runs.timers[0]["ScheduleStatus"] is not None)


async def test_when_a_sleeping_listener_is_stopped_then_it_ends_without_a_run(
    tmp_path: Path,
) -> None:
    """Stopping does not wait for the next due time."""
    clock = SleeperClock()
    runs = Runs(clock)
    forever = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await forever.wait()

    listener = TimerListener(timer_trigger(), runs, FileScheduleMonitor(tmp_path), clock, sleep)
    task = listener.start()
    await asyncio.sleep(0)
    listener.stop()
    await asyncio.wait([task])

    assert task.cancelled()
    assert not runs.began


def test_when_the_kept_status_is_damaged_then_it_counts_as_none(tmp_path: Path) -> None:
    """A half-written file must not keep the host from starting."""
    monitor = FileScheduleMonitor(tmp_path)
    monitor.save("tick", ScheduleStatus(START, START, START))
    whole = (tmp_path / "tick.json").read_text()

    assert ScheduleStatus(START, START, START) == monitor.load("tick")
    for damaged in ("", "[]", "{}", whole[:-5], whole.replace("2026", "x")):
        (tmp_path / "tick.json").write_text(damaged)
        assert monitor.load("tick") is None
    assert monitor.load("another") is None


def test_when_the_schedule_names_a_setting_then_its_value_counts() -> None:
    """%SETTING% in a schedule is an app setting."""
    function = IndexedFunction("tick", "tick", {"schedule": "%S%"})

    assert EVERY_MINUTE == parse_timer(function, {"S": EVERY_MINUTE}, START).schedule.expression


@pytest.mark.parametrize(
    ("schedule", "environment", "reason"),
    [
        ("%S%", {}, "the app setting S is not set"),
        ("* * * * *", {}, "5 fields instead of six"),
        ("0 0 0 30 2 *", {}, "never fires"),
        (EVERY_MINUTE, {"WEBSITE_TIME_ZONE": "Mars/Olympus"}, "names no time zone"),
    ],
)
def test_when_a_timer_is_wrong_then_the_message_names_the_function(
    schedule: str, environment: dict[str, str], reason: str
) -> None:
    """The host does not start with a timer that would never fire as meant."""
    function = IndexedFunction("tick", "tick", {"schedule": schedule})

    with pytest.raises(FunctionsHostError, match=f"the schedule of tick is wrong: .*{reason}"):
        parse_timer(function, environment, START)


def test_when_a_time_zone_is_set_then_the_schedule_is_read_in_it() -> None:
    """Nine in the morning is nine there, in summer and in winter."""
    function = IndexedFunction("tick", "tick", {"schedule": "0 0 9 * * *"})
    timer = parse_timer(function, {"WEBSITE_TIME_ZONE": "Europe/Berlin"}, START)

    assert datetime(2026, 11, 22, 8, tzinfo=UTC) == timer.next_after(START)
    assert datetime(2027, 7, 2, 7, tzinfo=UTC) == timer.next_after(
        datetime(2027, 7, 1, 12, tzinfo=UTC)
    )
