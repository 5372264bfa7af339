"""Carries out trials, one after the other: real processes, real sockets, a look at the sink."""

import asyncio
import pickle
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from emulator.azurite import Azurite
from emulator.postgres import Postgres
from tests.crash_matrix.file_points import lose_power
from tests.crash_matrix.invariants import Finding, Kind, Watch, check_end
from tests.crash_matrix.network import READ_SECONDS, Lockstep, NetworkPoint, Wires, wires
from tests.crash_matrix.postgres_sink import PostgresSink, PostgresWatcher, new_postgres_sink
from tests.crash_matrix.run_host import Run, RunHost
from tests.crash_matrix.run_process import RunOrder, RunResult
from tests.crash_matrix.scenarios import Scenario
from tests.crash_matrix.sinks import (
    Sink,
    SqliteSink,
    connect_to_azurite,
    new_table_sink,
)
from tests.crash_matrix.source import Source
from tests.crash_matrix.trials import (
    DiskPoint,
    FilePoint,
    PairPoint,
    Recording,
    StoreName,
    Trial,
    list_trials,
)

_HEALTHY_RUNS: Final = 5
_COMPLETE: Final = "complete"
_SETTINGS: Final = {
    "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
    "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
    "API_APP_ID_URI": "api://bridge",
    "SYNC_READ_SECONDS": str(READ_SECONDS),
    "SYNC_CALL_SECONDS": "20",
    "SYNC_MOST_DELETED_SHARE": "1",
    "SYNC_MOST_POISON_SHARE": "1",
    "SYNC_RUN_SECONDS": "60",
}
_SHORT_RUN: Final = {"SYNC_RUN_SECONDS": "1"}
"""Of a run that waits for the lock of a frozen one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    trial: Trial
    was_reached: bool
    """Whether the run came to the point."""
    findings: tuple[Finding, ...]
    ended: str
    """How the disturbed run ended."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario in a store, ready to be tried any number of times."""

    scenario: Scenario
    store: StoreName
    sink: Sink
    source: Source
    trials: Sequence[Trial]


@dataclass(slots=True)
class Stage:
    """Where trials take place, one at a time."""

    host: RunHost
    first: Wires
    second: Wires
    folder: Path
    azurite: Azurite | None
    postgres: PostgresWatcher | None
    mutant: str | None = None
    seed: int = 0
    _tried: int = 0
    _runs: list[Run] = field(default_factory=list[Run])

    async def prepare(self, scenario: Scenario, store: StoreName) -> Prepared:
        """Load what the scenario begins with, and see which points a healthy run passes."""
        folder = self._new_folder()
        empty: Sink
        if store == "sqlite":
            empty = SqliteSink(folder / "records.sqlite3")
        elif store == "table":
            assert self.azurite is not None
            empty = new_table_sink(connect_to_azurite(self.azurite.table_url))
        else:
            assert self.postgres is not None
            empty = new_postgres_sink(self.postgres)
        source = scenario.source_before()
        if scenario.loaded is not None:
            loading = _Attempt(self, scenario, folder, empty, source)
            result = await loading.run_alone(self.first)
            if result is None or result.status != _COMPLETE:
                raise RuntimeError(f"{scenario.name} could not be prepared: {result}; see {folder}")
        if scenario.refused is not None:
            empty.refuse(scenario.refused)
        scenario.go_on(source)
        recording_folder = self._new_folder()
        recorded = _Attempt(
            self, scenario, recording_folder, empty.copy(recording_folder), source.copy()
        )
        result = await recorded.run_alone(self.first)
        if result is None:
            raise RuntimeError(f"{scenario.name} could not be recorded; see {recording_folder}")
        recording = Recording(
            [(service, name, times) for (service, name), times in self.first.seen.items()],
            result.files,
        )
        return Prepared(scenario, store, empty, source, list_trials(store, recording))

    async def attempt(self, prepared: Prepared, trial: Trial) -> Outcome:
        """Carry out a trial."""
        folder = self._new_folder()
        sink = prepared.sink.copy(folder)
        attempt = _Attempt(self, prepared.scenario, folder, sink, prepared.source.copy())
        try:
            outcome = await attempt.carry_out(trial)
        finally:
            for run in self._runs:
                run.close()
            self._runs.clear()
            sink.close()
        if not outcome.findings:
            shutil.rmtree(folder)
        return outcome

    def start(self, order: RunOrder) -> Run:
        """Start a run, which is over when the trial is."""
        run = self.host.start(order)
        self._runs.append(run)
        return run

    def _new_folder(self) -> Path:
        self._tried += 1
        folder = self.folder / str(self._tried)
        folder.mkdir(parents=True)
        return folder


