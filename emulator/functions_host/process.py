"""Starts a Functions host as a process of its own: Core Tools where they are, else the emulator.

Imports only the standard library, because it runs beside the app's environment, not in it.
"""

import asyncio
import json
import os
import shutil
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, assert_never

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.settings import inherited_environment
from emulator.loopback import LOOPBACK, find_free_port
from emulator.tied_process import start_tied_process, stop_tied_process
from shared.clock import Clock, SystemClock

if TYPE_CHECKING:
    import subprocess

FUNC: Final = "func"
"""The program of Azure Functions Core Tools."""
HostKind = Literal["auto", "emulated", "core-tools"]
_Chosen = Literal["emulated", "core-tools"]
Sleep = Callable[[float], Awaitable[object]]
_REPO_ROOT: Final = Path(__file__).resolve().parents[2]
_POLL: Final = 0.1
_LOG_TAIL: Final = 20


@dataclass(frozen=True, slots=True)
class PackageRun:
    """How an unpacked package runs: its own dependencies and no others, its routes by key."""

    keys_file: Path
    """A JSON file with the keys, as `master` and `function`."""
    master_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FunctionsHostProcess:
    """A running Functions host."""

    kind: _Chosen
    url: str
    """The origin, without the route prefix."""
    log_file: Path
    _status_headers: Mapping[str, str] = field(repr=False)
    _process: "subprocess.Popen[bytes]" = field(repr=False)
    _clock: Clock = field(repr=False)
    _sleep: Sleep = field(repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether the host has ended, by itself or because it was stopped."""
        return self._process.poll() is not None

    @property
    def pid(self) -> int:
        """The ID of the process that passes signals on to the host."""
        return self._process.pid

    async def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until the host serves its functions.

        Raises:
            FunctionsHostError: it ended, or was not ready within that many seconds; the message
                ends with the last lines of its log.

        """
        deadline = self._clock.monotonic() + seconds
        while not await asyncio.to_thread(self._is_running):
            if (code := self._process.poll()) is not None:
                raise FunctionsHostError(
                    f"the Functions host ended with code {code}; {self._log_tail()}"
                )
            if self._clock.monotonic() > deadline:
                raise FunctionsHostError(
                    f"the Functions host was not ready within {seconds:g} s; {self._log_tail()}"
                )
            await self._sleep(_POLL)

    def stop(self, grace: float = 30.0) -> int:
        """End the host and everything that it started, and return its exit code.

        Args:
            grace: seconds that it gets to let running invocations finish, before it is killed.

        """
        return stop_tied_process(self._process, grace)

    def _is_running(self) -> bool:
        request = urllib.request.Request(  # noqa: S310 - http on loopback
            f"{self.url}/admin/host/status", headers=dict(self._status_headers)
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as response:  # noqa: S310 - the same
                return bool(json.load(response).get("state") == "Running")
        except (OSError, ValueError):
            return False

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
        return f"its log, {self.log_file}, ends with:\n" + "\n".join(lines)


async def start_functions_host(  # noqa: PLR0913 - each a separate fact about the process to start
    app_root: Path,
    python: Path,
    port: int,
    environment: Mapping[str, str],
    log_file: Path,
    *,
    kind: HostKind = "auto",
    held_open: Sequence[int] = (),
    message_lease: int | None = None,
    package: PackageRun | None = None,
    clock: Clock | None = None,
    sleep: Sleep = asyncio.sleep,
) -> FunctionsHostProcess:
    """Start a Functions host, and return it once it serves the app; call `stop` in the end.

    Args:
        app_root: the app's root folder.
        python: the interpreter of the environment that the app ships with.
        port: where it listens, on loopback; 0 takes a free port.
        environment: the app settings. Of the caller's own environment only what finds programs
            and the home folder is handed on. Core Tools add what the app's local.settings.json
            says beyond these, and need AzureWebJobsStorage here for timers.
        log_file: gets everything that the host and the app write; beside it the emulated host
            keeps the timers' status.
        kind: `auto` takes Core Tools where `func` is on the PATH.
        held_open: file descriptors that stay open until the last of the host has ended.
        message_lease: seconds until a queue message of a host that died is visible again, where
            the emulated host runs; by default as in Azure, ten minutes.
        package: how the emulated host runs an unpacked package as Azure does; None runs the app
            with the packages of `python`'s environment, and lets everybody in.
        clock: measures the time-outs.
        sleep: waits between two looks.

    Raises:
        FunctionsHostError: Core Tools are asked for and not there, the interpreter is not there,
            or the host did not become ready.

    """
    port = port or find_free_port()
    chosen, process = _launch(
        app_root,
        python,
        port,
        environment,
        log_file,
        kind,
        held_open=held_open,
        message_lease=message_lease,
        package=package,
    )
    host = FunctionsHostProcess(
        chosen,
        f"http://{LOOPBACK}:{port}",
        log_file,
        {} if package is None else {"x-functions-key": package.master_key},
        process,
        clock or SystemClock(),
        sleep,
    )
    try:
        await host.wait_ready()
    except BaseException:
        host.stop(grace=0)
        raise
    return host


def _launch(  # noqa: PLR0913 - as above
    app_root: Path,
    python: Path,
    port: int,
    environment: Mapping[str, str],
    log_file: Path,
    kind: HostKind,
    *,
    held_open: Sequence[int],
    message_lease: int | None,
    package: PackageRun | None,
) -> tuple[_Chosen, "subprocess.Popen[bytes]"]:
    settings = inherited_environment() | dict(environment)
    settings.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    chosen, arguments = _choose(kind, settings, python, port)
    if not python.exists():
        raise FunctionsHostError(
            f"{python} is missing; `make install` sets up the app's environment."
        )
    log_file.parent.mkdir(parents=True, exist_ok=True)
    match chosen:
        case "emulated":
            arguments += ["--app", str(app_root), "--state", str(log_file.with_suffix(".timers"))]
            if message_lease is not None:
                arguments += ["--message-lease", str(message_lease)]
            if package is not None:
                arguments += ["--own-packages", "--keys", str(package.keys_file)]
        case "core-tools":
            pass  # they take the folder that they start in
        case _:
            assert_never(chosen)
    with log_file.open("wb") as log:
        process = start_tied_process(
            arguments, cwd=app_root, environment=settings, log=log, held_open=held_open
        )
    return chosen, process


def _choose(
    kind: HostKind, settings: dict[str, str], python: Path, port: int
) -> tuple[_Chosen, list[str]]:
    func = shutil.which(FUNC, path=settings.get("PATH"))
    match kind:
        case "emulated":
            return _emulated(settings, python, port)
        case "core-tools":
            if func is None:
                raise FunctionsHostError(
                    "Azure Functions Core Tools are not there: no `func` on the PATH."
                )
            return _core_tools(func, settings, python, port)
        case "auto":
            if func is None:
                return _emulated(settings, python, port)
            return _core_tools(func, settings, python, port)
        case _:
            assert_never(kind)


def _core_tools(
    func: str, settings: dict[str, str], python: Path, port: int
) -> tuple[_Chosen, list[str]]:
    # Core Tools take the interpreter of the active virtual environment.
    settings["VIRTUAL_ENV"] = str(python.parent.parent)
    settings["PATH"] = os.pathsep.join([str(python.parent), settings.get("PATH", "")])
    settings["FUNCTIONS_CORE_TOOLS_TELEMETRY_OPTOUT"] = "1"
    return "core-tools", [func, "start", "--port", str(port)]


def _emulated(settings: dict[str, str], python: Path, port: int) -> tuple[_Chosen, list[str]]:
    settings["PYTHONPATH"] = str(_REPO_ROOT)
    settings["PYTHONUNBUFFERED"] = "1"
    host = [str(python), "-m", "emulator.functions_host", "--ignore-local-settings"]
    return "emulated", [*host, "--port", str(port)]
