"""`bridge deploy`: its plan, its refusals, its run on clouds in memory, and what people see."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bridge_cli.deploying import deploy_command
from bridge_cli.deploying.rollout_view import print_end, rollout_on
from bridge_cli.main import app
from deployment.bridge_file import Environment
from deployment.clouds import Clouds
from deployment.errors import DeploymentError, RightsMissing
from deployment.parameters.template_parameters import TemplateParameter
from deployment.rollout import Rollout
from deployment.rollout_report import RolloutReport, Status, StepResult
from deployment.steps.all_steps import STEPS
from tests.support.bridge_files import CHECKOUT, DECLARED, EXAMPLE, SMALL, VARIANTS, environment_of
from tests.support.fake_clouds import FakeClouds
from tests.support.processes import becomes_true, hear_the_terminal_close, is_alive


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A bridge.toml with one environment."""
    path = tmp_path / "bridge.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClouds:
    """Two empty accounts in memory, in place of the real ones."""
    package = tmp_path / "FunctionApp.zip"
    package.write_bytes(b"package")
    clouds = FakeClouds(package)

    def real_clouds(
        _environment: Environment,
        _declared: Mapping[str, TemplateParameter],
        _checkout: Path,
        packages: str,
    ) -> Clouds:
        clouds.packages = packages
        return clouds.all()

    monkeypatch.setattr(deploy_command, "real_clouds", real_clouds)
    return clouds


def deploy(*arguments: str, code: int = 0) -> str:
    """Return what the command prints on standard output; it must end with the code."""
    result = CliRunner().invoke(app, ["deploy", *arguments])
    assert code == result.exit_code, result.output
    return result.stdout


def errors_of(*arguments: str, code: int = 1) -> str:
    """Return what the command prints on standard error."""
    result = CliRunner().invoke(app, ["deploy", *arguments])
    assert code == result.exit_code, result.output
    return result.stderr


def test_when_a_plan_is_asked_for_then_every_step_and_command_is_shown(file: Path) -> None:
    """In order, with placeholders; a command stands on one line, so that it can be copied."""
    shown = deploy("--plan", "--file", str(file))
    places = [shown.index(f". {name}  ") for name in ("sign-in", "entra", "aws-stack", "azure-app")]

    assert places == sorted(places)
    assert "<api_client_id>" in shown
    assert (
        "az group create --name rg-bridge-dev --location westeurope --subscription"
        " 22222222-2222-4222-8222-222222222222 --only-show-errors --output json"
    ) in shown
    assert "more at the template's default" in shown


def test_when_no_environment_is_named_then_all_are_planned(tmp_path: Path) -> None:
    """As JSON for programs, with every file in full."""
    path = tmp_path / "bridge.toml"
    path.write_text(EXAMPLE, encoding="utf-8")

    document: dict[str, Any] = json.loads(deploy("--plan", "--json", "--file", str(path)))

    assert ["dev", "prod"] == list(document["environments"])
    steps = {step["id"]: step for step in document["environments"]["prod"]}
    assert "azure-github" not in steps
    assert "aws-github" not in steps["aws-stack"]["after"]
    (parameters,) = steps["aws-stack"]["files"]
    assert DECLARED.keys() - json.loads(parameters["content"]).keys() == {"UsagePlanKeys"}
    assert "--profile" in steps["aws-stack"]["commands"][0]["argv"]


@pytest.mark.parametrize("name", VARIANTS)
def test_when_a_variant_is_planned_then_it_can_be_shown(tmp_path: Path, name: str) -> None:
    """Lists, texts and numbers among the parameters."""
    path = tmp_path / "bridge.toml"
    path.write_text(VARIANTS[name], encoding="utf-8")

    assert "azure-package" in deploy("--plan", "--file", str(path))


