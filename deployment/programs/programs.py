"""Runs the clouds' own command lines: no shell, a deadline, each line told as it comes."""

import shutil
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
        )
        with process:
            try:
                return _follow(process, timeout, report, report if tells_output else None)
            except subprocess.TimeoutExpired:
                raise ProgramError(
                    "program_timeout",
                    f"`{' '.join(line.argv[:4])}` took more than {timeout:.0f} seconds and was"
                    " ended; what it began may still be going on in the cloud.",
                ) from None
            finally:
                _end(process)


def _follow(
    process: subprocess.Popen[str], timeout: float, errors: Report, output: Report | None
) -> Completed:
    kept: tuple[list[str], list[str]] = ([], [])
    readers = [
        threading.Thread(target=_read, args=(stream, lines, report), daemon=True)
        for stream, lines, report in (
            (process.stdout, kept[0], output),
            (process.stderr, kept[1], errors),
        )
        if stream is not None  # both are pipes, which the type does not say
    ]
    for reader in readers:
        reader.start()
    exit_code = process.wait(timeout)
    for reader in readers:
        # A program of its own that it left running may hold the pipe open.
        reader.join(_KILL_AFTER_SECONDS)
    return Completed(exit_code, "".join(kept[0]), "".join(kept[1]))


def _read(stream: IO[str], lines: list[str], report: Report | None) -> None:
    left = _MOST_KEPT_CHARACTERS
    for line in stream:
        if left > 0:
            lines.append(line[:left])
            left -= len(line)
        text = line.strip()
        if text and report is not None:
            report(text)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
