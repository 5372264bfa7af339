"""Programs that end with whoever started them, with real processes and real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emulator.tied_process import (
    pause_tied_process,
    resume_tied_process,
    start_tied_process,
    stop_tied_process,
)
from tests.support.processes import becomes_true, hear_the_terminal_close, is_alive

CHECKOUT = Path(__file__).parents[2]
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("[%d, %d]" % (os.getpid(), child.pid), flush=True)
time.sleep(60)
"""
"""Reads no standard input, ignores SIGTERM (as its child does), and has a child."""
PARENT = """
import os, sys, time
from pathlib import Path
from emulator.tied_process import start_tied_process
with open(sys.argv[2], "wb") as log:
    start_tied_process(
        [sys.executable, "-c", sys.argv[1]], cwd=Path("/"), environment={}, log=log
    )
print("started", flush=True)
time.sleep(60)
"""


def _process_ids(log: Path) -> list[int]:
    """The program's and its child's, once they are written."""
    assert becomes_true(lambda: log.exists() and log.read_text().endswith("]\n"))
    process_ids: list[int] = json.loads(log.read_text())
    return process_ids


def _started(log_file: Path, program: str = STUBBORN) -> "subprocess.Popen[bytes]":
    with log_file.open("wb") as log:
        return start_tied_process(
            [sys.executable, "-c", program], cwd=log_file.parent, environment={}, log=log
        )


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_when_the_parent_is_ended_then_a_stubborn_program_and_its_child_end_too(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Nothing has to be watched by the program: its supervisor kills the group."""
    log = tmp_path / "program.log"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, STUBBORN, log],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        preexec_fn=hear_the_terminal_close,  # noqa: PLW1509 - no other thread runs here
    ) as parent:
        process_ids = _process_ids(log)
        parent.send_signal(number)
        parent.wait()

    assert becomes_true(lambda: not any(map(is_alive, process_ids)), within_seconds=5)


def test_when_a_program_is_killed_then_its_children_end_too(tmp_path: Path) -> None:
    """A crash leaves no child behind, and the exit code names the signal."""
    log = tmp_path / "program.log"
    process = _started(log)
    program, child = _process_ids(log)
    os.kill(program, signal.SIGKILL)
    code = process.wait(10)
    stop_tied_process(process, 0)

    assert 128 + signal.SIGKILL == code
    assert becomes_true(lambda: not is_alive(child), within_seconds=2)


def test_when_a_stubborn_program_is_stopped_then_force_ends_it_in_time(tmp_path: Path) -> None:
    """It gets the time that it was given, and no more."""
    log = tmp_path / "program.log"
    process = _started(log)
    process_ids = _process_ids(log)
    begun = time.perf_counter()
    stop_tied_process(process, 0.2)

    assert 0.2 <= time.perf_counter() - begun < 1.5
    assert not any(map(is_alive, process_ids))
    assert 128 + signal.SIGKILL == stop_tied_process(process, 0.2)


def test_when_a_program_ends_by_itself_then_its_exit_code_is_known(tmp_path: Path) -> None:
    """The supervisor ends with the code of what it ran."""
    process = _started(tmp_path / "program.log", "raise SystemExit(3)")

    assert 3 == process.wait(10)
    assert 3 == stop_tied_process(process, 0)


def test_when_a_program_is_missing_then_the_log_says_so(tmp_path: Path) -> None:
    """One line, no traceback."""
    log_file = tmp_path / "program.log"
    with log_file.open("wb") as log:
        process = start_tied_process(["/nowhere/x"], cwd=tmp_path, environment={}, log=log)
    code = process.wait(10)
    stop_tied_process(process, 0)

    assert 127 == code
    assert "/nowhere/x could not be started: No such file or directory\n" == log_file.read_text()


def test_when_a_descriptor_is_held_open_then_only_the_supervisor_has_it(tmp_path: Path) -> None:
    """The program does not inherit it, and it is open until the program has ended."""
    reader, writer = os.pipe()
    program = f"""
import os, time
try:
    os.fstat({writer})
except OSError:
    print("not mine", flush=True)
time.sleep(60)
"""
    log_file = tmp_path / "program.log"
    with log_file.open("wb") as log:
        process = start_tied_process(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            environment={},
            log=log,
            held_open=(writer,),
        )
    os.close(writer)
    os.set_blocking(reader, False)
    says_not_mine = becomes_true(lambda: log_file.read_text() == "not mine\n")
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    stop_tied_process(process, 5)
    at_the_end = os.read(reader, 1)
    os.close(reader)

    assert says_not_mine
    assert b"" == at_the_end


COUNTING = """
import os, time
print(os.getpid(), flush=True)
while True:
    print("-", flush=True)
    time.sleep(0.01)
"""
"""Says that it runs, over and over."""


def _state_of(process_id: int) -> str:
    """The process's state as Linux's /proc names it; T is stopped."""
    stat = Path(f"/proc/{process_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0]


def test_when_a_program_is_paused_then_it_stands_still_until_it_is_resumed(tmp_path: Path) -> None:
    """It is stopped where it is, and goes on from there."""
    log = tmp_path / "program.log"
    process = _started(log, COUNTING)
    assert becomes_true(lambda: log.read_text().count("-") > 1)
    program = int(log.read_text().split()[0])

    pause_tied_process(process)
    is_paused = becomes_true(lambda: _state_of(program) == "T")
    written = log.stat().st_size
    resume_tied_process(process)
    goes_on = becomes_true(lambda: log.stat().st_size > written)
    stop_tied_process(process, 5)

    assert is_paused
    assert goes_on
    assert not is_alive(program)


def test_when_a_paused_program_is_stopped_then_it_ends_by_itself(tmp_path: Path) -> None:
    """What stands still would hear a SIGTERM only when somebody lets it go on."""
    log = tmp_path / "program.log"
    process = _started(log, COUNTING)
    assert becomes_true(lambda: log.read_text().count("-") > 1)
    program = int(log.read_text().split()[0])
    pause_tied_process(process)
    assert becomes_true(lambda: _state_of(program) == "T")

    code = stop_tied_process(process, 5)

    assert 128 + signal.SIGTERM == code
