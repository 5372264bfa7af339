"""What the real clouds' side of a rollout runs on this machine: the builds, and `bridge smoke`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge_cli.deploying.real_clouds import BuiltHere
from deployment.errors import ProgramError
from deployment.lines.line import Line
from deployment.programs.programs import Completed, Programs
from deployment.steps.all_steps import PACKAGES
from deployment.steps.step import Context
from tests.support.bridge_files import DECLARED, VARIANTS, environment_of

CONTEXT = Context.of(environment_of(VARIANTS["custom domain"]), {}, DECLARED)
MISMATCH = "two/b.so is not for x86_64; run: ARCHITECTURE=x86_64 sam build"


@dataclass(frozen=True)
class Recorded(Programs):
    """Keeps the lines in place of running them; those with a word fail."""

    failing: str = "nothing"
    lines: list[Sequence[str]] = field(default_factory=list)

    def run(self, line: Line, **_rest: object) -> Completed:
        """Keep the line, and leave what its program would have left."""
        self.lines.append(line.argv)
        self.write(f"{CONTEXT.folder}/FunctionApp.zip", "package")
        is_failing = self.failing in line.argv
        return Completed(1 if is_failing else 0, "", MISMATCH if is_failing else "")


def said(_line: str) -> None:
    """Take what would be shown."""


def test_when_both_clouds_packages_are_built_then_the_lines_of_the_plan_are_run(
    tmp_path: Path,
) -> None:
    """All of them, in the plan's order: the zip, the bundles, and for which processor they are."""
    programs = Recorded(tmp_path)

    BuiltHere(CONTEXT, programs).build(said)

    assert [line.argv for line in PACKAGES.lines(CONTEXT)] == programs.lines
    assert ["FunctionApp", "build", "check"] == [
        word
        for line in programs.lines
        for word in line
        if word in {"FunctionApp", "build", "check"}
    ]


def test_when_a_bundle_is_for_another_processor_then_nothing_goes_on(tmp_path: Path) -> None:
    """AWS would take it, and every call of the API would fail."""
    with pytest.raises(ProgramError, match=MISMATCH) as caught:
        BuiltHere(CONTEXT, Recorded(tmp_path, failing="check")).build(said)

    assert "build_refused" == caught.value.code
