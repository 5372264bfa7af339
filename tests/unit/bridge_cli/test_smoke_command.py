"""`bridge smoke` without a pair: its options, what it prints, and that it shows no key."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bridge_cli.deploying import smoke_command
from bridge_cli.deploying.smoke_command import print_report
from bridge_cli.main import app
from deployment.clouds import DeployedLayer, Stack
from deployment.errors import DeploymentError, RightsMissing
from deployment.parameters.bicep_parameters import Layer
from deployment.smoke.outcome import CheckResult, Outcome, SmokeReport
from deployment.smoke.smoke_run import CHECK_IDS, SmokeLimits
from deployment.smoke.sources import SmokeSources
from deployment.smoke.target import ProxyCallers, SmokeTarget
from tests.support.bridge_files import SMALL
from tests.support.fake_clouds import API, DEFAULT_URL, OUTPUTS, FakeClouds

GUID = "5e6f0000-0000-4000-8000-00000000000a"
RIGHT = (
    f"smoke --api-url https://api.example/prod --tenant {GUID} --client-id {GUID}"
    " --function-app-url https://func.example"
)
AT_80_COLUMNS = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
KEYS = '{"functionKeys": {"default": "key-f"}, "masterKey": "key-m"}'
PASSED = CheckResult("health", "GET", "200", "HTTP 200", Outcome.PASSED, 0.1)
BLOCKED = CheckResult("proxy", "GET", "200", "none", Outcome.BLOCKED, 0.1, "code_b", "Sign in.")
LOUD = CheckResult(
    "no-token",
    "GET",
    "401",
    "HTTP 200",
    Outcome.FAILED,
    0.1,
    "code_l",
    "ANYBODY.",
    lets_others_in=True,
)


class Round:
    """Stands in for the round of checks, and keeps what it was given."""

    def __init__(self, *results: CheckResult) -> None:
        """Take what is found."""
        self.report = SmokeReport(results)

    async def __call__(
        self,
        target: SmokeTarget,
        sources: SmokeSources,
        *,
        limits: SmokeLimits,
        only: list[str],
        **_rest: object,
    ) -> SmokeReport:
        """Keep the arguments, and return the report."""
        self.target, self.sources, self.limits, self.only = target, sources, limits, only
        return self.report


@pytest.fixture
def round_(monkeypatch: pytest.MonkeyPatch) -> Round:
    """A round in which a check is loud, one is blocked, one passed."""
    found = Round(PASSED, BLOCKED, LOUD)
    monkeypatch.setattr(smoke_command, "run_smoke", found)
    return found


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("smoke", "ENTRA_TENANT_ID"),
        (f"smoke --tenant {GUID} --client-id {GUID}", "address of the API"),
        (f"{RIGHT} --only health,heatlh", "heatlh"),
        (f"{RIGHT} --keys /no/such/file", "FileNotFoundError"),
        (f"{RIGHT} --timeout 0", "--timeout"),
        (f"{RIGHT} --api-url http://api.example", "plain http"),
        ("smoke --local --folder /no/such/folder", "bridge up"),
        ("smoke --local --env dev", "--env"),
    ],
)
def test_when_the_options_are_wrong_then_one_sentence_says_which(
    arguments: str, named: str
) -> None:
    """Exit code 2, before anything is asked."""
    result = CliRunner().invoke(app, arguments, env=AT_80_COLUMNS)
    (box,) = re.findall(r"─ Error ─.*?╮(.*)╰", result.stderr, re.DOTALL)

    assert 2 == result.exit_code
    assert named in re.sub(r"[\s│]+", " ", box)


def test_when_a_check_is_loud_then_its_sentence_comes_first(round_: Round) -> None:
    """Each that did not pass has one, with its code; the exit code is the report's."""
    result = CliRunner().invoke(app, RIGHT, env=AT_80_COLUMNS)
    complaints = [line for line in result.stderr.splitlines() if line.startswith("✗")]

    assert [
        "✗ no-token failed: HTTP 200. ANYBODY. (code_l)",
        "✗ proxy could not be made: none. Sign in. (code_b)",
    ] == complaints
    assert 1 == result.exit_code
    assert (CHECK_IDS, 300.0) == (tuple(round_.only), round_.limits.total_seconds)


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClouds:
    """Both clouds in memory with a whole deployment, and a bridge.toml in the folder."""
    stack = Stack("UPDATE_COMPLETE", {"ApiClientId": API}, {"DefaultUrl": DEFAULT_URL})
    clouds = FakeClouds(
        tmp_path / "FunctionApp.zip",
        layers={Layer.APP: DeployedLayer("digest", OUTPUTS[Layer.APP])},
        stacks={"bridge-dev": stack},
    )
    monkeypatch.setattr(smoke_command, "real_clouds", lambda *_: clouds.all())
    (tmp_path / "bridge.toml").write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return clouds


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("arguments", ["--env dev", "--file bridge.toml"])
def test_when_an_environment_is_named_then_nothing_else_has_to_be(
    round_: Round, arguments: str
) -> None:
    """The file and the clouds say what to try; an option that is given counts before them."""
    CliRunner().invoke(app, f"smoke {arguments} --function-app-url https://other.example")

    target = round_.target
    assert (DEFAULT_URL, DEFAULT_URL) == (target.api_url, target.public_url)
    assert "https://other.example" == target.function_app_url
    assert "11111111-1111-4111-8111-111111111111" == target.identity.tenant_id


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(RightsMissing("aws_rights_missing", "No."), 3), (DeploymentError("aws_refused", "No."), 1)],
)
def test_when_a_cloud_does_not_tell_then_the_sentence_says_what_to_do(
    round_: Round, deployed: FakeClouds, error: DeploymentError, exit_code: int
) -> None:
    """Who has no right there says it by an option; nothing is tried."""
    deployed.raising["find stack"] = error

    result = CliRunner().invoke(app, "smoke --env dev --json")

    assert exit_code == result.exit_code
    assert error.code == json.loads(result.stdout)["code"]
    assert (exit_code == 3) is ("--api-url" in result.stderr)
    assert not hasattr(round_, "target")


