"""Puts the host together, runs it until it is told to stop, and lets what is running finish."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, MutableMapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import HostJson, load_host_json
from emulator.functions_host.http_front import (
    Admission,
    HttpFront,
    build_http_front,
    build_routes,
)
from emulator.functions_host.isolation.remote_worker import isolated_worker
from emulator.functions_host.keys import HostKeys
from emulator.functions_host.queue_listener import (
    QueueListener,
    QueueTrigger,
    connect_trigger,
    describe_input,
    run_on_message,
)
from emulator.functions_host.queue_outputs import QueueOutputs
from emulator.functions_host.routes import HttpRoute
from emulator.functions_host.settings import apply_settings, load_local_settings
from emulator.functions_host.storage_queue import QueueConnections
from emulator.functions_host.timers import (
    FileScheduleMonitor,
    TimerListener,
    TimerTrigger,
    parse_timer,
    run_timer,
)
from emulator.functions_host.worker import (
    HTTP_TRIGGER,
    QUEUE_OUTPUT,
    QUEUE_TRIGGER,
    TIMER_TRIGGER,
    AppWorker,
    IndexedFunction,
    OutputWriter,
    load_worker,
)
from emulator.loopback import LOOPBACK, bind_listener
from shared.clock import Clock
from shared.log import redacted

_LOG = logging.getLogger("host")
MESSAGE_LEASE: Final = 600
"""What the real host asks for, whatever host.json says."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What the command line says."""

    app_root: Path
    port: int
    settings_file: Path | None
    """A local.settings.json; None takes only the environment."""
    state_folder: Path
    """Where the timers' status is kept."""
    grace: float
    """Seconds that running invocations get to finish when the host is stopped."""
    message_lease: int = MESSAGE_LEASE
    """Seconds for which a queue message is this host's, from each renewal on."""
    is_isolated: bool = False
    """Whether the app runs in a process that has its own packages and nothing else."""
    keys: HostKeys | None = None
    """What callers must show; None lets everybody in."""


@dataclass(frozen=True, slots=True)
class _App:
    worker: AppWorker
    host_json: HostJson
    routes: Sequence[HttpRoute]
    timers: Sequence[TimerTrigger]
    queues: Sequence[QueueTrigger]


class _StdoutLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = f"[{moment:%Y-%m-%dT%H:%M:%S}.{record.msecs:03.0f}Z] {super().format(record)}"
        # An exception of the app may carry what it was called with.
        return redacted(line)


