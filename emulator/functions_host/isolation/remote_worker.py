"""The host's end of a worker in a process of its own."""

import asyncio
import contextlib
import itertools
import logging
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.isolation.frames import (
    Failed,
    Invocation,
    Refused,
    Succeeded,
    read_frame,
    write_frame,
)
from emulator.functions_host.worker import (
    HttpCall,
    HttpResult,
    IndexedFunction,
    InvocationFailed,
    OutputWriter,
    TraceContext,
    TriggerMessage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

APP_PACKAGES: Final = ".python_packages/lib/site-packages"
"""Where Azure's worker looks for the app's dependencies."""
_CHECKOUT: Final = Path(__file__).resolve().parents[3]
_GUEST: Final = Path(__file__).with_name("guest.py")
_LONGEST_LINE: Final = 1 << 20
_ENDED_WITHIN_SECONDS: Final = 5.0
_APP_LOG = logging.getLogger("app")


class RemoteWorker:
    """The app, loaded once in another process; runs one invocation per call."""

    def __init__(
        self,
        functions: Sequence[IndexedFunction],
        outputs: OutputWriter,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Take the functions, what writes outputs, and the connection to the process."""
        self.functions = functions
        self._outputs = outputs
        self._writer = writer
        self._numbers = itertools.count()
        self._pending: dict[int, asyncio.Future[Succeeded]] = {}
        self._listening = asyncio.create_task(self._listen(reader))

    @property
    def running(self) -> int:
        """How many invocations are under way."""
        return len(self._pending)

    async def invoke_http(
        self, function: IndexedFunction, call: HttpCall, trace: TraceContext
    ) -> HttpResult:
        """Call an HTTP function and return its response.

        Raises:
            InvocationFailed: the function gave none.

        """
        result: HttpResult = await self._invoke("invoke_http", function, call, trace)
        return result

    async def invoke_timer(self, function: IndexedFunction, timer: Mapping[str, object]) -> None:
        """Run a timer-triggered function to its end.

        Raises:
            InvocationFailed: it did not succeed.

        """
        await self._invoke("invoke_timer", function, dict(timer))

    async def invoke_queue(self, function: IndexedFunction, message: TriggerMessage) -> None:
        """Run a queue-triggered function on a message, and write its outputs.

        Raises:
            InvocationFailed: it did not succeed.

        """
        await self._invoke("invoke_queue", function, message)

    async def wait_until_idle(self, seconds: float) -> bool:
        """Wait for the running invocations, and return whether all ended within that time."""
        if self._pending:
            await asyncio.wait(list(self._pending.values()), timeout=seconds)
        return not self._pending

    async def wait_until_ended(self) -> None:
        """Wait until the process has ended, which it does by itself only where it crashed."""
        await asyncio.shield(self._listening)

    async def close(self) -> None:
        """Let the process end."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening

    async def _invoke(self, kind: str, function: IndexedFunction, *arguments: object) -> Any:  # noqa: ANN401 - as the kind has it
        if self._listening.done():
            raise InvocationFailed("the worker's process has ended")
        number = next(self._numbers)
        ended: asyncio.Future[Succeeded] = asyncio.get_running_loop().create_future()
        self._pending[number] = ended
        # A caller that goes away does not stop the function, so its end is heard all the same.
        ended.add_done_callback(lambda done: self._forget(number, done))
        write_frame(self._writer, Invocation(number, kind, function.function_id, arguments))
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        succeeded = await asyncio.shield(ended)
        if succeeded.outputs:
            await self._outputs.write(function, succeeded.outputs)
        return succeeded.result

    def _forget(self, number: int, ended: "asyncio.Future[Succeeded]") -> None:
        self._pending.pop(number, None)
        if not ended.cancelled():
            # Looked at, because its caller may have gone away.
            ended.exception()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(EOFError):
            while True:
                frame = await read_frame(reader)
                ended = self._pending.get(frame.number)
                if ended is None or ended.done():
                    continue
                if isinstance(frame, Failed):
                    ended.set_exception(InvocationFailed(frame.reason))
                else:
                    ended.set_result(frame)
        for ended in list(self._pending.values()):
            if not ended.done():
                ended.set_exception(InvocationFailed("the worker's process has ended"))


@asynccontextmanager
async def isolated_worker(
    app_root: Path, function_timeout: float | None, outputs: OutputWriter
) -> "AsyncIterator[RemoteWorker]":
    """Load the app in a process that has its package and nothing else, until the block ends.

    What the process prints goes to the logger `app`, line by line.

    Raises:
        FunctionsHostError: the app has no packages of its own, or cannot be loaded or indexed.

    """
    packages = app_root / APP_PACKAGES
    if not packages.is_dir():
        raise FunctionsHostError(
            f"{packages} is missing; the app's package holds its dependencies there."
        )
    ours, theirs = socket.socketpair()
    timeout = "" if function_timeout is None else f"{function_timeout:g}"
    arguments = [_CHECKOUT, app_root, packages, theirs.fileno(), timeout]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", str(_GUEST), *map(str, arguments)),
        pass_fds=(theirs.fileno(),),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE,
    )
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    logging_task = asyncio.create_task(_log_lines(process.stdout))
    worker = None
    try:
        worker = RemoteWorker(await _first_frame(reader), outputs, reader, writer)
        yield worker
    finally:
        if worker is not None:
            await worker.close()
        else:
            writer.close()
        try:
            await asyncio.wait_for(process.wait(), _ENDED_WITHIN_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
        await logging_task


async def _first_frame(reader: asyncio.StreamReader) -> Sequence[IndexedFunction]:
    try:
        frame = await read_frame(reader)
    except EOFError:
        raise FunctionsHostError("the worker's process ended while it loaded the app.") from None
    if isinstance(frame, Refused):
        raise FunctionsHostError(frame.reason)
    functions: Sequence[IndexedFunction] = frame.functions
    return functions


async def _log_lines(stream: asyncio.StreamReader | None) -> None:
    assert stream is not None  # noqa: S101 - it was asked for
    is_too_long = False
    while True:
        try:
            line = await stream.readuntil()
        except asyncio.LimitOverrunError as error:
            await stream.readexactly(error.consumed)
            is_too_long = True
            continue
        except asyncio.IncompleteReadError as error:
            line = error.partial
        if is_too_long:
            # Not shown in parts, because half of a token would not be known for one.
            _APP_LOG.warning("(a line of more than %d bytes)", _LONGEST_LINE)
        elif line:
            _APP_LOG.info("%s", line.decode(errors="replace").rstrip("\n"))
        if not line.endswith(b"\n"):
            return
        is_too_long = False
