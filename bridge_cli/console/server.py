"""Serves the console on loopback: the page, its files, the stream of what happens, the buttons."""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bridge_cli.console.audience import Audience, AudienceFullError, Member
from bridge_cli.console.authorizer_view import AuthorizerView
from bridge_cli.console.buttons import BUTTONS, BUTTONS_BY_ID, Controls
from bridge_cli.console.call_view import CallView
from bridge_cli.console.page_files import PageFile, load_assets, render_page
from bridge_cli.console.presses import BusyError, Presses
from bridge_cli.console.request_guard import HEADERS, Part, Refusal, RequestGuard
from bridge_cli.console.switches import Switches
from bridge_cli.console.sync_view import SyncView
from bridge_cli.console.trials import Trials
from bridge_cli.console.watcher import Watcher
from bridge_cli.local_client import LocalClient
from bridge_cli.tracing.local_logs import LocalLogs
from emulator.loopback import LOOPBACK, bind_listener, why_port_is_unusable
from emulator.stack import LocalStack
from shared.clock import Clock

CONSOLE_PORT: Final = 7400
_MOST_BODY_BYTES: Final = 1_024
WRITE_SECONDS: Final = 3.0
"""How long a page may take to read an event before it is let go."""
_SILENCE_SECONDS: Final = 5.0
"""After so long without an event a comment is sent: a page that gets none says that we are gone."""
_SHUTDOWN_SECONDS: Final = 1.0


_MOST_UNREAD_BYTES: Final = 65_536

_logger = logging.getLogger(__name__)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Return whether a record is about more than a request that is no HTTP."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


# It was answered with 400; in the terminal of `bridge up` its traceback would only be noise.
_logger.addFilter(_is_our_fault)


class ConsoleError(Exception):
    """The console cannot be served; the message says what to change."""

    code = "console_unavailable"


@dataclass(frozen=True, slots=True)
class _Console:
    """What the request handlers work with."""

    guard: RequestGuard
    audience: Audience
    watcher: Watcher
    presses: Presses
    page: PageFile
    assets: dict[str, PageFile]


_CONSOLE = web.AppKey("console", _Console)

type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def check_console_port(port: int) -> None:
    """Raise unless the console could listen on the port now; 0 takes any free one.

    Raises:
        ConsoleError: it could not; the message names the option.

    """
    if why := why_port_is_unusable(port):
        raise ConsoleError(
            f"The console cannot be served: port {port} {why}. Choose another --console-port (0"
            " takes a free one), or --no-console."
        )


@asynccontextmanager
async def serve_console(
    stack: LocalStack,
    places: Sequence[tuple[str, str]],
    clock: Clock,
    *,
    port: int = CONSOLE_PORT,
) -> AsyncIterator[str]:
    """Serve the console of a running stack until the block ends, and give the block its URL.

    What its buttons have broken is mended at the end.

    Raises:
        ConsoleError: the port is taken.

    """
    check_console_port(port)
    async with (
        LocalClient.to(stack) as client,
        Switches.of(stack) as switches,
        SyncView.of(stack) as sync,
    ):
        with contextlib.closing(bind_listener(port)) as listener:
            port = listener.getsockname()[1]
            # What waits for a page that does not read is bounded in the kernel too.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNREAD_BYTES)
            logs = LocalLogs(stack.log_folder)
            trials = Trials(stack, client, switches, logs, clock)
            presses = Presses(Controls(stack, switches, trials, sync), clock)
            watcher = Watcher(
                Audience(),
                stack.entra,
                AuthorizerView(stack.log_folder / "lambda.log", _names_of(stack)),
                CallView(logs),
                sync,
                switches,
                presses.newest,
                clock,
                fixed={
                    "start": secrets.token_hex(8),
                    "places": [list(place) for place in places],
                    "buttons": [button.to_members() for button in BUTTONS],
                },
            )
            presses.on_change = watcher.look
            csrf_token = secrets.token_urlsafe(32)
            console = _Console(
                RequestGuard(port, csrf_token),
                watcher.audience,
                watcher,
                presses,
                render_page(csrf_token, places),
                load_assets(),
            )
            async with presses.open(), _listening(console, listener), _watching(watcher):
                yield f"http://{LOOPBACK}:{port}/"


