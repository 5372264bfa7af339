"""Runs `bridge clouds` and what is deployed to them, as a person does in two terminals."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.processes import becomes_true

CHECKOUT: Final = Path(__file__).parents[2]
BRIDGE: Final = Path(sys.executable).with_name("bridge")
ENVIRONMENT: Final = "dev"
_FILE: Final = ("--file", str(CHECKOUT / "bridge.toml.example"), "--env", ENVIRONMENT)
_UP_WITHIN_SECONDS: Final = 60.0
_DOWN_WITHIN_SECONDS: Final = 40.0
_DONE_WITHIN_SECONDS: Final = 150.0


class RehearsalError(Exception):
    """The rehearsal itself could not go on; the message has what was shown."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    document: dict[str, Any]
    """What it printed as JSON; empty if it printed none."""
    shown: str
    """What a person saw beside it."""

    def statuses(self) -> dict[str, str]:
        """How each step of a rollout ended, by its ID."""
        return {step["id"]: step["status"] for step in self.document.get("steps", ())}

    def changed(self) -> list[str]:
        """The steps that changed something."""
        return [step for step, status in self.statuses().items() if status == "changed"]


@contextmanager
def running_clouds(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Empty clouds, once they have told where they are; ended in the end, whatever they say.

    Raises:
        RehearsalError: they did not come up.

    """
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BRIDGE, "clouds", "--folder", folder],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        is_up = becomes_true(
            lambda: (folder / "clouds.json").exists() or process.poll() is not None,
            within_seconds=_UP_WITHIN_SECONDS,
        )
        if not is_up or process.poll() is not None:
            raise RehearsalError(f"The clouds did not come up: {log.read_text()}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_DOWN_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def places(folder: Path) -> dict[str, Any]:
    """Where the clouds of the folder are."""
    document: dict[str, Any] = json.loads((folder / "clouds.json").read_text())
    return document


def deploy_line(folder: Path, *options: str) -> list[str]:
    """`bridge deploy` to the clouds of the folder."""
    return [str(BRIDGE), "deploy", "--local", "--folder", str(folder), *_FILE, "--json", *options]


def entra_line(folder: Path, *options: str) -> list[str]:
    """`bridge entra` on the tenant of the folder."""
    return [str(BRIDGE), "entra", "--local", "--folder", str(folder), *_FILE, "--json", *options]


def smoke_line(folder: Path, *options: str) -> list[str]:
    """`bridge smoke` of what is deployed to the clouds of the folder."""
    return [str(BRIDGE), "smoke", "--local", "--folder", str(folder), "--json", *options]


def run(line: Sequence[str]) -> Ended:
    """Run the command to its end."""
    return wait_for(start(line))


def start(line: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command, its output kept for whoever reads it."""
    return subprocess.Popen(
        line, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(process: subprocess.Popen[str]) -> Ended:
    """How a started command ended."""
    try:
        output, errors = process.communicate(timeout=_DONE_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        raise RehearsalError(f"A command did not end: {errors}") from None
    try:
        document = json.loads(output)
    except ValueError:
        document = {}
    return Ended(process.returncode, document, errors)


def kill_at(line: Sequence[str], step: str, after_seconds: float = 0.0) -> bool:
    """Run a rollout, and kill it when it shows the step, or so much later; whether that was it.

    It has no chance to put anything in order: SIGKILL.
    """
    process = start(line)
    assert process.stderr is not None
    assert process.stdout is not None
    try:
        was_shown = any(shown.startswith(f"  {step}:") for shown in process.stderr)
        if was_shown:
            time.sleep(after_seconds)
    finally:
        process.kill()
        code = process.wait()
        process.stderr.close()
        process.stdout.close()
    return was_shown and code < 0
