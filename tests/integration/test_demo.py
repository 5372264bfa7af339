"""The `bridge` command, as a user starts it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

BRIDGE = Path(sys.executable).with_name("bridge")
CHECKOUT = Path(__file__).parents[2]
REFUSALS = {
    "no_token": 401,
    "expired": 401,
    "wrong_audience": 401,
    "wrong_issuer": 401,
    "bad_signature": 401,
    "missing_role": 403,
    "unknown_client": 403,
}


def _bridge(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BRIDGE, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=170
    )


@pytest.mark.timeout(180)
def test_when_the_demo_runs_then_everything_that_it_promises_holds(tmp_path: Path) -> None:
    """Every record arrives, only changes follow, a repeat changes nothing, nobody else gets in."""
    result = _bridge("demo", "--json", "--folder", tmp_path / "demo")

    report = json.loads(result.stdout.splitlines()[-1])
    assert 0 == result.returncode, result.stderr
    assert [] == report["problems"]
    assert report["records_source"] == report["records_synced"] > 28_000
    assert 3 == report["changes_made"] == report["changes_synced"]
    assert 0 == report["changed_by_full_resync"]
    assert 200 == report["proxy_status"] == report["rotated_key_status"]
    assert REFUSALS == report["refusals"]
    assert "bad_signature" == report["refusal_reasons"]["bad_signature"]


@pytest.mark.parametrize("option", ["--entra-port", "--aws-port", "--functions-port"])
@pytest.mark.timeout(180)
def test_when_a_port_is_taken_then_one_sentence_says_so(tmp_path: Path, option: str) -> None:
    """A taken port ends the command with exit code 1, naming the port, without a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = _bridge("demo", "--folder", tmp_path / "demo", option, str(port))

    assert 1 == result.returncode
    assert str(port) in result.stderr
    assert "taken" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.timeout(180)
def test_when_the_bridge_is_up_then_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    """`bridge up` prints where everything is; after Ctrl-C nothing of it listens any more."""
    ports = ("--functions-port", "0", "--aws-port", "0", "--entra-port", "0")
    process = subprocess.Popen(
        [BRIDGE, "up", "--functions-host", "emulated", "--folder", tmp_path / "up", *ports],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},  # noqa: TID251 - the child's, beside ours
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "rotate-signing-key" in line:
            break
    (health,) = (line.split()[-1] for line in lines if line.endswith("/api/health\n"))
    with urllib.request.urlopen(health, timeout=10) as answer:  # noqa: S310 - http on loopback
        status = answer.status
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert 200 == status
    assert 0 == process.returncode
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(health, timeout=10)  # noqa: S310 - http on loopback


def test_when_help_is_asked_for_then_every_command_is_explained() -> None:
    """`bridge --help` names the commands, and each command's help ends well."""
    overview = _bridge("--help")
    details = [_bridge(command, "--help") for command in ("demo", "up", "settings")]

    assert all(command in overview.stdout for command in ("demo", "up", "settings"))
    assert [0, 0, 0] == [detail.returncode for detail in details]
