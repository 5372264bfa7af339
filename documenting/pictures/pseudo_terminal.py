"""Runs a command in a terminal of a fixed size, as a person would see it."""

import codecs
import contextlib
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from documenting.pictures.screen import Screen
from shared.clock import Clock

_ROWS: Final = 60
_READ: Final = 65_536
_LONGEST: Final = 32
"""Characters of a control sequence that may be cut by a read."""
# What would change what a program prints, of the one who draws the pictures.
_UNSET: Final = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM", "CI")


class RunError(Exception):
    """A command did not end as it must for its picture."""


def run_in_terminal(
    command: Sequence[str | Path],
    folder: Path,
    clock: Clock,
    *,
    columns: int,
    seconds: float,
    expected: int = 0,
) -> Screen:
    """Return the screen after the command has ended.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        clock: measures how long it takes.
        columns: how wide its terminal is.
        seconds: after which it is ended, with all that it has started.
        expected: the exit status with which it must end.

    Raises:
        RunError: it took too long, or ended with another status.
        ScreenError: it wrote what no picture can show.

    """
    setsid = shutil.which("setsid")
    if setsid is None:
        raise RunError("setsid is missing, which gives a command its terminal (util-linux)")
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    unset = [part for name in _UNSET for part in ("-u", name)]
    # The terminal is the command's own: it closes, and the command gets SIGHUP, however we end.
    process = subprocess.Popen(  # noqa: S603 - our own commands
        [
            "/usr/bin/setsid",
            "--ctty",
            "env",
            *unset,
            "TERM=xterm-256color",
            "LC_ALL=C.UTF-8",
            *command,
        ],
        cwd=folder,
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    screen = Screen(columns)
    try:
        if not _read_to_end(ours, screen, clock, clock.monotonic() + seconds):
            raise RunError(f"`{_said(command)}` took longer than {seconds:g} s")
        process.wait()
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != expected:
        last = "\n".join(screen.text_lines()[-20:])
        raise RunError(
            f"`{_said(command)}` ended with {process.returncode}, not {expected}:\n{last}"
        )
    return screen


def _read_to_end(terminal: int, screen: Screen, clock: Clock, until: float) -> bool:
    """Return whether everything was read before the time was up."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    held_back = ""
    while (left := until - clock.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            continue
        try:
            read = os.read(terminal, _READ)
        except OSError:
            # Linux says so when nobody has the other end open any more.
            read = b""
        written = held_back + decoder.decode(read, final=not read)
        if not read:
            screen.feed(written)
            return True
        # A control sequence may come in two parts.
        whole = written.rfind("\x1b") if "\x1b" in written[-_LONGEST:] else len(written)
        screen.feed(written[:whole])
        held_back = written[whole:]
    return False


def _said(command: Sequence[str | Path]) -> str:
    return " ".join(map(str, command))
