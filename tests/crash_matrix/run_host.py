"""Starts runs as processes of their own, and kills, freezes and wakes them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.crash_matrix.run_process import RunOrder, RunResult, read_result

_CHECKOUT: Final = Path(__file__).parents[2]
_LONGEST_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.002


class Run:
    """A run under way, or over."""

    def __init__(self, order: RunOrder, process_id: int) -> None:
        """Take what it does, and its process."""
        self.order = order
        self.process_id = process_id
        self._handle: int | None = None
        try:
            self._handle = os.pidfd_open(process_id)
        except ProcessLookupError:
            return

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        if self._handle is not None:
            try:
                signal.pidfd_send_signal(self._handle, number)
            except ProcessLookupError:
                return

    async def kill(self) -> None:
        """End it as by `kill -9`."""
        self.send(signal.SIGKILL)
        await self.wait()

    async def freeze(self) -> None:
        """Let none of its threads go on."""
        self.send(signal.SIGSTOP)
        await self.wait_until_frozen()

    async def wait_until_frozen(self) -> None:
        """Return when it stands still, or is over."""
        while _state(self.process_id) not in {"T", None}:  # noqa: ASYNC110 - another process
            await asyncio.sleep(_POLL_SECONDS)

    def wake(self) -> None:
        """Let a frozen one go on."""
        self.send(signal.SIGCONT)

    async def wait(self) -> RunResult | None:
        """Return what came of it when it is over; None if it was ended before.

        Raises:
            TimeoutError: it has not ended.

        """
        if self._handle is not None:
            loop = asyncio.get_running_loop()
            over: asyncio.Future[None] = loop.create_future()
            handle = os.dup(self._handle)

            def tell() -> None:
                if not over.done():
                    over.set_result(None)

            loop.add_reader(handle, tell)
            try:
                async with asyncio.timeout(_LONGEST_SECONDS):
                    await over
            except TimeoutError:
                self.send(signal.SIGKILL)
                raise
            finally:
                loop.remove_reader(handle)
                os.close(handle)
        return read_result(self.order)

    def close(self) -> None:
        """End it if it is not over, and forget it."""
        self.send(signal.SIGKILL)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _state(process_id: int) -> str | None:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class RunHost:
    """Has a process that has imported everything, which forks the runs."""

    def __init__(self) -> None:
        """Start it."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash_matrix.run_process", str(theirs.fileno())],
                cwd=_CHECKOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._answers = self._socket.makefile("r")

    def start(self, order: RunOrder) -> Run:
        """Start a run."""
        Path(order.folder).mkdir(parents=True, exist_ok=True)
        self._socket.sendall(json.dumps(asdict(order)).encode() + b"\n")
        return Run(order, int(self._answers.readline()))

    def close(self) -> None:
        """End it, and with it every run."""
        self._answers.close()
        self._socket.close()
        self._process.wait()
