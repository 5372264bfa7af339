"""The commands of the pages, run as a reader runs them: in a fresh checkout, line by line."""

import re
import shutil
import urllib.request
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import pytest

from tests.support.page_lines import (
    Shell,
    commands_of,
    fresh_checkout,
    reads_as,
    run_line,
    run_page,
    start_line,
)

pytestmark = pytest.mark.timeout(300)

FREE_PORTS = (
    "--functions-port 0 --aws-port 0 --entra-port 0 --console-port 0 --functions-host emulated"
)
UP = "The bridge is up"
SUPERSEDED = 4
ALL_IS_PRINTED = "rotate-signing-key"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with everything installed and nothing run in it yet."""
    return fresh_checkout(tmp_path / "checkout")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A checkout in which `make up` runs, and where its parts are in place of the usual ports."""
    folder = fresh_checkout(tmp_path_factory.mktemp("up") / "checkout")
    with start_line("make up", folder, add=f'ARGS="{FREE_PORTS}"', until=ALL_IS_PRINTED) as (
        _,
        printed,
    ):
        assert UP in printed
        (port,) = re.findall(r"127\.0\.0\.1:(\d+)/api/health", printed)
        yield folder, {"127.0.0.1:7071": f"127.0.0.1:{port}"}


def test_when_the_tutorial_is_followed_then_each_line_does_what_it_shows(
    up: tuple[Path, dict[str, str]],
) -> None:
    """From the first to the last, in one terminal."""
    folder, places = up
    followed = 0
    with Shell(folder, places) as shell:
        for command, first, said in run_page("docs/tutorial.md", shell, but=("make up",)):
            followed += 1
            # The timer's own run came in between then, and the page says what to do.
            again = first == SUPERSEDED
            status, printed = shell.run(command.line) if again else (first, said)
            assert 0 == status, f"{command.line}\n{printed}"
            if command.output:
                shown = "\n".join(command.output)
                assert reads_as(shown, printed), f"{command.line}\n{printed}"

    assert 13 <= followed


def test_when_the_stack_is_up_then_the_other_pages_lines_work(
    up: tuple[Path, dict[str, str]],
) -> None:
    """Local development's, and the sync's."""
    folder, places = up
    (address,) = places.values()
    with Shell(folder, places) as shell:
        shell.run("curl -s http://127.0.0.1:7071/api/aws/v1/records/EGLL")
        decision = shell.run('grep \'"event": "decision"\' .bridge/up/logs/lambda.log | tail -1')
        smoke = shell.run(
            ".venv/bin/bridge smoke --local", add=f"--function-app-url http://{address}"
        )
        sync = shell.run("bridge sync --settings .bridge/up/local.settings.json")

    assert (0, True) == (decision[0], '"outcome"' in decision[1])
    assert 0 == smoke[0], smoke[1]
    assert (0, True) == (sync[0], sync[1].startswith("Complete")), sync[1]


@pytest.mark.parametrize(
    "page",
    ["docs/explain.md", "docs/doctor.md", "docs/tracing.md", "docs/investigate-a-401.md"],
)
def test_when_a_token_is_investigated_then_each_line_of_the_page_works(
    up: tuple[Path, dict[str, str]], page: str
) -> None:
    """On the stack that runs, whose token is a good one, and with the ID of a call to it."""
    folder, places = up
    (address,) = places.values()
    with urllib.request.urlopen(f"http://{address}/api/aws/v1/records/EGLL") as answer:
        call = {"<ID>": answer.headers["X-Request-Id"]}
    followed = []
    with Shell(folder, places | call) as shell:
        for command, status, printed in run_page(page, shell, but=()):
            followed.append(command.line)
            assert 0 == status, f"{command.line}\n{printed}"

    assert 2 <= len(followed)


