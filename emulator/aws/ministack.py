"""MiniStack as a process of ours: AWS's APIs on one loopback port."""

import http.client
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from emulator.loopback import LOOPBACK, find_free_port, is_port_free
from emulator.tied_process import start_tied_process, stop_tied_process
from shared.clock import Clock

REGION: Final = "eu-west-1"
"""The one region that the local AWS plays."""

_READY_WITHIN_SECONDS: Final = 30.0
_STOPPED_WITHIN_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02


class MinistackError(Exception):
    """MiniStack could not be started; the message says what to change."""

    code = "ministack_unavailable"


@dataclass(frozen=True, slots=True)
class MinistackPrograms:
    """The two Python environments that `make install` sets up for the local AWS."""

    ministack_python: Path
    """The interpreter that has MiniStack."""
    lambda_python: Path
    """The interpreter that has AWS's Lambda runtime client, and nothing else."""

    @classmethod
    def under(cls, tools: Path) -> Self:
        """Return the programs in the checkout's `.tools`.

        Raises:
            MinistackError: one of them is not installed.

        """
        programs = cls(
            ministack_python=tools.absolute() / "ministack" / "bin" / "python",
            lambda_python=tools.absolute() / "lambda-runtime" / "bin" / "python",
        )
        for python in (programs.ministack_python, programs.lambda_python):
            if not python.exists():
                raise MinistackError(f"{python} is missing; run: make install")
        return programs


@dataclass(frozen=True, slots=True)
class Ministack:
    """A running MiniStack. It ends with `stop`, and with this process however that ends."""

    endpoint_url: str
    port: int
    log_file: Path
    """What MiniStack itself writes."""
    lambda_log_file: Path
    """What the Lambda functions write, all of them, in the order of writing."""
    access_log_file: Path
    """What the gateway writes: one line a request, in the format of the request's stage."""
    _process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        programs: MinistackPrograms,
        folder: Path,
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        port: int | None = None,
        held_open: Sequence[int] = (),
    ) -> Self:
        """Start MiniStack and return it once it responds, with nothing deployed.

        Everything that it writes stays in `folder`: `ministack.log`, `lambda.log`, `access.log` and
        its temporary files. Neither it nor the functions see this process's environment. The file
        descriptors `held_open` stay open until the last of them has ended.

        Raises:
            MinistackError: the port is taken, or MiniStack did not come up within 30 seconds.

        """
        chosen_port = find_free_port() if port is None else port
        _check_port_is_free(chosen_port)
        endpoint_url = f"http://{LOOPBACK}:{chosen_port}"
        scratch = folder.absolute() / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        log_file = folder.absolute() / "ministack.log"
        lambda_log_file = folder.absolute() / "lambda.log"
        lambda_log_file.touch()
        access_log_file = folder.absolute() / "access.log"
        access_log_file.touch()
        environment = {
            "PATH": os.defpath,
            "HOME": str(scratch),  # so that no function finds the developer's ~/.aws
            "TMPDIR": str(scratch),
            "BIND_HOST": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,
            "GATEWAY_PORT": str(chosen_port),
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            # What the functions get beside their own variables.
            "AWS_ENDPOINT_URL": endpoint_url,
            "LOCAL_LAMBDA_PYTHON": str(programs.lambda_python),
            "LOCAL_LAMBDA_LOG": str(lambda_log_file),
        }
        launcher = Path(__file__).with_name("launcher.py")
        with log_file.open("ab") as log:
            process = start_tied_process(
                [programs.ministack_python, "-I", launcher, access_log_file],
                cwd=scratch,
                environment=environment,
                log=log,
                held_open=held_open,
            )
        ministack = cls(
            endpoint_url, chosen_port, log_file, lambda_log_file, access_log_file, process
        )
        try:
            ministack._wait_until_ready(clock, sleep)
        except BaseException:
            ministack.stop()
            raise
        return ministack

    def _wait_until_ready(self, clock: Clock, sleep: Callable[[float], None]) -> None:
        give_up_at = clock.monotonic() + _READY_WITHIN_SECONDS
        while not _is_ready(self.port):
            if self._process.poll() is not None:
                raise MinistackError(f"MiniStack ended while starting; see {self.log_file}")
            if clock.monotonic() >= give_up_at:
                raise MinistackError(
                    f"MiniStack did not answer within {_READY_WITHIN_SECONDS:.0f} seconds; "
                    f"see {self.log_file}"
                )
            sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End MiniStack and its functions. Stopping twice is harmless."""
        stop_tied_process(self._process, _STOPPED_WITHIN_SECONDS)


def _check_port_is_free(port: int) -> None:
    if not is_port_free(port):
        raise MinistackError(
            f"port {port} on {LOOPBACK} is taken; stop what listens there or choose another "
            "port for the local AWS"
        )


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5.0)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
