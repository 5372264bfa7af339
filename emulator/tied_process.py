"""Processes that end with ours, however ours ends: they watch a pipe that only we hold."""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO


def start_tied_process(
    command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str], log: BinaryIO
) -> subprocess.Popen[bytes]:
    """The running process, with everything that it writes going to `log`.

    Its standard input is the pipe: the program itself must end when that closes.
    """
    return subprocess.Popen(  # noqa: S603 - the callers start the checkout's own programs
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C is for whoever started us; it then stops this in order.
        start_new_session=True,
    )


def stop_tied_process(process: subprocess.Popen[bytes], within_seconds: float) -> None:
    """End the process, by force if it takes longer than that. Stopping twice is harmless."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    process.terminate()
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
