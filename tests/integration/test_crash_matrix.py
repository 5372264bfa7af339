"""A sample of the crash matrix, and that it finds each rule that is broken on purpose."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from emulator.azurite import Azurite
from emulator.postgres import Postgres
from tests.crash_matrix.scenarios import SCENARIOS, Scenario
from tests.crash_matrix.stage import Outcome, Stage, open_stage
from tests.crash_matrix.trials import StoreName, Trial, draw

CHECKOUT = Path(__file__).parents[2]
SEED = 1
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


class OpenStage(Protocol):
    """Opens a stage on the servers that all tests share."""

    def __call__(self, mutant: str | None = None) -> AbstractAsyncContextManager[Stage]:
        """A stage whose runs have that mutant."""


@pytest.fixture
def stage_of(tmp_path: Path, azurite: Azurite, postgres: Postgres) -> OpenStage:
    """How to open one."""

    @asynccontextmanager
    async def opened(mutant: str | None = None) -> AsyncIterator[Stage]:
        async with open_stage(tmp_path, azurite, postgres, mutant=mutant, seed=SEED) as stage:
            yield stage

    return opened


async def attempt(
    stage: Stage, store: StoreName, scenario: Scenario, *, points: int, titles: Sequence[str] = ()
) -> list[Outcome]:
    """Try some of the points until a promise is broken; with titles, the latest of those first."""
    prepared = await stage.prepare(scenario, store)

    def is_meant(trial: Trial) -> bool:
        return all(title in f"{trial.group}: {trial.title}" for title in titles)

    trials = list(filter(is_meant, prepared.trials))
    outcomes: list[Outcome] = []
    for trial in trials[::-1][:points] if titles else draw(trials, points, SEED):
        outcomes.append(await stage.attempt(prepared, trial))
        if outcomes[-1].findings:
            break
    return outcomes


def broken(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those in which a promise was broken."""
    return [outcome for outcome in outcomes if outcome.findings]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store", "points"), [("sqlite", 4), ("table", 2), ("postgres", 2)])
async def test_when_a_run_is_ended_or_disturbed_anywhere_then_the_sink_is_right_in_the_end(
    stage_of: OpenStage, store: StoreName, points: int
) -> None:
    """A few points of each scenario that is read as a whole; `make crash-matrix` tries them all."""
    scenarios = [scenario for scenario in SCENARIOS if not scenario.stores]
    async with stage_of() as stage:
        outcomes = [
            outcome
            for scenario in scenarios
            for outcome in await attempt(stage, store, scenario, points=points)
        ]

    assert [] == broken(outcomes)
    assert len(scenarios) * points == len(outcomes)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("store", "scenario"), [("table", "fan-out-generation"), ("postgres", "fan-out")]
)
async def test_when_instances_that_share_a_queue_are_ended_then_the_sink_is_right_in_the_end(
    stage_of: OpenStage, store: StoreName, scenario: str
) -> None:
    """Each plans and works on messages, which come twice and late."""
    async with stage_of() as stage:
        outcomes = await attempt(stage, store, BY_NAME[scenario], points=3)

    assert [] == broken(outcomes)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mutant", "store", "scenario", "titles"),
    [
        ("checkpoint_first", "sqlite", "increment", ["file kill_before"]),
        ("checkpoint_first", "table", "increment", ["table kill_after"]),
        ("checkpoint_first", "postgres", "increment", ["postgres kill_after"]),
        ("no_version_rule", "sqlite", "generation", ["api stale"]),
        ("no_version_rule", "table", "first-load", ["api freeze_after"]),
        ("no_version_rule", "postgres", "generation", ["api stale"]),
        ("no_fence", "sqlite", "first-load", ["api freeze_replaced"]),
        ("no_fence", "table", "first-load", ["api freeze_replaced"]),
        ("no_fence", "postgres", "first-load", ["api freeze_replaced"]),
        ("sweep_after_done", "sqlite", "sweep", ["file kill_before"]),
        ("sweep_after_done", "table", "sweep", ["table kill_after"]),
        ("sweep_after_done", "postgres", "sweep", ["postgres kill_after"]),
        ("sweep_after_done", "table", "fan-out-generation", ["kill_after", "PUT state", "plan"]),
        ("no_sync", "sqlite", "increment", ["file power_loss"]),
        ("no_claim", "table", "from-empty", ["table freeze_replaced: ", "POST $batch"]),
    ],
)
async def test_when_a_rule_is_broken_on_purpose_then_the_matrix_finds_it(
    stage_of: OpenStage, mutant: str, store: StoreName, scenario: str, titles: Sequence[str]
) -> None:
    """A matrix that passes without the rule would say nothing about it."""
    async with stage_of(mutant) as stage:
        outcomes = await attempt(stage, store, BY_NAME[scenario], points=40, titles=titles)

    assert outcomes[-1].findings


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("mutant", "code"), [([], 0), (["--mutant", "no_fence", "--stop"], 1)])
async def test_when_the_matrix_is_run_by_hand_then_its_exit_code_says_whether_all_held(
    mutant: Sequence[str], code: int
) -> None:
    """So that a pipeline can run all of it."""
    where = ["--store", "sqlite", "--scenario", "first-load", "--groups", "api freeze_replaced"]
    options = [*where, "--points", "1", "--jobs", "1", "--seed", str(SEED), *mutant]
    tried = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.crash_matrix", *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert code == tried.returncode, tried.stdout + tried.stderr
    assert f"{code} with a broken promise" in tried.stdout
