"""The process that a run is: forked from one that has everything imported, and ended at will.

`python -m tests.crash_matrix.run_process FD` waits at that socket for what to run, one JSON object
a line, forks a process for each, and says its ID. It ends when the socket's other end is closed,
and takes its children along.
"""

import asyncio
import ctypes
import json
import logging
import os
import pickle
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

from azure_function_app import bootstrap
from azure_function_app.errors import BridgeError
from azure_function_app.fan_out.sharded_sync import ShardedSync
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.settings import load_settings
from azure_function_app.stores import configured_store, sqlite_store, table_records
from azure_function_app.stores.postgres import records as postgres_records
from azure_function_app.stores.postgres import store as postgres_store
from azure_function_app.stores.table_store import build_table_store
from azure_function_app.sync.checkpoint_store import SyncStatus
from shared.clock import SystemClock
from shared.log import JsonLines
from tests.crash_matrix.file_points import FileFault, FilePoints
from tests.crash_matrix.folder_queue import FolderQueue
from tests.crash_matrix.mutants import apply_mutant

_SET_PDEATHSIG: Final = 1
"""PR_SET_PDEATHSIG, of linux/prctl.h."""
_MOST_TICKS: Final = 12

type _Ending = tuple[str, str | None, int]
"""Status, error code, and how many records were changed."""


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a process is to run."""

    environment: Mapping[str, str]
    """The app's settings."""
    folder: str
    """Where to leave what came of it."""
    prefix: str = "bridge"
    """Of the names of tables, or the name of the schema."""
    stretch: int = 0
    """How many records a sweep takes at a time; 0 for as many as the product does."""
    invocation: str = "whole_feed"
    queue: str = ""
    """The folder of the queue that processes share."""
    runs_again: bool = False
    """Whether a second run follows, in the same process, if the first one is complete."""
    mutant: str | None = None
    file_fault: FileFault | None = None
    file_point: int = 0
    largest_file: int = 0
    """Bytes that a file may have; 0 for no limit."""

    @property
    def result(self) -> Path:
        """Return the file that holds what came of the run, if it came to its end."""
        return Path(self.folder, "result")

    @property
    def notice(self) -> Path:
        """Return the file that says that the file point was reached."""
        return Path(self.folder, "notice")


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended that came to its end."""

    status: str
    error_code: str | None
    changed: int
    files: tuple[str, ...]
    """SQLite's file operations, in their order."""
    again: tuple[str, str | None, int] | None = None
    """How the second run ended, and what it changed."""


async def _read_whole_feed(services: bootstrap.Services, _queue: FolderQueue) -> _Ending:
    report = await services.sync_job.run()
    return report.status, report.error_code, report.records_changed


async def _read_shards(services: bootstrap.Services, queue: FolderQueue) -> _Ending:
    """Tick and work on messages in turn, as an instance does, until nothing is left."""
    sync = services.sharded_sync
    assert sync is not None
    changed = 0
    for _ in range(_MOST_TICKS):
        for file, message in queue.waiting():
            changed += await _work_on(sync, message, queue)
            queue.done(file)
        sent: list[str] = []
        planned = await sync.tick(sent.extend)
        queue.send(sent)
        if planned.status is SyncStatus.COMPLETE and not any(queue.waiting()):
            return planned.status, planned.error_code, changed
    return SyncStatus.PAUSED, None, changed


async def _work_on(sync: ShardedSync, message: bytes, queue: FolderQueue) -> int:
    left: list[str] = []
    report = await sync.work(message, left.extend)
    # The host sends what a function leaves once it has ended well.
    queue.send(left)
    return 0 if report is None else report.records_changed


INVOCATIONS: Final = {"whole_feed": _read_whole_feed, "fan_out": _read_shards}
"""The ways in which the product runs a sync; a scenario names one."""


def serve(connection: socket.socket) -> None:
    """Fork a process for each order, until the other end is closed."""
    # Nobody waits for them, so the kernel shall not keep them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with connection.makefile("r") as orders:
        for line in orders:
            process_id = os.fork()
            if process_id == 0:
                _run_and_end(RunOrder(**json.loads(line)))
            connection.sendall(f"{process_id}\n".encode())


def _run_and_end(order: RunOrder) -> None:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
        log = os.open(Path(order.folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        result = _run(order)
        unfinished = order.result.with_suffix(".unfinished")
        unfinished.write_bytes(pickle.dumps(asdict(result)))
        unfinished.rename(order.result)
        code = 0
    except BaseException:
        logging.getLogger(__name__).exception("the run broke")
    finally:
        os._exit(code)


def _run(order: RunOrder) -> RunResult:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    logging.getLogger("azure_function_app").setLevel(logging.INFO)
    token = AccessToken("a.b.c", SystemClock().now() + 3600)
    # What is asked of Entra ID is not the subject.
    for asking in (bootstrap, configured_store):
        mock.patch.object(asking, "request_token", return_value=token).start()
    # Nothing here is asked over TLS, and reading all authorities would be a third of a run's work.
    no_authorities = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for asking in (bootstrap, configured_store):
        mock.patch.object(asking, "build_tls_context", return_value=no_authorities).start()
    mock.patch.object(
        configured_store, "build_table_store", partial(build_table_store, prefix=order.prefix)
    ).start()
    mock.patch.object(
        postgres_store,
        "build_postgres_store",
        partial(postgres_store.build_postgres_store, schema=order.prefix),
    ).start()
    if order.stretch:
        for module, name in (
            (sqlite_store, "_COUNTED"),
            (sqlite_store, "_MARKED"),
            (postgres_records, "_COUNTED"),
            (postgres_records, "_MARKED"),
            (table_records, "_COUNTED"),
            (table_records, "BATCH_OPERATIONS"),
        ):
            mock.patch.object(module, name, order.stretch).start()
    if order.mutant:
        apply_mutant(order.mutant)
    points = FilePoints(order.file_fault, order.file_point, order.notice)
    points.install()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if order.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.largest_file, most))
    try:
        (status, code, changed), again = asyncio.run(_sync(order))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    return RunResult(status, code, changed, tuple(points.seen), again)


async def _sync(order: RunOrder) -> tuple[_Ending, _Ending | None]:
    settings = load_settings(order.environment)
    app = bootstrap.ServicesPerLoop(lambda: settings, SystemClock())
    run: Any = INVOCATIONS[order.invocation]
    try:
        services, queue = await app.get(), FolderQueue(Path(order.queue))
        first: _Ending = await run(services, queue)
        if not order.runs_again or first[0] != SyncStatus.COMPLETE:
            return first, None
        return first, await run(services, queue)
    except BridgeError as error:
        return ("failed", error.code, 0), None


def read_result(order: RunOrder) -> RunResult | None:
    """Return what came of the run; None if it was ended before."""
    if not order.result.exists():
        return None
    return RunResult(**pickle.loads(order.result.read_bytes()))  # noqa: S301 - written by us


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