def test_when_the_file_is_wrong_then_every_problem_is_told(file: Path) -> None:
    """With its place and code; as JSON too."""
    file.write_text(SMALL.replace("westeurope", "X") + "stgae = 1\n", encoding="utf-8")

    told = errors_of("--plan", "--file", str(file))
    document = json.loads(deploy("--plan", "--json", "--file", str(file), code=1))

    assert "azure.region: is not valid" in told
    assert "did you mean stage? (key_unknown)" in told
    assert "bridge_file_invalid" == document["code"]
    assert ["key_unknown", "value_invalid"] == sorted(each["code"] for each in document["problems"])


def test_when_the_file_is_missing_then_it_is_said_what_to_copy(tmp_path: Path) -> None:
    """With a stable code, as JSON too."""
    file = str(tmp_path / "no.toml")

    assert "(bridge_file_missing)" in errors_of("--file", file)
    document = json.loads(deploy("--json", "--file", file, code=1))
    assert "bridge_file_missing" == document["code"]


def test_when_the_file_holds_what_steers_a_terminal_then_it_is_shown_as_text(file: Path) -> None:
    """Else a file of somebody else's could erase or forge what is read there."""
    file.write_text(SMALL + '"\\u001b[2Jx\\u009bx\\u202e" = 1\n', encoding="utf-8")

    said = errors_of("--file", str(file))

    assert "\\x1b[2Jx\\x9bx\\u202e" in said
    assert {"\n"} == {character for character in said if not character.isprintable()}


def test_when_a_program_says_what_steers_a_terminal_then_it_is_shown_as_text() -> None:
    """What `az` and `sam` say holds text that others gave to the clouds."""
    shown = io.StringIO()
    with rollout_on(Console(file=shown, force_terminal=False)) as reporter:
        reporter.ended(StepResult(STEPS[0], Status.FAILED, "no \x1b]0;title\x07 here"))

    assert "no \\x1b]0;title\\x07 here" in shown.getvalue()


def test_when_a_step_is_unknown_then_the_usage_is_wrong(file: Path) -> None:
    """Exit code 2, as for any other wrong option."""
    assert "azure-package" in errors_of("--until", "x", "--file", str(file), code=2)


def test_when_everything_is_deployed_then_each_step_has_a_line(
    file: Path, world: FakeClouds
) -> None:
    """And the second run says that nothing was changed."""
    first = deploy("--file", str(file))
    second = deploy("--file", str(file))

    assert "✓ azure-foundation changed" in first
    assert "Everything is there." in first
    assert "= azure-foundation nothing to do" in second
    assert "Everything was there: nothing was changed." in second
    assert 6 == len(world.calls)


def test_when_a_step_waits_then_it_is_said_for_whom_and_how(file: Path, world: FakeClouds) -> None:
    """With the exit code 3 and the commands that do it by hand."""
    world.raising["grant"] = RightsMissing("graph_right_missing", "It may not assign app roles.")

    shown = deploy("--file", str(file), code=3)

    assert "entra waits for: Entra administrator" in shown
    assert "bridge entra --apply --env dev" in shown
    assert "What waits is somebody else's." in shown
    assert 1 == shown.count("By hand:")


def test_when_a_step_fails_then_it_is_said_that_it_can_go_on(file: Path, world: FakeClouds) -> None:
    """With the exit code 1."""
    world.raising["deploy app"] = DeploymentError("azure_refused", "It failed.")

    shown = deploy("--file", str(file), code=1)

    assert "It failed. (azure_refused)" in shown
    assert "run the same command again" in shown


def test_when_the_smoke_test_fails_then_each_finding_is_shown(
    file: Path, world: FakeClouds
) -> None:
    """What came and what to change, where before there was a count."""
    world.smoke_code = 1
    world.smoke_findings = ("read failed: HTTP [403]. Grant the role. (role_missing)", "b (c)")

    shown = deploy("--file", str(file), code=1)

    assert all(f"    {finding}\n" in shown for finding in world.smoke_findings)
    assert "(smoke_failed)" in shown
    assert "WHO MUST NOT" not in shown


