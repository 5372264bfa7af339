"""Processes that end with ours, however ours ends, and take their children along."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")


def start_tied_process(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    log: BinaryIO,
    held_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program under a supervisor, and return the supervisor's process.

    Everything that the two write goes to `log`. The supervisor passes SIGTERM and SIGINT on, ends
    with the program's exit code, and ends the program with its children when this process is gone.

    Args:
        command: the program and its arguments; its standard input is empty.
        cwd: where the program runs.
        environment: all of its environment.
        log: a file open for writing.
        held_open: file descriptors that the supervisor, but not the program, keeps open until the
            last of the program has ended. A lock held so outlives this process as its parts do.

    """
    return subprocess.Popen(  # noqa: S603 - the callers start the checkout's own programs
        [sys.executable, "-I", "-S", _SUPERVISOR, *command],
        cwd=cwd,
        env=environment,
        # Only we hold the other end, so however we die, the supervisor sees it close.
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C goes to the process that started us, which then stops this in order.
        start_new_session=True,
        pass_fds=held_open,
    )


def stop_tied_process(process: subprocess.Popen[bytes], within_seconds: float) -> int:
    """End the program, by force if it takes longer than that, and return its exit code.

    Stopping twice is harmless.
    """
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(within_seconds)
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    return process.wait()


def pause_tied_process(process: subprocess.Popen[bytes]) -> None:
    """Stop the program where it is: it keeps its ports and answers nobody, until it is resumed."""
    process.send_signal(signal.SIGUSR1)


def resume_tied_process(process: subprocess.Popen[bytes]) -> None:
    """Let a paused program go on. One that was not paused does not notice."""
    process.send_signal(signal.SIGUSR2)
