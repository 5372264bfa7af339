"""Puts the host together, runs it until it is told to stop, and lets what is running finish."""

import asyncio
import logging
import socket
import sys
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import HostJson, load_host_json
from emulator.functions_host.http_front import (
    Admission,
    HttpFront,
    build_http_front,
    build_routes,
)
from emulator.functions_host.routes import HttpRoute
from emulator.functions_host.settings import apply_settings, load_local_settings
from emulator.functions_host.timers import (
    FileScheduleMonitor,
    TimerListener,
    TimerTrigger,
    parse_timer,
    run_timer,
)
from emulator.functions_host.worker import (
    HTTP_TRIGGER,
    TIMER_TRIGGER,
    IndexedFunction,
    Worker,
    load_worker,
)
from emulator.loopback import LOOPBACK, bind_listener
from shared.clock import Clock
from shared.log import redacted

_LOG = logging.getLogger("host")


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
        worker = _only_wanted(
            await load_worker(options.app_root, host_json.function_timeout), host_json
        )
        routes = build_routes(worker.functions, host_json.route_prefix)
        now = datetime.fromtimestamp(clock.now(), UTC)
        timers = [
            parse_timer(function, environment, now)
            for function in worker.functions
            if function.trigger["type"] == TIMER_TRIGGER
        ]
        _check_triggers(worker.functions)
        return await _serve(options, listener, (worker, host_json, routes, timers), clock, stop)


async def _serve(
    options: HostOptions,
    listener: socket.socket,
    parts: tuple[Worker, HostJson, Sequence[HttpRoute], Sequence[TimerTrigger]],
    clock: Clock,
    stop: asyncio.Event,
) -> bool:
    worker, host_json, routes, timers = parts
    requested: set[asyncio.Task[None]] = set()

    def run_now(function: IndexedFunction) -> None:
        # As in the real host, a run on request does not wait for the timer's own.
        task = asyncio.create_task(
            run_timer(function, worker.invoke_timer, None, reason="on request")
        )
        requested.add(task)
        task.add_done_callback(requested.discard)

    front = HttpFront(worker, host_json, routes, run_now, Admission.under(host_json))
    runner = web.AppRunner(build_http_front(front), access_log=None, shutdown_timeout=options.grace)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    monitor = FileScheduleMonitor(options.state_folder)
    listeners = [TimerListener(t, worker.invoke_timer, monitor, clock) for t in timers]
    listening = [listener.start() for listener in listeners]
    url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    _say(_describe(url, worker.functions, routes, timers))

    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *listening], return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        stopped.cancel()
        _LOG.critical("a timer's listener ended; the host stops")
    _LOG.info("Stopping; %d invocations are under way", worker.running)
    for timer_listener in listeners:
        timer_listener.stop()
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


def _only_wanted(worker: Worker, host_json: HostJson) -> Worker:
    if host_json.functions is not None:
        worker.functions = [f for f in worker.functions if f.name.lower() in host_json.functions]
    return worker


def _check_triggers(functions: Sequence[IndexedFunction]) -> None:
    for function in functions:
        kind = function.trigger["type"]
        if kind not in {HTTP_TRIGGER, TIMER_TRIGGER}:
            raise FunctionsHostError(
                f"{function.name} has a {kind}, which this host does not serve; it knows HTTP and "
                "timer triggers. Install Azure Functions Core Tools to run it."
            )


def _describe(
    origin: str,
    functions: Sequence[IndexedFunction],
    routes: Sequence[HttpRoute],
    timers: Sequence[TimerTrigger],
) -> str:
    addresses = {route.function_name: route for route in routes}
    schedules = {timer.function.name: timer for timer in timers}
    lines = ["\nFunctions:\n"]
    for function in sorted(functions, key=lambda function: function.name.lower()):
        if function.name in addresses:
            route = addresses[function.name]
            methods = ",".join(sorted(route.methods)) if route.methods else "ALL"
            lines.append(f"\t{function.name}: [{methods}] {origin}/{route.template.text}\n")
        else:
            schedule = schedules[function.name].schedule.expression
            lines.append(f"\t{function.name}: timerTrigger ({schedule})\n")
    return "\n".join([*lines, f"Run a timer now: curl -X POST {origin}/admin/functions/<name>\n"])


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
