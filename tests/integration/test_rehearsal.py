"""The whole deployment on empty local clouds, by the commands and on real processes.

All kill points, each from empty clouds, are tried by `make rehearse`; here they come one after
another, on the same clouds.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployment.steps.all_steps import STEPS
from tests.rehearsal.commands import (
    deploy_line,
    kill_at,
    run,
    running_clouds,
    start,
    wait_for,
)
from tests.rehearsal.contents import find_faults, read_contents

pytestmark = pytest.mark.timeout(300)

STEP_IDS = [step.id.value for step in STEPS if not step.only_with_github]
CHANGING = [
    "azure-foundation",
    "entra",
    "aws-stack",
    "aws-public-url",
    "azure-app",
    "azure-package",
]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder and the process of clouds to which the bridge is deployed once, from empty."""
    folder = tmp_path_factory.mktemp("rehearsal") / "clouds"
    with running_clouds(folder) as process:
        first = run(deploy_line(folder))
        assert (0, CHANGING) == (first.code, first.changed()), first.shown
        yield folder, process.pid


def test_when_deployed_to_empty_clouds_then_everything_is_there_and_smoke_passes(
    clouds: tuple[Path, int],
) -> None:
    """Registration, stack and Function App, each once; the package is the one that was built."""
    contents = read_contents(*clouds)

    assert [] == find_faults(contents)


def test_when_deployed_again_then_nothing_is_changed(clouds: tuple[Path, int]) -> None:
    """What the clouds hold is what they held, and the Function App has not been started again."""
    folder, process_id = clouds
    before = read_contents(folder, process_id)

    again = run(deploy_line(folder))

    assert (0, False, STEP_IDS) == (again.code, again.document["changed"], [*again.statuses()])
    assert {"unchanged"} == set(again.statuses().values())
    assert before == read_contents(folder, process_id)


def test_when_killed_at_every_step_in_turn_then_the_next_run_completes(tmp_path: Path) -> None:
    """Each run goes on from what the killed one has left, in the clouds and nowhere else."""
    folder = tmp_path / "clouds"
    with running_clouds(folder) as process:
        killed = {step: kill_at(deploy_line(folder), step) for step in CHANGING}
        last = run(deploy_line(folder))
        contents = read_contents(folder, process.pid)
        again = run(deploy_line(folder))

    assert dict.fromkeys(CHANGING, True) == killed
    assert 0 == last.code, last.shown
    assert "unchanged" == last.statuses()["smoke"]
    assert [] == find_faults(contents)
    assert (0, False) == (again.code, again.document["changed"])


def test_when_two_deploy_at_once_then_neither_harms(tmp_path: Path) -> None:
    """At most they tell one that somebody else deploys; then everything is there, once."""
    folder = tmp_path / "clouds"
    with running_clouds(folder) as process:
        both = [start(deploy_line(folder)) for _ in range(2)]
        ended = [wait_for(each) for each in both]
        last = run(deploy_line(folder))
        contents = read_contents(folder, process.pid)

    for each in ended:
        assert each.code == 0 or _failed_code(each.document) in {"aws_busy", "azure_busy"}, (
            each.shown
        )
    assert 0 == last.code, last.shown
    assert [] == find_faults(contents)


def _failed_code(document: dict[str, Any]) -> str | None:
    """The code of the step that failed."""
    failed = [step["code"] for step in document["steps"] if step["status"] == "failed"]
    return failed[0] if failed else None