def _names_of(stack: LocalStack) -> dict[str, str]:
    names = {each.client_id: each.name for each in stack.tenant.directory.applications}
    return names | {stack.tenant.function_app.client_id: stack.tenant.function_app.name}


@asynccontextmanager
async def _watching(watcher: Watcher) -> AsyncIterator[None]:
    task = asyncio.create_task(watcher.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _listening(console: _Console, listener: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(
        build_app(console), access_log=None, logger=_logger, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    server = await asyncio.get_running_loop().create_server(
        cast("Callable[[], asyncio.Protocol]", runner.server),
        sock=listener,
    )
    try:
        yield
    finally:
        server.close()
        # Streams have no end of their own.
        server.abort_clients()
        await runner.cleanup()
        await server.wait_closed()


def build_app(console: _Console) -> web.Application:
    """Return the application."""
    app = web.Application(client_max_size=_MOST_BODY_BYTES)
    app[_CONSOLE] = console
    app.add_routes(
        [
            web.get("/", _guarded(Part.PAGE, _get_page)),
            web.get("/stream", _guarded(Part.STREAM, _get_stream), allow_head=False),
            web.post("/buttons/{button}", _guarded(Part.BUTTON, _press)),
            web.get("/{asset}", _guarded(Part.ASSET, _get_asset)),
        ]
    )
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _guarded(part: Part, handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        guard = request.app[_CONSOLE].guard
        refusal = guard.refuse(part, request.headers)
        return _refuse(refusal) if refusal else await handler(request)

    return answer


def _refuse(refusal: Refusal) -> web.Response:
    return web.json_response(
        {"code": refusal.code, "sentence": refusal.sentence}, status=refusal.status
    )


def _serve(file: PageFile) -> web.Response:
    return web.Response(text=file.text, content_type=file.media_type, charset="utf-8")


async def _get_page(request: web.Request) -> web.Response:
    return _serve(request.app[_CONSOLE].page)


async def _get_asset(request: web.Request) -> web.Response:
    file = request.app[_CONSOLE].assets.get(request.match_info["asset"])
    if file is None:
        return _refuse(Refusal(404, "not_found", "There is no such file."))
    return _serve(file)


async def _press(request: web.Request) -> web.Response:
    button_id = request.match_info["button"]
    if button_id not in BUTTONS_BY_ID:
        return _refuse(Refusal(404, "no_such_button", "There is no such button."))
    try:
        number = request.app[_CONSOLE].presses.press(button_id)
    except BusyError:
        return _refuse(Refusal(409, "still_pressed", "Its last press is not over yet."))
    return web.json_response({"number": number}, status=202)


async def _get_stream(request: web.Request) -> web.StreamResponse:
    console = request.app[_CONSOLE]
    try:
        with console.audience.join() as member:
            member.offer(b"retry: 1000\n\n")
            member.offer(console.watcher.snapshot())
            response = web.StreamResponse()
            response.content_type = "text/event-stream"
            response.charset = "utf-8"
            await response.prepare(request)
            await _pass_on(member, response)
            if request.transport is not None:
                # Nothing more can be said to who does not listen.
                request.transport.abort()
            return response
    except AudienceFullError:
        return _refuse(Refusal(503, "audience_full", "Too many pages are open: close one."))


async def _pass_on(member: Member, response: web.StreamResponse) -> None:
    """Write the member's events until it goes, or no longer keeps up."""
    while not member.fell_behind.is_set():
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                event = await member.next()
        except TimeoutError:
            event = b": still there\n\n"
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(event)
        except (TimeoutError, ConnectionError):
            return
