"""The `bridge` command, as a user starts it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.loopback import is_port_free
from emulator.stack_folder import claim_folder
from tests.support.page_lines import run_line
from tests.support.processes import (
    becomes_true,
    descendants_of,
    hear_the_terminal_close,
    is_alive,
)

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
    result = run_line("make demo", CHECKOUT, add=f'ARGS="--json --folder {tmp_path / "demo"}"')

    report = json.loads(result.stdout.splitlines()[-1])
    assert 0 == result.returncode, result.stderr
    assert [] == report["problems"]
    assert report["records_source"] == report["records_synced"] > 28_000
    assert 3 == report["changes_made"] == report["changes_synced"]
    assert 0 == report["changed_by_full_resync"]
    assert 200 == report["proxy_status"] == report["rotated_key_status"]
    assert REFUSALS == report["refusals"]
    assert {name: name for name in REFUSALS} | {"no_token": "gateway"} == report["refusal_reasons"]
    assert report["records_read_again"] == report["records_after_changes"] + report["tombstones"]


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


@dataclass(frozen=True, slots=True)
class _Up:
    """A running `bridge up`."""

    process: "subprocess.Popen[str]"
    folder: Path
    health_url: str
    aws_port: int
    ports: set[int]
    parts: frozenset[int]
    """Every process of the stack, its Lambdas among them."""

    def is_gone(self) -> bool:
        """Whether no process of it lives and no port of it is taken."""
        return not any(map(is_alive, self.parts)) and all(map(is_port_free, self.ports))


@contextmanager
def _running_up(folder: Path, *options: str) -> Iterator[_Up]:
    """`bridge up` on free ports, up and with a Lambda started."""
    ports = ("--functions-port", "0", "--aws-port", "0", "--entra-port", "0")
    process = subprocess.Popen(
        [
            BRIDGE,
            "up",
            "--functions-host",
            "emulated",
            "--folder",
            folder,
            "--console-port",
            "0",
            *ports,
            *options,
        ],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},  # noqa: TID251 - the child's, beside ours
        preexec_fn=hear_the_terminal_close,  # noqa: PLW1509 - no other thread runs here
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdout, process.stderr:
        try:
            yield _wait_until_up(process, folder)
        finally:
            # Else leaving the block would wait for it, after a failure for ever.
            process.kill()


def _wait_until_up(process: "subprocess.Popen[str]", folder: Path) -> _Up:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "rotate-signing-key" in line:
            break
    (health,) = (line.split()[-1] for line in lines if line.endswith("/api/health\n"))
    (record,) = (line.split()[-1] for line in lines if line.endswith("/records/EGLL\n"))
    # The first address of all is the local console's.
    console = next(url for line in lines for url in re.findall(r"http://\S+", line))
    assert console in next(line for line in lines if "local console" in line)
    for url in (health, record, console):
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - http on loopback
            assert 200 == answer.status
    text = "".join(lines)
    aws_port, *other_ports = (
        int(port)
        for pattern in (r"curl -si http://127.0.0.1:(\d+)/_aws", r"/127.0.0.1:(\d+)/")
        for port in re.findall(pattern, text)
    )
    parts = frozenset(descendants_of(process.pid))
    return _Up(process, folder, health, aws_port, {aws_port, *other_ports}, parts)


@pytest.mark.timeout(180)
def test_when_the_bridge_is_up_then_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    """`bridge up` prints where everything is; after Ctrl-C nothing of it listens any more."""
    with _running_up(tmp_path / "up") as up:
        up.process.send_signal(signal.SIGINT)
        up.process.communicate(timeout=60)

        assert 0 == up.process.returncode
        assert 3 <= len(up.ports)
        assert up.is_gone()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.timeout(180)
def test_when_the_terminal_is_closed_then_no_part_is_left(
    tmp_path: Path, number: signal.Signals
) -> None:
    """MiniStack with its Lambdas, the Functions host and Azurite end, and their ports are free."""
    with _running_up(tmp_path / "up", "--record-store", "table") as up:
        commands = " ".join(Path(f"/proc/{part}/cmdline").read_text() for part in up.parts)
        up.process.send_signal(number)
        up.process.wait(60)
        # Its parts may still write, so its folder is had only when the last of them has ended.
        with claim_folder(up.folder, CHECKOUT):
            is_gone = becomes_true(up.is_gone, within_seconds=1)

        assert is_gone
    for part in ("awslambdaric", "launcher.py", "functions_host", "azurite.js"):
        assert part in commands


@pytest.mark.timeout(180)
def test_when_a_stack_is_up_then_a_second_one_touches_nothing(tmp_path: Path) -> None:
    """Folder and ports are said at once, with who has them; the first goes on."""
    with _running_up(tmp_path / "up") as up:
        before = {path: path.stat().st_ino for path in up.folder.rglob("*") if path.is_file()}
        second = _bridge(
            "up", "--folder", up.folder, "--aws-port", str(up.aws_port), "--console-port", "0"
        )
        after = {path: path.stat().st_ino for path in before if path.exists()}
        with urllib.request.urlopen(up.health_url, timeout=10) as answer:  # noqa: S310 - http on loopback
            status = answer.status

    assert 1 == second.returncode
    assert f"process {up.process.pid}: stop that one" in second.stderr
    assert "(folder_in_use)" in second.stderr
    assert f"Port {up.aws_port}, for AWS, on 127.0.0.1 is taken by process" in second.stderr
    assert "(port_unusable)" in second.stderr
    assert "Building" not in second.stderr
    assert before.keys() == after.keys()
    assert 200 == status


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("up", "--schedule", "0 0 0 30 2 *"), 2, "never fires"),
        (("demo", "--folder", "/"), 1, "folder_not_ours"),
        (("demo", "--folder", "/proc/bridge"), 1, "folder_unusable"),
    ],
)
def test_when_the_command_is_wrong_then_it_ends_at_once_and_says_why(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    """Nothing is started, and there is no traceback."""
    result = _bridge(*arguments)

    assert code == result.returncode
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert "Building" not in result.stderr


def test_when_help_is_asked_for_then_every_command_is_explained() -> None:
    """`bridge --help` names the commands, and each command's help ends well."""
    overview = _bridge("--help")
    details = [_bridge(command, "--help") for command in ("demo", "up", "settings")]

    assert all(command in overview.stdout for command in ("demo", "up", "settings"))
    assert [0, 0, 0] == [detail.returncode for detail in details]
