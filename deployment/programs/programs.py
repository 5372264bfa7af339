"""Runs the clouds' own command lines: no shell, a deadline, each line told as it comes."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from deployment.errors import NotSignedIn, ProgramError
from deployment.lines.line import Line
from deployment.programs.settings import environment_with

type Report = Callable[[str], None]
"""Told what is going on, a line at a time."""

_KILL_AFTER_SECONDS: Final = 10.0
_MOST_KEPT_CHARACTERS: Final = 4_000_000
"""Of each output; what comes after is read and dropped."""
_LONGEST_LINE: Final = 65_536
"""Characters; a longer line is told in pieces."""
_INSTALL: Final = {
    "az": "the Azure CLI (https://learn.microsoft.com/cli/azure/install-azure-cli)",
    "sam": "the AWS SAM CLI (https://docs.aws.amazon.com/serverless-application-model/)",
}


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program left."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Programs:
    """Runs programs in the checkout."""

    folder: Path

    def write(self, path: str, content: str) -> None:
        """Write a file for a program to read; its folders are made."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")

    def run(
        self,
        line: Line,
        *,
        timeout: float,
        report: Report = lambda _line: None,
        tells_output: bool = True,
    ) -> Completed:
        """Return what the program left, whatever its exit code.

        It gets nothing on standard input, so it cannot wait for an answer. `report` is told its
        standard error line by line, and unless it is an answer for us its standard output too. If
        this process is interrupted the program is ended with it.

        Raises:
            NotSignedIn: the program is not installed, so nobody can be signed in by it.
            ProgramError: it took longer than `timeout` seconds, and was ended.

        """
        program, *arguments = line.argv
        # One that is named by its path is the checkout's, wherever we were called from.
        path = shutil.which(self.folder / program if "/" in program else program)
        if path is None:
            what = _INSTALL.get(program, program)
            raise NotSignedIn("program_missing", f"`{program}` is not on the PATH; install {what}.")
        process = subprocess.Popen(  # noqa: S603 - our own lines, and no shell reads them
            [path, *arguments],
            cwd=self.folder,
            env=environment_with(line.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            # `az` is a script that starts Python: both end together. And without a terminal of its
            # own neither can ask anybody for a password there.
            start_new_session=True,
        )
        followed = _Followed(process, report, report if tells_output else None)
        try:
            return followed.complete(timeout)
        except subprocess.TimeoutExpired:
            raise ProgramError(
                "program_timeout",
                f"`{' '.join(line.argv[:4])}` took more than {timeout:.0f} seconds and was"
                " ended; what it began may still be going on in the cloud.",
            ) from None
        finally:
            followed.end()


class _Followed:
    """A program while it runs, each of its outputs read by a thread of its own."""

    def __init__(
        self, process: subprocess.Popen[str], errors: Report, output: Report | None
    ) -> None:
        self._process = process
        self._kept: tuple[list[str], list[str]] = ([], [])
        self._readers = [
            threading.Thread(target=_read, args=(stream, lines, report), daemon=True)
            for stream, lines, report in (
                (process.stdout, self._kept[0], output),
                (process.stderr, self._kept[1], errors),
            )
            if stream is not None  # both are pipes, which the type does not say
        ]
        for reader in self._readers:
            reader.start()

    def complete(self, timeout: float) -> Completed:
        exit_code = self._process.wait(timeout)
        for reader in self._readers:
            # A program of its own that it left running may hold the pipe open.
            reader.join(_KILL_AFTER_SECONDS)
        return Completed(exit_code, "".join(self._kept[0]), "".join(self._kept[1]))

    def end(self) -> None:
        """Leave no program that still runs, and none that would still be heard."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_AFTER_SECONDS)
        if self._process.poll() is None or any(reader.is_alive() for reader in self._readers):
            self._signal(signal.SIGKILL)
            self._process.wait()
        for reader in self._readers:
            reader.join(_KILL_AFTER_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        # Nobody of it may be left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _read(stream: IO[str], lines: list[str], report: Report | None) -> None:
    left = _MOST_KEPT_CHARACTERS
    with stream:
        while line := stream.readline(_LONGEST_LINE):
            if left > 0:
                lines.append(line[:left])
                left -= len(line)
            text = line.strip()
            if text and report is not None:
                report(text)
