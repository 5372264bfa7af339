"""What is rehearsed, each from empty clouds; an act returns what went wrong, a sentence each."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployment.steps.all_steps import STEPS
from tests.rehearsal.commands import (
    Ended,
    deploy_line,
    entra_line,
    kill_at,
    run,
    running_clouds,
    smoke_line,
    start,
    wait_for,
)
from tests.rehearsal.contents import find_faults, read_contents

STEP_IDS: Final = tuple(step.id.value for step in STEPS if not step.only_with_github)
CHANGING: Final = (
    "azure-foundation",
    "entra",
    "aws-stack",
    "aws-public-url",
    "azure-app",
    "azure-package",
)
"""The steps that change something in empty clouds."""
BUSY: Final = frozenset({"aws_busy", "azure_busy"})
"""What one of two is told while the other deploys."""
KILLED_AFTER_SECONDS: Final = (0.0, 0.4)
"""When a step is killed: as it is shown, and in the midst of it."""


@dataclass(frozen=True, slots=True)
class Clouds:
    """Clouds that run for one act."""

    folder: Path
    process_id: int


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to rehearse."""

    name: str
    play: Callable[[Clouds], list[str]]
    """Return what went wrong."""


@contextmanager
def empty_clouds() -> Iterator[Clouds]:
    """Clouds with nothing in them, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        folder = Path(scratch) / "clouds"
        with running_clouds(folder) as process:
            yield Clouds(folder, process.pid)


def deploy_twice(clouds: Clouds) -> list[str]:
    """One person deploys, tries it, and deploys again."""
    first = run(deploy_line(clouds.folder))
    faults = _unless_complete("deploy", first)
    if first.changed() != list(CHANGING):
        faults.append(f"deploy: it changed {first.changed()}")
    return faults + _unless_whole(clouds)


def deploy_by_two_people(clouds: Clouds) -> list[str]:
    """A deployer makes the identity, an administrator the registration, the deployer the rest."""
    folder = clouds.folder
    faults = _unless_complete("deploy", run(deploy_line(folder, "--until", "azure-foundation")))
    planned, applied, again = (
        run(entra_line(folder, option)) for option in ("--plan", "--apply", "--plan")
    )
    for name, ended in (("plan", planned), ("apply", applied), ("second plan", again)):
        if ended.code:
            faults.append(f"entra {name}: exit code {ended.code}: {ended.shown}")
    if not planned.document.get("differences") or again.document.get("differences") != []:
        faults.append("entra: the plan before --apply, or the one after it, is wrong")
    rest = run(deploy_line(folder))
    faults += _unless_complete("deploy", rest)
    if rest.changed() != list(CHANGING[2:]):
        faults.append(f"deploy: it changed {rest.changed()}")
    return faults + _unless_whole(clouds)


def deploy_at_once(clouds: Clouds) -> list[str]:
    """Two deploy at the same moment; at most, one is told that the other one does."""
    both = [start(deploy_line(clouds.folder)) for _ in range(2)]
    faults = []
    for ended in [wait_for(each) for each in both]:
        codes = {step["code"] for step in ended.document.get("steps", ()) if step["code"]}
        if ended.code and not codes & BUSY:
            faults.append(f"one of two: exit code {ended.code}: {ended.shown}")
    faults += _unless_complete("the next run", run(deploy_line(clouds.folder)))
    return faults + find_faults(read_contents(clouds.folder, clouds.process_id))


def kill_in_turn(clouds: Clouds) -> list[str]:
    """Each run is killed at a later step than the one before."""
    faults = [
        f"{step} was not killed"
        for step in CHANGING
        if not kill_at(deploy_line(clouds.folder), step)
    ]
    return faults + complete(clouds)


def kill_once(step: str, after_seconds: float) -> Callable[[Clouds], list[str]]:
    """Return the act in which the first run is killed at the step."""

    def play(clouds: Clouds) -> list[str]:
        was_killed = kill_at(deploy_line(clouds.folder), step, after_seconds)
        faults = [] if was_killed else [f"{step} was not killed"]
        return faults + complete(clouds)

    return play


def complete(clouds: Clouds) -> list[str]:
    """Deploy; then everything must be there once, and a further run has nothing to do."""
    faults = _unless_complete("the next run", run(deploy_line(clouds.folder)))
    return faults + _unless_whole(clouds)


def every_act(*, kills: bool) -> list[Act]:
    """Return all acts; without kills, only what nobody disturbs."""
    acts = [
        Act("deploy, smoke, deploy again", deploy_twice),
        Act("bridge entra by somebody else", deploy_by_two_people),
        Act("two at once", deploy_at_once),
    ]
    if kills:
        acts.append(Act("killed at each step in turn", kill_in_turn))
        acts += [
            Act(f"killed at {step}, {after:.1f} s", kill_once(step, after))
            for step in STEP_IDS
            for after in KILLED_AFTER_SECONDS
        ]
    return acts


def _unless_complete(what: str, ended: Ended) -> list[str]:
    return [f"{what}: exit code {ended.code}: {ended.shown}"] if ended.code else []


def _unless_whole(clouds: Clouds) -> list[str]:
    """Return what is missing, what `bridge smoke` finds, and what a further run changes."""
    before = read_contents(clouds.folder, clouds.process_id)
    faults = find_faults(before)
    again = run(deploy_line(clouds.folder))
    faults += _unless_complete("deploy again", again)
    if again.document.get("changed") is not False or len(again.statuses()) != len(STEP_IDS):
        faults.append(f"deploy again: it changed {again.changed()}")
    after = read_contents(clouds.folder, clouds.process_id)
    faults += [f"deploy again: {name} differs" for name in before if before[name] != after[name]]
    smoked = run(smoke_line(clouds.folder))
    if smoked.code or {each["outcome"] for each in smoked.document["checks"]} != {"passed"}:
        faults.append(f"smoke: exit code {smoked.code}: {smoked.shown}")
    return faults
