"""`bridge trace`, as it is called."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bridge_cli.main import app
from bridge_cli.tracing.call_view import WIDTH
from tests.support.traced_logs import (
    TRACE,
    access_line,
    decision_line,
    kept_line,
    proxy_line,
    write_call,
    write_logs,
)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The folder of the logs in the folder of a stack."""
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def run(logs: Path, *arguments: str) -> Result:
    """What the command does about the stack with these logs."""
    return CliRunner().invoke(app, ["trace", "--folder", str(logs.parent), *arguments])


def test_when_a_call_went_well_then_its_ladder_is_shown(logs: Path) -> None:
    """Each part below the one that called it, in 80 columns."""
    result = run(write_call(logs, "r1"), "r1")

    assert 0 == result.exit_code
    assert WIDTH >= max(map(len, result.stdout.splitlines()))
    lines = result.stdout.splitlines()
    indents = [
        next(line for line in lines if name in line).index(name)
        for name in ("caller ", "Function App", "API Gateway", "authorizer", "backend")
    ]
    assert indents == sorted(set(indents))
    assert TRACE in result.stdout


def test_when_a_call_was_refused_then_reason_and_remedy_are_shown(logs: Path) -> None:
    """And the command exits with 1, for scripts."""
    write_logs(
        logs,
        access=(access_line("gw", status="401", gateway_error="UNAUTHORIZED", decision_id="-"),),
        lambdas=(
            decision_line(
                "au-gw", outcome="rejected", reason="expired", what_to_change="Ask for a new one."
            ),
        ),
    )

    result = run(logs, "gw")

    assert 1 == result.exit_code
    assert "Why:     expired" in result.stdout
    assert "Change:  Ask for a new one." in result.stdout


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("UNAUTHORIZED", "Send the access token in the Authorization header, after Bearer."),
        ("ACCESS_DENIED", "Assign one of the API's app roles to the caller"),
        ("MISSING_AUTHENTICATION_TOKEN", "Ask for a path and a method that the API has."),
        ("THROTTLED", "raise ThrottleRate"),
    ],
)
def test_when_the_gateway_itself_refused_then_the_remedy_is_by_its_error(
    logs: Path, error: str, advice: str
) -> None:
    """No other part has a line then."""
    write_logs(logs, access=(kept_line("gw", "-", status="400", gateway_error=error),))

    assert advice in run(logs, "gw").stdout


def test_when_the_proxy_has_advice_then_it_is_shown_as_a_sentence(logs: Path) -> None:
    """Its line is written before the call's own."""
    failed = json.loads(proxy_line("r1", status=403)) | {
        "event": "proxy_failed",
        "advice": "assign the role",
    }
    write_logs(logs, function_app=(json.dumps(failed), proxy_line("r1", status=502)))

    assert "Change:  Assign the role." in run(logs, "r1").stdout


def test_when_the_answer_was_kept_then_it_says_which_call_decided(logs: Path) -> None:
    """By the ID that this command takes."""
    write_call(logs, "r1")
    write_logs(logs, access=(kept_line("gw-r2", "au-gw-r1", at=90, trace_id="1" * 32),))

    result = run(logs, "gw-r2")

    assert "had kept its answer" in result.stdout
    assert "au-gw-r1" in result.stdout
    assert 0 == run(logs, "au-gw-r1").exit_code


def test_when_a_trace_has_several_calls_then_all_are_shown(logs: Path) -> None:
    """The oldest first."""
    write_call(logs, "r1")
    write_call(logs, "r2", at=60)

    output = run(logs, TRACE).stdout

    assert 0 < output.index("r1") < output.index("r2")


def test_when_no_id_is_given_then_the_newest_calls_are_listed(logs: Path) -> None:
    """One line each, with the trace to ask for."""
    for number in range(30):
        write_call(logs, f"r{number}", trace_id=f"{number + 1:032x}")

    result = run(logs)

    assert 0 == result.exit_code
    assert f"{30:032x}" in result.stdout
    assert f"{1:032x}" not in result.stdout
    assert WIDTH >= max(map(len, result.stdout.splitlines()))


@pytest.mark.parametrize("arguments", [["r1"], [], ["nothing"]])
def test_when_json_is_asked_for_then_there_is_exactly_one_object(
    logs: Path, arguments: list[str]
) -> None:
    """On standard output, also where no call is found."""
    result = run(write_call(logs, "r1"), *arguments, "--json")

    document = json.loads(result.stdout)
    assert 1 == len(result.stdout.splitlines())
    assert (arguments != ["nothing"]) == bool(document["calls"])
    if document["calls"]:
        assert TRACE == document["calls"][0]["trace_id"]


def test_when_no_call_has_the_id_then_it_is_said(logs: Path) -> None:
    """With what to do next."""
    result = run(write_call(logs, "r1"), "nothing")

    assert 1 == result.exit_code
    assert "`bridge trace` lists them" in result.stderr
    assert "" == result.stdout


def test_when_there_are_no_logs_then_it_is_said(tmp_path: Path) -> None:
    """As before the first `bridge up`."""
    result = run(tmp_path / "logs", "r1")

    assert 1 == result.exit_code
    assert "start `bridge up`" in result.stderr


def test_when_the_log_holds_markup_and_escapes_then_they_are_shown_as_text(logs: Path) -> None:
    """Neither the terminal nor the library that draws tables obeys them."""
    evil = "\x1b[2J[red]x[/red][link=http://e]"
    write_logs(
        logs,
        function_app=(proxy_line(evil, status=500, code=evil, route=evil, method=evil),),
        access=(access_line(evil, route=evil, gateway_error=evil),),
        lambdas=(decision_line(evil, outcome=evil, reason=evil, what_to_change=evil),),
    )

    for arguments in ((TRACE,), ()):
        output = run(logs, *arguments).stdout
        assert "\x1b" not in output
        assert "[red]" in "".join(output.split())


def test_when_a_run_has_very_many_steps_then_the_middle_is_left_out(logs: Path) -> None:
    """The table says how much, and JSON has it all."""
    started = json.loads(proxy_line("run", at=0)) | {"event": "sync_started", "run_id": "1"}
    access = tuple(access_line(f"g{number}", at=number) for number in range(200))
    write_logs(logs, function_app=(json.dumps(started),), access=access)

    assert "more steps; --json has them" in run(logs, "run").stdout
    assert len(run(logs, "run").stdout.splitlines()) < 120
    assert 200 < len(json.loads(run(logs, "run", "--json").stdout)["calls"][0]["steps"])


@pytest.mark.parametrize("kind", ["access", "decision", "proxy"])
@pytest.mark.parametrize("name", ["time", "milliseconds", "latency_ms", "authorizer_latency_ms"])
@pytest.mark.parametrize("number", [0, -1, 1e-9, 253402300800000, 9e14, 1e300, "9e14", True, [1]])
def test_when_a_time_is_absurd_then_the_logs_are_shown_all_the_same(
    logs: Path, kind: str, name: str, number: Any
) -> None:
    """A time that no calendar has ends neither the list nor the one call."""
    lines = {
        "access": access_line("r1", **({name: number} if kind == "access" else {})),
        "decision": decision_line("r1", **({name: number} if kind == "decision" else {})),
        "proxy": proxy_line("r1", **({name: number} if kind == "proxy" else {})),
    }
    write_logs(
        logs,
        function_app=(lines["proxy"],),
        access=(lines["access"],),
        lambdas=(lines["decision"],),
    )

    listed, shown = run(logs), run(logs, TRACE)

    assert (0, None) == (listed.exit_code, listed.exception)
    assert TRACE in listed.stdout
    assert TRACE in shown.stdout
