"""Timer triggers: when each is due, whether one was missed, and one scheduled run at a time."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.settings import resolve_indirection
from emulator.functions_host.worker import IndexedFunction, InvocationFailed
from shared.clock import Clock
from shared.formats.ncrontab import Ncrontab

_LOG = logging.getLogger("host")
_LONGEST_SLEEP: Final = 60.0
"""Seconds after which the wall clock is looked at again, so that a suspended laptop catches up."""
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)

Sleep = Callable[[float], Awaitable[object]]
Invoke = Callable[[IndexedFunction, Mapping[str, object]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """When a timer fired last, and when it is due next."""

    last: datetime
    next: datetime
    last_updated: datetime

    def as_json(self) -> dict[str, str]:
        """Return the status as the function sees it, and as it is kept."""
        return {
            "Last": self.last.isoformat(),
            "Next": self.next.isoformat(),
            "LastUpdated": self.last_updated.isoformat(),
        }


class ScheduleMonitor(Protocol):
    """Keeps each timer's status over restarts, so that a missed run is noticed."""

    def load(self, function_name: str) -> ScheduleStatus | None:
        """Return the status as it was kept; None if there is none."""

    def save(self, function_name: str, status: ScheduleStatus) -> None:
        """Keep the status."""


class FileScheduleMonitor:
    """Keeps one small file for each timer. The real host keeps a blob."""

    def __init__(self, folder: Path) -> None:
        """Keep the files in this folder, which is made when the first is written."""
        self._folder = folder

    def load(self, function_name: str) -> ScheduleStatus | None:
        """Return the status as it was kept; None if there is none or it cannot be read."""
        try:
            members = json.loads(self._file(function_name).read_text())
            return ScheduleStatus(
                *(datetime.fromisoformat(members[name]) for name in ("Last", "Next", "LastUpdated"))
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, function_name: str, status: ScheduleStatus) -> None:
        """Keep the status."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._file(function_name)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(status.as_json()))
        new.replace(file)

    def _file(self, function_name: str) -> Path:
        return self._folder / f"{function_name}.json"


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """A timer-triggered function with its schedule read."""

    function: IndexedFunction
    schedule: Ncrontab
    time_zone: tzinfo
    runs_on_startup: bool
    is_monitored: bool

    def next_after(self, moment: datetime) -> datetime:
        """Return when the timer is due after that moment, in UTC."""
        local = moment.astimezone(self.time_zone).replace(tzinfo=None)
        return self.schedule.next_after(local).replace(tzinfo=self.time_zone).astimezone(UTC)


def parse_timer(
    function: IndexedFunction, environment: Mapping[str, str], now: datetime
) -> TimerTrigger:
    """Return the function's timer, with every `%SETTING%` in its schedule resolved.

    Raises:
        FunctionsHostError: the schedule, a setting that it names, or the time zone is wrong.

    """
    trigger = function.trigger
    try:
        schedule = Ncrontab.parse(resolve_indirection(trigger["schedule"], environment))
        time_zone = _parse_time_zone(environment.get("WEBSITE_TIME_ZONE", ""))
        first = schedule.next_after(now.replace(tzinfo=None))
        second = schedule.next_after(first)
    except ValueError as error:
        raise FunctionsHostError(f"the schedule of {function.name} is wrong: {error}.") from None
    # A timer that fires more than once a minute is never monitored.
    is_frequent = second - now.replace(tzinfo=None) < timedelta(minutes=1)
    return TimerTrigger(
        function,
        schedule,
        time_zone,
        runs_on_startup=bool(trigger.get("runOnStartup")),
        is_monitored=trigger.get("useMonitor") is not False and not is_frequent,
    )


def _parse_time_zone(name: str) -> tzinfo:
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"WEBSITE_TIME_ZONE names no time zone: {name!r}") from None


class TimerListener:
    """Runs one timer until it is stopped.

    A scheduled run ends before the next begins. When it took longer than the interval, one run
    follows at once, and what was missed beyond that is not made up for.
    """

    def __init__(
        self,
        timer: TimerTrigger,
        invoke: Invoke,
        monitor: ScheduleMonitor,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Take the timer, how its function is invoked, where its status is kept, and the time."""
        self._timer = timer
        self._invoke = invoke
        self._monitor = monitor
        self._clock = clock
        self._sleep = sleep
        self._is_firing = False
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Start listening, and return the task that does it."""
        self._task = asyncio.create_task(self.listen())
        return self._task

    def stop(self) -> None:
        """End the task: at once, or when the run that is under way has ended."""
        self._is_stopping = True
        if self._task is not None and not self._is_firing:
            self._task.cancel()

    async def listen(self) -> None:
        """Fire whenever the timer is due, until it is stopped."""
        status, is_past_due = self._start()
        if is_past_due or self._timer.runs_on_startup:
            status = await self._fire(status, is_past_due=is_past_due, is_scheduled=False)
        while not self._is_stopping:
            await self._wait_until(status.next)
            status = await self._fire(status, is_past_due=False, is_scheduled=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)

    def _start(self) -> tuple[ScheduleStatus, bool]:
        now = self._now()
        name = self._timer.function.name
        kept = self._monitor.load(name) if self._timer.is_monitored else None
        if kept is not None:
            base = kept.last if kept.last != _NEVER else kept.last_updated
            # A schedule that was changed in between counts as a new one.
            if self._timer.next_after(base) == kept.next:
                return kept, now > kept.next
        status = ScheduleStatus(_NEVER, self._timer.next_after(now), now)
        self._save(status)
        return status, False

    async def _wait_until(self, moment: datetime) -> None:
        while (seconds := (moment - self._now()).total_seconds()) > 0:
            await self._sleep(min(seconds, _LONGEST_SLEEP))

    async def _fire(
        self, status: ScheduleStatus, *, is_past_due: bool, is_scheduled: bool
    ) -> ScheduleStatus:
        # A sleep may end a moment early; the next run must not be this one again.
        fired_at = max(self._now(), status.next) if is_scheduled else self._now()
        kept = status.as_json() if self._timer.is_monitored else None
        reason = "past due" if is_past_due else "scheduled" if is_scheduled else "on startup"
        self._is_firing = True
        try:
            await run_timer(
                self._timer.function, self._invoke, kept, reason=reason, is_past_due=is_past_due
            )
        finally:
            self._is_firing = False
        status = ScheduleStatus(fired_at, self._timer.next_after(fired_at), fired_at)
        self._save(status)
        return status

    def _save(self, status: ScheduleStatus) -> None:
        if self._timer.is_monitored:
            self._monitor.save(self._timer.function.name, status)


async def run_timer(
    function: IndexedFunction,
    invoke: Invoke,
    status: Mapping[str, str] | None,
    *,
    reason: str,
    is_past_due: bool = False,
) -> None:
    """Run a timer-triggered function once; a failure is logged and not raised."""
    _LOG.info("Executing 'Functions.%s' (%s)", function.name, reason)
    timer = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": status,
        "IsPastDue": is_past_due,
    }
    try:
        await invoke(function, timer)
    except InvocationFailed as failure:
        _LOG.error("Executed 'Functions.%s' (Failed): %s", function.name, failure)
    else:
        _LOG.info("Executed 'Functions.%s' (Succeeded)", function.name)