class _Attempt:
    """One trial under way."""

    def __init__(
        self, stage: Stage, scenario: Scenario, folder: Path, sink: Sink, source: Source
    ) -> None:
        self._stage = stage
        self._scenario = scenario
        self._folder = folder
        self._sink = sink
        self._source = source
        self._watch = Watch(sink.read)
        self._runs = 0

    async def carry_out(self, trial: Trial) -> Outcome:
        self._watch.look()
        match trial.point:
            case PairPoint():
                was_reached, result = await self._run_two(trial.point)
            case _:
                was_reached, result = await self._run_disturbed(trial)
        await self._stage.first.settle()
        await self._stage.second.settle()
        self._watch.look()
        self._source.finish()
        await self._heal()
        return Outcome(
            trial,
            was_reached,
            tuple(self._watch.findings),
            "ended" if result is None else f"{result.status} {result.error_code or ''}".strip(),
        )

    async def run_alone(
        self,
        between: Wires,
        settings: Mapping[str, str] | None = None,
        *,
        runs_again: bool = False,
    ) -> RunResult | None:
        """Let a run go to its end without any fault."""
        self._begin(between)
        between.run = self._start(between, settings, runs_again=runs_again)
        result = await between.run.wait()
        await between.settle()
        self._watch.look()
        return result

    async def _run_disturbed(self, trial: Trial) -> tuple[bool, RunResult | None]:
        between = self._stage.first
        self._begin(between)
        between.rival = self._let_rival_run
        match trial.point:
            case NetworkPoint():
                between.point, between.fault = trial.point, trial.fault  # type: ignore[assignment]
                between.run = self._start(between)
                result = await between.run.wait()
                return between.was_reached, result
            case FilePoint(number=number):
                run = self._start(between, file_fault=trial.fault, file_point=number)
                between.run = run
                if trial.fault == "freeze":
                    await self._overtake_at_file(run)
                result = await run.wait()
                await between.settle()
                if trial.fault == "power_loss" and run.order.notice.exists():
                    self._lose_power(run.order, trial)
                return run.order.notice.exists(), result
            case DiskPoint(largest=largest):
                between.run = self._start(between, largest_file=largest)
                result = await between.run.wait()
                return result is None or result.status != _COMPLETE, result
            case _:
                raise AssertionError(trial)

    async def _run_two(self, point: PairPoint) -> tuple[bool, RunResult | None]:
        seed = f"{self._stage.seed} {point.order}"
        both = self._stage.first, self._stage.second
        lockstep = Lockstep(random.Random(seed), {between.name for between in both})  # noqa: S311
        for between in both:
            self._begin(between)
            between.lockstep = lockstep
        if point.killed_at:
            both[0].point = NetworkPoint("api", "request", point.killed_at)
            both[0].fault = "kill_after"
        for between in both:
            between.run = self._start(between)

        async def wait_for(between: Wires) -> RunResult | None:
            assert between.run is not None
            result = await between.run.wait()
            lockstep.end(between.name)
            return result

        results = await asyncio.gather(*map(wait_for, both))
        return True, results[0]

    async def _let_rival_run(self, replaces: bool) -> None:  # noqa: FBT001 - a hook's argument
        """Let another run read everything while the first is frozen."""
        self._source.finish()
        if replaces:
            for change in self._scenario.while_frozen:
                self._source.apply(change)
        settings, times = _SETTINGS, _HEALTHY_RUNS
        if isinstance(self._sink, PostgresSink):
            # The first may hold locks, and then this one gives up.
            settings, times = _SHORT_RUN, 1
        for _ in range(times):
            result = await self.run_alone(self._stage.second, settings)
            if result is not None and result.status == _COMPLETE:
                self._watch.expect_no_change()
                return

    async def _overtake_at_file(self, run: Run) -> None:
        over = asyncio.create_task(run.wait())
        while not (run.order.notice.exists() or over.done()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.002)
        if not over.done():
            await run.wait_until_frozen()
            # The first may hold the file's lock, and then this one gives up.
            await self.run_alone(self._stage.second, _SHORT_RUN)
            run.wake()
        await over

    def _lose_power(self, order: RunOrder, trial: Trial) -> None:
        unsynced = pickle.loads(order.notice.read_bytes())  # noqa: S301 - written by us
        chance = random.Random(f"{self._stage.seed} {trial.number}")  # noqa: S311
        shares = [
            {0: 0.0, 1: chance.choice((0.0, 1.0)), 2: chance.choice((0.0, 0.3, 0.5, 1.0))}[
                trial.variant
            ]
            for _ in unsynced
        ]
        lose_power(unsynced, shares.__getitem__)
        # Shared memory is not on a disk.
        for file in self._folder.glob("*-shm"):
            file.unlink()
        self._watch.forget()

    async def _heal(self) -> None:
        """Let healthy runs go to the end, and compare."""
        result = None
        for _ in range(_HEALTHY_RUNS):
            try:
                result = await self.run_alone(self._stage.first, runs_again=True)
            except TimeoutError:
                self._note("a healthy run did not end")
                return
            if result is not None and result.status == _COMPLETE:
                break
        else:
            self._note(f"the last of {_HEALTHY_RUNS} healthy runs: {result}")
            return
        self._watch.findings += check_end(self._source, self._watch.last, self._scenario.refused)
        if result.again != (_COMPLETE, None, 0):
            self._note(f"a run with nothing to do: {result.again}")

    def _note(self, what: str) -> None:
        self._watch.findings.append(Finding(Kind.UNHEALED, what))

    def _begin(self, between: Wires) -> None:
        between.begin(self._source, self._watch, self._sink.prefix, self._scenario.refused)

    def _start(
        self, between: Wires, settings: Mapping[str, str] | None = None, **disturbance: object
    ) -> Run:
        self._runs += 1
        environment = {
            **_SETTINGS,
            **self._sink.environment(between),
            "AWS_API_BASE_URL": between.api_url,
            "SYNC_PAGE_SIZE": str(self._scenario.page_size),
            "SYNC_FAN_OUT": "true" if self._scenario.invocation == "fan_out" else "false",
            **(settings or {}),
        }
        order = RunOrder(
            environment=environment,
            folder=str(self._folder / f"run{self._runs}"),
            prefix=self._sink.prefix,
            stretch=self._scenario.stretch,
            invocation=self._scenario.invocation,
            queue=str(self._folder / "queue"),
            mutant=self._stage.mutant,
            **disturbance,  # type: ignore[arg-type]
        )
        return self._stage.start(order)


@asynccontextmanager
async def open_stage(
    folder: Path,
    azurite: Azurite | None,
    postgres: Postgres | None,
    *,
    mutant: str | None = None,
    seed: int = 0,
) -> AsyncIterator[Stage]:
    """Yield a stage for trials, while the block lasts."""
    url = None if azurite is None else azurite.table_url
    host = RunHost()
    watcher = None if postgres is None else PostgresWatcher(postgres)
    try:
        async with (
            wires("first", url, postgres) as first,
            wires("second", url, postgres) as second,
        ):
            yield Stage(host, first, second, folder, azurite, watcher, mutant, seed)
    finally:
        host.close()
        if watcher is not None:
            watcher.close()


def count_by_group(outcomes: Sequence[Outcome]) -> Mapping[str, Counter[str]]:
    """Return how many trials of each group were made, were reached, and failed in which way."""
    groups: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts = groups.setdefault(outcome.trial.group, Counter())
        counts["tried"] += 1
        counts["reached"] += outcome.was_reached
        for kind in {finding.kind for finding in outcome.findings}:
            counts[kind] += 1
    return groups