def test_when_the_file_is_wrong_then_nothing_is_tried(round_: Round, tmp_path: Path) -> None:
    """Each problem is told."""
    (tmp_path / "other.toml").write_text(SMALL.replace("westeurope", "X"), encoding="utf-8")

    result = CliRunner().invoke(app, f"smoke --file {tmp_path / 'other.toml'}")

    assert 1 == result.exit_code
    assert "azure.region" in result.stderr
    assert not hasattr(round_, "target")


def test_when_json_is_asked_for_then_it_is_all_that_stands_on_standard_output(
    round_: Round,
) -> None:
    """For programs."""
    result = CliRunner().invoke(app, f"{RIGHT} --json --only read,health --timeout 9")

    assert round_.report.to_json() + "\n" == result.stdout
    assert (["read", "health"], 9.0) == (round_.only, round_.limits.total_seconds)


@pytest.mark.parametrize("way", ["stdin", "file"])
def test_when_keys_are_handed_in_then_they_are_used_and_not_shown(
    round_: Round, tmp_path: Path, way: str
) -> None:
    """By a pipe, so that they need no file."""
    file = tmp_path / "keys.json"
    file.write_text(KEYS)
    place = "-" if way == "stdin" else str(file)
    result = CliRunner().invoke(app, f"{RIGHT} --keys {place}", input=KEYS)

    assert "key-" not in result.stdout + result.stderr
    assert "key-" not in repr(round_.sources)
    assert 1 == result.exit_code


@pytest.mark.parametrize("text", ["", "[]", "{}", "key-m", '{"masterKey": 7}'])
def test_when_there_are_no_keys_in_the_file_then_it_is_not_shown(text: str) -> None:
    """What cannot be read may be a key all the same."""
    result = CliRunner().invoke(app, f"{RIGHT} --keys -", input=text)

    assert 2 == result.exit_code
    assert "key-m" not in result.stderr


def test_when_a_scope_is_given_then_the_callers_of_the_proxy_sign_in(round_: Round) -> None:
    """App Service knows them by a token, and no key is needed."""
    CliRunner().invoke(app, f"{RIGHT} --proxy-scope api://proxy/.default")

    assert ProxyCallers.EASY_AUTH is round_.target.proxy_callers


def test_when_a_report_is_printed_then_markup_of_a_peer_is_text() -> None:
    """A peer cannot make a failure green."""
    console = Console(width=200, record=True, file=io.StringIO())
    print_report(
        SmokeReport([CheckResult("read", "a", "e", "[green]x", Outcome.FAILED, 0.1)]), console
    )

    assert "[green]x" in console.export_text()
