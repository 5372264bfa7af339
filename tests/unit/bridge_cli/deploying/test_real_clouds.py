"""What the real clouds' side of a rollout runs on this machine: the builds, and `bridge smoke`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge_cli.deploying import real_clouds
from bridge_cli.deploying.real_clouds import BuiltHere, SmokeHere, build_function_app
from deployment.errors import ProgramError
from deployment.lines.line import Line
from deployment.programs.programs import Completed, Programs
from deployment.smoke.outcome import CheckResult, Outcome, SmokeReport
from deployment.smoke.smoke_run import SmokeReporter
from deployment.smoke.target import SmokeTarget
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


def test_when_it_is_rehearsed_then_the_zip_is_one_that_this_machine_can_run(
    tmp_path: Path,
) -> None:
    """Which is Azure's own on a machine of that kind only."""
    programs = Recorded(tmp_path)

    build_function_app(CONTEXT, programs, said, is_local=True)

    assert "--local" in programs.lines[0]
    assert "--local" not in PACKAGES.lines(CONTEXT)[0].argv


def test_when_what_was_deployed_is_tried_then_the_findings_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the checks of `bridge smoke`, on what this rollout has deployed."""
    tried: list[SmokeTarget] = []
    told: list[str] = []

    async def run_smoke(
        target: SmokeTarget, _sources: object, *, reporter: SmokeReporter, **_rest: object
    ) -> SmokeReport:
        tried.append(target)
        reporter.step("read")
        failed = CheckResult("read", "a", "e", "HTTP 403", Outcome.FAILED, 1.0, "c", "Grant it.")
        return SmokeReport([failed])

    monkeypatch.setattr(real_clouds, "run_smoke", run_smoke)
    api = "00000000-0000-4000-8000-00000000000c"
    found = SmokeHere(CONTEXT.environment).run("https://a", api, "https://f", told.append)

    assert (1, ("read failed: HTTP 403. Grant it. (c)",)) == (found.exit_code, found.findings)
    assert ["read"] == told
    assert ("https://a", "https://f") == (tried[0].api_url, tried[0].function_app_url)


def test_when_a_build_leaves_no_package_then_it_is_a_failure(tmp_path: Path) -> None:
    """Its program ended well, and nothing is there."""

    class Idle(Programs):
        """Ends well, and does nothing."""

        def run(self, line: Line, **_rest: object) -> Completed:
            """End well, whatever the line."""
            assert line.argv
            return Completed(0, "", "")

    with pytest.raises(ProgramError) as failed:
        build_function_app(CONTEXT, Idle(tmp_path), said)

    assert "package_missing" == failed.value.code


def test_when_the_real_clouds_are_meant_then_nothing_is_asked_yet(tmp_path: Path) -> None:
    """Whoever only looks at the plan of it needs no sign-in."""
    clouds = real_clouds.real_clouds(environment_of(), DECLARED, tmp_path)

    assert "https://graph.microsoft.com" == clouds.entra.url  # type: ignore[attr-defined]  # which one it is