def test_when_somebody_gets_in_who_must_not_then_it_is_said_loudly(
    file: Path, world: FakeClouds
) -> None:
    """Before the findings, in a log as on a terminal."""
    world.smoke_code, world.lets_others_in = 1, True
    world.smoke_findings = ("no-token failed: HTTP 200. ANYBODY. (open_to_everyone)",)
    terminal = io.StringIO()

    shown = deploy("--file", str(file), code=1)
    _run_on(Console(file=terminal, force_terminal=True, width=60), world)

    for text in (shown, terminal.getvalue()):
        assert text.index("SOMEBODY GETS IN WHO MUST NOT") < text.index("ANYBODY.")
    assert "(smoke_lets_others_in)" in shown


def test_when_a_release_is_deployed_then_its_packages_are_taken(
    file: Path, world: FakeClouds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where the command was called, whatever folder the programs are run in."""
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path / "release")

    shown = deploy("--packages", "release", "--file", str(file))
    plan = deploy("--plan", "--packages", "release", "--file", str(file))

    assert folder == world.packages
    assert f"taken from {folder};" in shown
    assert f"--zip --from {folder}\n" in plan
    assert f"BRIDGE_PACKAGES={folder} sam build" in plan


def test_when_a_release_is_to_be_rehearsed_then_the_usage_is_wrong(file: Path) -> None:
    """Its packages are for the clouds' machines."""
    errors_of("--local", "--packages", "release", "--file", str(file), code=2)


def test_when_a_program_runs_it_then_it_gets_one_object(file: Path, world: FakeClouds) -> None:
    """On standard output, with nothing beside it."""
    document = json.loads(deploy("--json", "--until", "aws-stack", "--file", str(file)))

    assert (0, True) == (document["exit_code"], document["changed"])
    assert "aws-stack" == document["steps"][-1]["id"]
    assert "publish" not in world.calls


def test_when_it_is_interrupted_then_it_says_that_it_can_go_on(
    file: Path, world: FakeClouds
) -> None:
    """With the shell's exit code for that."""
    world.raising["build"] = KeyboardInterrupt()  # type: ignore[assignment]

    assert "run the same command again" in errors_of("--file", str(file), code=130).lower()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_when_the_process_is_ended_then_no_program_of_it_goes_on(
    file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Nor where its terminal is closed. `az` is a script that starts another program."""
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\n/bin/sleep 60 & echo $! > {tmp_path}/new\n")
    az.write_text(az.read_text() + f"/bin/mv {tmp_path}/new {tmp_path}/pid; wait\n")
    az.chmod(0o755)
    bridge = subprocess.Popen(
        [Path(sys.executable).with_name("bridge"), "deploy", "--file", file],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_the_terminal_close,  # noqa: PLW1509 - no other thread runs here
    )
    assert becomes_true((tmp_path / "pid").exists, 60)
    bridge.send_signal(number)
    _output, said = bridge.communicate(timeout=60)

    assert 130 == bridge.returncode
    assert "Run the same command again" in said
    assert becomes_true(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_when_there_are_no_local_clouds_then_it_is_said_how_to_have_some(tmp_path: Path) -> None:
    """Before bridge.toml is looked at."""
    told = errors_of("--local", "--folder", str(tmp_path))

    assert "`bridge clouds`" in told
    assert "(local_clouds_missing)" in told


def _run_on(console: Console, world: FakeClouds) -> RolloutReport:
    with rollout_on(console) as reporter:
        report = Rollout(environment_of(), DECLARED, world.all(), CHECKOUT, reporter).run()
    print_end(report, console)
    return report


def test_when_it_runs_on_a_terminal_then_the_present_step_is_shown(world: FakeClouds) -> None:
    """With what its programs say, and a line for each step that has ended."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120)

    assert 0 == _run_on(console, world).exit_code
    assert "Everything is there." in terminal.getvalue()