def configure_logging() -> None:
    """Send what the app and the worker log to stdout, as the real host shows it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_StdoutLines("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # The worker library tells at INFO what it indexed; the list of functions says it better.
    logging.getLogger("azure.functions").setLevel(logging.WARNING)
    # One of the queue service's client for each of its requests.
    logging.getLogger("host.storage").setLevel(logging.WARNING)


async def run_host(
    options: HostOptions,
    environment: MutableMapping[str, str],
    clock: Clock,
    stop: asyncio.Event,
) -> bool:
    """Serve the app until `stop` is set, and return whether all invocations then finished.

    Raises:
        FunctionsHostError: the host cannot start.

    """
    with _bound_socket(options.port) as listener:
        port = listener.getsockname()[1]
        _load_settings(options, port, environment)
        host_json = load_host_json(options.app_root)
        async with AsyncExitStack() as running:
            connections = await running.enter_async_context(QueueConnections(environment))
            outputs = QueueOutputs(connections, environment, host_json.queues.message_encoding)
            worker = _only_wanted(
                await running.enter_async_context(_running_worker(options, host_json, outputs)),
                host_json,
            )
            _check_bindings(worker.functions)
            now = datetime.fromtimestamp(clock.now(), UTC)
            app = _App(
                worker,
                host_json,
                build_routes(worker.functions, host_json.route_prefix),
                [parse_timer(f, environment, now) for f in _triggered(worker, TIMER_TRIGGER)],
                [
                    connect_trigger(f, connections, environment)
                    for f in _triggered(worker, QUEUE_TRIGGER)
                ],
            )
            return await _serve(options, listener, app, clock, stop)


@asynccontextmanager
async def _running_worker(
    options: HostOptions, host_json: HostJson, outputs: OutputWriter
) -> AsyncIterator[AppWorker]:
    if not options.is_isolated:
        yield await load_worker(options.app_root, host_json.function_timeout, outputs)
        return
    async with isolated_worker(options.app_root, host_json.function_timeout, outputs) as worker:
        yield worker


def _triggered(worker: AppWorker, kind: str) -> list[IndexedFunction]:
    return [function for function in worker.functions if function.trigger["type"] == kind]


async def _serve(
    options: HostOptions, listener: socket.socket, app: _App, clock: Clock, stop: asyncio.Event
) -> bool:
    worker, host_json = app.worker, app.host_json
    requested: set[asyncio.Task[object]] = set()

    def run_now(function: IndexedFunction, given: object) -> None:
        # As in the real host, a run on request does not wait for the trigger's own.
        running: Coroutine[None, None, object]
        if function.trigger["type"] == QUEUE_TRIGGER:
            running = run_on_message(function, worker.invoke_queue, describe_input(given))
        else:
            running = run_timer(function, worker.invoke_timer, None, reason="on request")
        task: asyncio.Task[object] = asyncio.create_task(running)
        requested.add(task)
        task.add_done_callback(requested.discard)

    front = HttpFront(
        worker, host_json, app.routes, run_now, Admission.under(host_json), options.keys
    )
    runner = web.AppRunner(build_http_front(front), access_log=None, shutdown_timeout=options.grace)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    monitor = FileScheduleMonitor(options.state_folder)
    listeners: list[TimerListener | QueueListener] = [
        TimerListener(timer, worker.invoke_timer, monitor, clock) for timer in app.timers
    ]
    listeners += [
        QueueListener(queue, worker.invoke_queue, host_json.queues, options.message_lease)
        for queue in app.queues
    ]
    listening = [listener.start() for listener in listeners]
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    _say(_describe(url, app))

    stopped = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(worker.wait_until_ended())
    await asyncio.wait([stopped, ended, *listening], return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        stopped.cancel()
        what = "the worker's process" if ended.done() else "a trigger's listener"
        _LOG.critical("%s ended; the host stops", what)
    ended.cancel()
    _LOG.info("Stopping; %d invocations are under way", worker.running)
    for trigger_listener in listeners:
        trigger_listener.stop()
    ending = [asyncio.create_task(runner.cleanup()), *listening, *requested]
    await asyncio.wait(ending, timeout=options.grace)
    is_idle = await worker.wait_until_idle(0) and stop.is_set()
    if is_idle:
        await asyncio.gather(*ending, return_exceptions=True)
    else:
        _LOG.error("%d invocations did not finish within %g s", worker.running, options.grace)
    return is_idle


def _bound_socket(port: int) -> socket.socket:
    try:
        return bind_listener(port)
    except OSError:
        raise FunctionsHostError(
            f"port {port} on {LOOPBACK} is taken; stop what uses it, or choose another with --port."
        ) from None


def _load_settings(options: HostOptions, port: int, environment: MutableMapping[str, str]) -> None:
    values = load_local_settings(options.settings_file) if options.settings_file else {}
    for name in apply_settings(values, port, options.app_root, environment):
        _say(f"Skipping '{name}' from local settings: the environment has a value of its own.\n")


def _only_wanted(worker: AppWorker, host_json: HostJson) -> AppWorker:
    if host_json.functions is not None:
        worker.functions = [f for f in worker.functions if f.name.lower() in host_json.functions]
    return worker


def _check_bindings(functions: Sequence[IndexedFunction]) -> None:
    for function in functions:
        kind = function.trigger["type"]
        if kind not in {HTTP_TRIGGER, TIMER_TRIGGER, QUEUE_TRIGGER}:
            raise FunctionsHostError(
                f"{function.name} has a {kind}, which this host does not serve; it knows HTTP, "
                "timer and queue triggers. Install Azure Functions Core Tools to run it."
            )
        for name, binding in function.outputs.items():
            if binding["type"] != QUEUE_OUTPUT:
                raise FunctionsHostError(
                    f"{function.name} has {name}, a binding of type {binding['type']}, which this "
                    "host does not serve; beside triggers it knows queue outputs. Install Azure "
                    "Functions Core Tools to run it."
                )


def _describe(origin: str, app: _App) -> str:
    addresses = {route.function_name: route for route in app.routes}
    others = {t.function.name: f"timerTrigger ({t.schedule.expression})" for t in app.timers}
    others |= {q.function.name: f"queueTrigger ({q.queue.name})" for q in app.queues}
    lines = ["\nFunctions:\n"]
    for function in sorted(app.worker.functions, key=lambda function: function.name.lower()):
        if function.name in addresses:
            route = addresses[function.name]
            methods = ",".join(sorted(route.methods)) if route.methods else "ALL"
            lines.append(f"\t{function.name}: [{methods}] {origin}/{route.template.text}\n")
        else:
            lines.append(f"\t{function.name}: {others[function.name]}\n")
    return "\n".join([*lines, f"Run a timer now: curl -X POST {origin}/admin/functions/<name>\n"])


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
