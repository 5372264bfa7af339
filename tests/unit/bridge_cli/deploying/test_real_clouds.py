"""What is built and tried here by other programs: whether they did it, and what they said."""

import json
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge_cli.deploying.real_clouds import (
    BuiltHere,
    SmokeByCommand,
    build_function_app,
    real_clouds,
    summarize,
)
from bundling.bundles import RECIPES
from deployment.errors import DeploymentError, ProgramError
from deployment.lines.line import Line
from deployment.programs.programs import Completed, Programs
from deployment.steps.aws_steps import build_folder
from deployment.steps.azure_steps import package_path
from deployment.steps.step import Context
from tests.support.bridge_files import CHECKOUT, DECLARED, environment_of

CONTEXT = Context.of(environment_of(), {}, DECLARED)


@dataclass
class FakePrograms:
    """Programs that leave files, and end like this."""

    folder: Path
    ends: list[Completed] = field(default_factory=list)
    leaves: list[Callable[[], None]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def run(self, line: Line, **_options: Any) -> Completed:
        """Remember the line, leave what it leaves, and end."""
        self.lines.append(line)
        if self.leaves:
            self.leaves.pop(0)()
        return self.ends.pop(0) if self.ends else Completed(0, "", "")


def as_programs(fake: FakePrograms) -> Programs:
    """The fake in the place of the real ones."""
    return fake  # type: ignore[return-value]  # it has what is used


def leave_package(folder: Path) -> Callable[[], None]:
    """Leave the Function App's package, as the build does."""

    def leave() -> None:
        package = folder / package_path(CONTEXT)
        package.parent.mkdir(parents=True, exist_ok=True)
        package.write_bytes(b"package")

    return leave


def leave_bundles(folder: Path) -> Callable[[], None]:
    """Leave every function's bundle, as `sam build` does."""

    def leave() -> None:
        for function in RECIPES:
            bundle = folder / build_folder(CONTEXT) / function
            bundle.mkdir(parents=True)
            (bundle / "handler.py").write_text("handler = None")

    return leave


def test_when_both_are_built_then_the_package_and_one_digest_are_returned(tmp_path: Path) -> None:
    """The package by our own program, the bundles by sam."""
    fake = FakePrograms(tmp_path, leaves=[leave_package(tmp_path), leave_bundles(tmp_path)])

    built = BuiltHere(CONTEXT, as_programs(fake)).build(lambda _line: None)

    assert b"package" == built.function_app.read_bytes()
    assert 32 == len(built.bundles_digest)
    assert "sam" == fake.lines[1].argv[0]


@pytest.mark.parametrize("fails_at", [0, 1])
def test_when_a_build_fails_then_what_it_said_is_told(tmp_path: Path, fails_at: int) -> None:
    """Of the package, or of the Lambdas."""
    good, bad = Completed(0, "", ""), Completed(1, "", "Error: no space left on device")
    fake = FakePrograms(tmp_path, [good] * fails_at + [bad], [leave_package(tmp_path)])

    with pytest.raises(DeploymentError, match="no space left on device"):
        BuiltHere(CONTEXT, as_programs(fake)).build(lambda _line: None)


def test_when_a_build_leaves_no_package_then_it_is_a_failure(tmp_path: Path) -> None:
    """It ended well, and nothing is there."""
    with pytest.raises(ProgramError) as failed:
        build_function_app(CONTEXT, as_programs(FakePrograms(tmp_path)), lambda _line: None)

    assert "package_missing" == failed.value.code


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "summary"),
    [
        (0, '{"checks": [{"outcome": "passed"}]}', "", "1 checks: 1 passed"),
        (1, "", "x\nthe stage is wrong\n", "the stage is wrong"),
        (1, "", "", "`bridge smoke` printed nothing"),
        (1, "[]", "no object", "no object"),
        (1, '{"checks": [1]}', "no checks", "no checks"),
    ],
)
def test_when_the_checks_have_been_made_then_one_sentence_sums_them_up(
    code: int, stdout: str, stderr: str, summary: str
) -> None:
    """Or the last thing that was said, where there is none of ours."""
    assert summary == summarize(Completed(code, stdout, stderr))


def test_when_outcomes_differ_then_each_is_counted() -> None:
    """In the order in which they came."""
    checks = [{"outcome": each} for each in ("passed", "failed", "passed")]

    found = summarize(Completed(1, json.dumps({"checks": checks}), ""))

    assert "3 checks: 2 passed, 1 failed" == found


def test_when_smoke_is_run_then_it_is_our_own_and_is_told_everything(tmp_path: Path) -> None:
    """Not another checkout's `bridge` that happens to be on the PATH."""
    fake = FakePrograms(tmp_path, [Completed(3, '{"checks": [{"outcome": "blocked"}]}', "")])

    found = SmokeByCommand(CONTEXT, as_programs(fake)).run(
        "https://api.example/dev", "client", "https://app.example", lambda _line: None
    )
    (line,) = fake.lines

    assert (3, "1 checks: 1 blocked") == (found.exit_code, found.summary)
    assert str(Path(sys.executable).with_name("bridge")) == line.argv[0]
    assert stat.S_ISREG(Path(line.argv[0]).stat().st_mode)
    for value in ("https://api.example/dev", "client", "https://app.example", "--json"):
        assert value in line.argv


def test_when_the_real_clouds_are_meant_then_nothing_is_asked_yet() -> None:
    """Whoever only looks at the plan of it needs no sign-in."""
    clouds = real_clouds(environment_of(), DECLARED, CHECKOUT)

    assert "https://graph.microsoft.com" == clouds.entra.url  # type: ignore[attr-defined]  # which one it is