def test_when_records_are_imported_then_the_pages_line_does_it(checkout: Path) -> None:
    """Into the empty table of `bridge up --without-records`, in a folder of its own."""
    (airports,) = (each for each in files("airportsdata") or () if each.name == "airports.csv")
    shutil.copyfile(str(airports.locate()), checkout / "airports.csv")
    with start_line(
        "bridge up --without-records", checkout, add=FREE_PORTS, until=ALL_IS_PRINTED
    ) as (_, printed):
        (table,) = re.findall(r"table in AWS +(\S+)", printed)
        (endpoint,) = re.findall(r"AWS endpoint +(http://[\d.:]+)", printed)
        places = {
            "azure-aws-bridge-RecordsTable-1BF1070C76017": table,
            "http://127.0.0.1:4566": endpoint,
        }
        with Shell(checkout, places) as shell:
            status, said = shell.run(
                "bridge import airports.csv --id icao"
                " --table azure-aws-bridge-RecordsTable-1BF1070C76017"
                " --endpoint-url http://127.0.0.1:4566"
            )

    assert 0 == status, said
    assert f"records are in {table}; the feed has them all." in said


def test_when_bridge_up_is_started_then_it_comes_up(checkout: Path) -> None:
    """By its own name, as the page of the sync's commands has it."""
    with start_line("bridge up", checkout, add=FREE_PORTS, until=UP) as (process, _):
        assert process.poll() is None


@pytest.mark.timeout(600)
def test_when_the_rehearsal_is_followed_then_the_pair_is_deployed_and_well(checkout: Path) -> None:
    """The clouds, the deployment, the smoke test, and the registration's plan."""
    copied = run_line("cp bridge.toml.example bridge.toml", checkout)
    with start_line(".venv/bin/bridge clouds", checkout, until="Deploy to them"):
        deployed = run_line(".venv/bin/bridge deploy --local --env dev", checkout)
        smoke = run_line(".venv/bin/bridge smoke --local", checkout)
        registration = run_line(".venv/bin/bridge entra --local --env dev --plan", checkout)

    assert 0 == copied.returncode
    assert 0 == deployed.returncode, deployed.stdout + deployed.stderr
    assert 0 == smoke.returncode, smoke.stdout + smoke.stderr
    assert 0 == registration.returncode, registration.stdout + registration.stderr


def test_when_settings_are_copied_then_git_does_not_see_them(checkout: Path) -> None:
    """The laptop page's copy has a place in .gitignore."""
    copied = run_line("cp local.settings.json.example local.settings.json", checkout)
    ignored = (checkout / ".gitignore").read_text(encoding="utf-8").splitlines()

    assert 0 == copied.returncode
    assert (checkout / "local.settings.json").is_file()
    assert "local.settings.json" in ignored


def test_when_help_is_asked_for_then_make_and_bridge_answer(checkout: Path) -> None:
    """What there is, and the options of `bridge up`."""
    targets = run_line("make help", checkout)
    options = run_line('make up ARGS="--help"', checkout)

    assert (0, True) == (
        targets.returncode,
        "make everything" in targets.stdout or "demo" in targets.stdout,
    )
    assert (0, True) == (options.returncode, "--record-store" in options.stdout)


def test_when_everything_is_installed_then_make_install_ends_at_once(checkout: Path) -> None:
    """And again with Azurite."""
    assert 0 == run_line("make install", checkout).returncode
    assert 0 == run_line("make install azurite", checkout).returncode


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
WRONG = """\
name = "bridge"
settings = { SYNC_SHEDULE = "0 */15 * * * *" }

[entra]
tenant_id = "11111111-1111-4111-8111-111111111111"
token_version = 2

[azure]
subscription_id = "22222222-2222-4222-8222-222222222222"
region = "westeurope"

[aws]
account_id = "123456789012"
region = "eu-west-1"
custom_domain = "api.example.com"
certificate_arn = "CERTIFICATE"

[environments.dev.settings]
RECORD_STORE = "sqlite"
"""


def test_when_a_bridge_file_is_wrong_then_the_plan_says_what_the_page_shows(
    checkout: Path,
) -> None:
    """Before anybody is asked for a sign-in."""
    (checkout / "bridge.toml").write_text(WRONG.replace("CERTIFICATE", CERTIFICATE))
    page = (checkout / "docs" / "deploy.md").read_text(encoding="utf-8")
    (shown,) = (each for each in commands_of(page) if each.output)
    told = run_line("bridge deploy --plan", checkout)

    assert (1, "bridge deploy --plan") == (told.returncode, shown.line)
    assert reads_as("\n".join(shown.output), (told.stdout + told.stderr).strip())
