"""The worker's process: `python -I -S guest.py <checkout> <app> <packages> <socket> <time-out>`.

`-I -S` leaves the interpreter with its standard library only. In front comes what Azure's worker
puts there: the app's folder and the app's own packages. The checkout is on the path only while this
program loads its own parts, which are of `emulator` and import nothing else of ours; so `shared`,
Microsoft's worker library and every other import of the app come from its package, or fail.
"""

import asyncio
import importlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any


class _Collected:
    """Keeps what an invocation set for its outputs, for the host to write."""

    def __init__(self) -> None:
        self.by_task: dict[asyncio.Task[Any] | None, tuple[Any, ...]] = {}

    async def write(self, _function: object, outputs: tuple[Any, ...]) -> None:
        self.by_task[asyncio.current_task()] = tuple(outputs)


async def _serve(checkout: str, app_root: Path, descriptor: int, seconds: float | None) -> None:
    sys.path.append(checkout)
    frames = importlib.import_module("emulator.functions_host.isolation.frames")
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    collected = _Collected()
    try:
        loading = importlib.import_module("emulator.functions_host.worker").load_worker
        sys.path.remove(checkout)
        worker = await loading(app_root, seconds, collected)
    except Exception as error:  # noqa: BLE001 - the host says it, and ends
        frames.write_frame(writer, frames.Refused(f"{type(error).__name__}: {error}"))
        await writer.drain()
        return
    functions = {function.function_id: function for function in worker.functions}
    frames.write_frame(writer, frames.Ready(tuple(functions.values())))

    async def invoke(asked: Any) -> None:  # noqa: ANN401 - frames.Invocation
        task = asyncio.current_task()
        try:
            method = getattr(worker, asked.kind)
            result = await method(functions[asked.function_id], *asked.arguments)
            outputs = collected.by_task.pop(task, ())
            ended = frames.Succeeded(asked.number, result, outputs)
            frames.write_frame(writer, ended)
        except Exception as error:  # noqa: BLE001 - the host tells the caller
            frames.write_frame(writer, frames.Failed(asked.number, str(error)))
        await writer.drain()

    running: set[asyncio.Task[None]] = set()
    while True:
        try:
            asked = await frames.read_frame(reader)
        except EOFError:
            return
        task = asyncio.create_task(invoke(asked))
        running.add(task)
        task.add_done_callback(running.discard)


def main() -> None:
    """Serve the app until the host closes the socket."""
    checkout, app_root, packages, descriptor, timeout = sys.argv[1:]
    # The host decides when this ends, after it has let what runs finish.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # In place of this file's own folder, which an interpreter with -I does not add.
    sys.path[:0] = [app_root, packages]
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("azure.functions").setLevel(logging.WARNING)
    seconds = float(timeout) if timeout else None
    asyncio.run(_serve(checkout, Path(app_root), int(descriptor), seconds))


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # A function stuck in a thread would hold the interpreter open for ever.
        os._exit(0)
