"""The host's HTTP side: from the wire to the worker and back, with what a real host does between.

A request reaches a function changed, and so does a response on its way out. What is done here is
what the real host's conversion to its RPC messages does, so that code which relies on something
the real host takes away fails on a laptop already. A host with keys enforces auth levels; one
without, like `func start`, does not. Nobody signs callers in: an `x-ms-client-principal` that a
caller sends is passed on.
"""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import HostJson
from emulator.functions_host.keys import FUNCTION_LEVEL, HostKeys, read_shown_key
from emulator.functions_host.routes import HttpRoute, RouteTemplate, find_route
from emulator.functions_host.worker import (
    HTTP_TRIGGER,
    QUEUE_TRIGGER,
    AppWorker,
    HttpCall,
    HttpResult,
    IndexedFunction,
    InvocationFailed,
    TraceContext,
)

MAX_BODY: Final = 104_857_600
"""Bytes of a request body, as in the real host."""
_MAX_TARGET: Final = 8192
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_SAFE = "/%!$&'()*+,;=:@~-._"
_LOG = logging.getLogger("host")

RunNow = Callable[[IndexedFunction, object], None]
"""Starts a function without an address now, on that input, and does not wait for it."""


@dataclass(frozen=True, slots=True)
class HttpFront:
    """What the request handlers work with."""

    worker: AppWorker
    host_json: HostJson
    routes: Sequence[HttpRoute]
    run_now: RunNow
    admission: "Admission"
    keys: HostKeys | None = None
    """What callers must show; None lets everybody in, as `func start` does."""


@dataclass(slots=True)
class Admission:
    """Keeps to host.json's limits on HTTP functions."""

    outstanding_limit: int | None
    concurrent: asyncio.Semaphore | None
    outstanding: int = field(default=0, init=False)

    @classmethod
    def under(cls, host_json: HostJson) -> "Admission":
        """Return the limits that host.json sets, with nothing running yet."""
        concurrent = host_json.max_concurrent_requests
        return cls(
            host_json.max_outstanding_requests,
            None if concurrent is None else asyncio.Semaphore(concurrent),
        )

    async def run[T](self, invocation: Callable[[], Awaitable[T]]) -> T | None:
        """Return the invocation's result, or None if no more requests are admitted."""
        if self.outstanding_limit is not None and self.outstanding >= self.outstanding_limit:
            return None
        self.outstanding += 1
        try:
            if self.concurrent is None:
                return await invocation()
            async with self.concurrent:
                return await invocation()
        finally:
            self.outstanding -= 1


def build_routes(functions: Sequence[IndexedFunction], prefix: str) -> tuple[HttpRoute, ...]:
    """Return the addresses of the HTTP-triggered functions.

    Raises:
        FunctionsHostError: a route is malformed or beyond this host.

    """
    routes = []
    for function in functions:
        if function.trigger["type"] != HTTP_TRIGGER:
            continue
        route = function.trigger.get("route") or function.name
        try:
            template = RouteTemplate.parse(f"{prefix}/{route}" if prefix else route)
        except ValueError as error:
            raise FunctionsHostError(f"the route of {function.name} is wrong: {error}.") from None
        methods = function.trigger.get("methods")
        routes.append(
            HttpRoute(
                function.name,
                template,
                frozenset(method.upper() for method in methods) if methods else None,
            )
        )
    return tuple(routes)


def build_http_front(front: HttpFront) -> web.Application:
    """Return the application that serves the functions and the host's own addresses."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_check_master_key])
    app[_FRONT] = front
    app.router.add_get("/", _home)
    app.router.add_get("/admin/host/ping", _ping)
    app.router.add_get("/admin/host/status", _status)
    app.router.add_get("/admin/functions", _list_functions)
    app.router.add_post("/admin/functions/{name}", _run_function)
    app.router.add_route("*", "/{path:.*}", _serve)
    return app


_FRONT = web.AppKey("front", HttpFront)
_OPEN_TO_ALL: Final = "/admin/host/ping"


@web.middleware
async def _check_master_key(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    keys = request.app[_FRONT].keys
    is_admin = request.path.lower().startswith("/admin/") and request.path != _OPEN_TO_ALL
    if keys is not None and is_admin and not keys.open_admin(read_shown_key(request)):
        return web.Response(status=401)
    return await handler(request)


async def _home(request: web.Request) -> web.StreamResponse:
    # With an empty route prefix a function may have taken the root.
    if find_route(request.app[_FRONT].routes, request.method, "/"):
        return await _serve(request)
    return web.Response(text="Your Functions host is up and running.\n")


async def _ping(_request: web.Request) -> web.Response:
    return web.Response()


async def _status(_request: web.Request) -> web.Response:
    return web.json_response({"id": "emulator", "state": "Running"})


async def _list_functions(request: web.Request) -> web.Response:
    functions = request.app[_FRONT].worker.functions
    return web.json_response(
        [
            {
                "name": function.name,
                "config": {"bindings": [function.trigger, *function.outputs.values()]},
            }
            for function in functions
        ]
    )


async def _run_function(request: web.Request) -> web.Response:
    front = request.app[_FRONT]
    name = request.match_info["name"].lower()
    named = [f for f in front.worker.functions if f.name.lower() == name]
    if not named:
        return web.Response(status=404)
    body = await request.read()
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return web.json_response(
            {"message": 'The body must be a JSON object, such as {"input": ""}.'}, status=400
        )
    if named[0].trigger["type"] == HTTP_TRIGGER:
        return web.json_response(
            {"message": "This function has an address of its own; call that."}, status=400
        )
    if named[0].trigger["type"] == QUEUE_TRIGGER and "input" not in document:
        return web.json_response(
            {"message": 'This function runs on a message: {"input": "<the message>"}.'}, status=400
        )
    front.run_now(named[0], document.get("input"))
    return web.Response(status=202)


async def _serve(request: web.Request) -> web.StreamResponse:
    front = request.app[_FRONT]
    if len(request.raw_path) > _MAX_TARGET:
        return web.Response(status=414)
    try:
        path = decode_path(request.rel_url.raw_path)
    except ValueError:
        return web.Response(status=400)
    found = find_route(front.routes, request.method, path)
    if found is None:
        return web.Response(status=404)
    route, route_parameters = found
    function = next(f for f in front.worker.functions if f.name == route.function_name)
    if not _may_call(front.keys, function, request):
        return web.Response(status=401)
    return await _invoke(request, function, path, route_parameters)


def _may_call(keys: HostKeys | None, function: IndexedFunction, request: web.Request) -> bool:
    level = str(function.trigger.get("authLevel", FUNCTION_LEVEL)).lower()
    return keys is None or keys.open_function(level, read_shown_key(request))


async def _invoke(
    request: web.Request,
    function: IndexedFunction,
    path: str,
    route_parameters: Mapping[str, str],
) -> web.StreamResponse:
    front = request.app[_FRONT]
    body = await _read_body(request)
    query = request.rel_url.raw_query_string
    call = HttpCall(
        method=request.method,
        url=f"{request.scheme}://{request.host}{encode_path(path)}"
        + (f"?{query}" if query else ""),
        headers=merge_headers(request.headers),
        query=merge_query(query),
        route_parameters=route_parameters,
        body=body,
    )
    trace = continue_trace(request.headers)
    begun = asyncio.get_running_loop().time()
    try:
        result = await front.admission.run(lambda: front.worker.invoke_http(function, call, trace))
        if result is None:
            # The real host says no more than this: not when to come again, above all.
            return web.Response(status=429, headers={"X-FUNCTION-SCALEOUT": "1"})
        response = build_response(request.method, result, front.host_json.custom_headers)
    except InvocationFailed as failure:
        _LOG.error("Executed 'Functions.%s' (Failed): %s", function.name, failure)
        # The caller learns nothing of the reason, in the real host either.
        return web.Response(status=500)
    duration = (asyncio.get_running_loop().time() - begun) * 1000
    _LOG.info("Executed 'Functions.%s' (%d, %.0f ms)", function.name, response.status, duration)
    return response


async def _read_body(request: web.Request) -> bytes:
    # The real host hands over only a body whose length was announced: a chunked one arrives empty
    # (azure-functions-host issue 7930).
    if not request.content_length:
        return b""
    return await request.read()


def decode_path(raw_path: str) -> str:
    """Return the path as Kestrel decodes it: all but encoded slashes, then without dot segments.

    Raises:
        ValueError: it holds a null character, or is not UTF-8.

    """
    raw_bytes = bytearray()
    position = 0
    for escape in _ESCAPE.finditer(raw_path):
        raw_bytes += raw_path[position : escape.start()].encode()
        byte = int(escape[1], 16)
        raw_bytes += escape[0].encode() if byte == ord("/") else bytes([byte])
        position = escape.end()
    raw_bytes += raw_path[position:].encode()
    path = raw_bytes.decode()
    if "\0" in path:
        raise ValueError("a null character in the path")
    return _without_dot_segments(path)


def encode_path(path: str) -> str:
    """Return the decoded path as a URL shows it; what looks like an escape stays as it is."""
    return _BARE_PERCENT.sub("%25", quote(path, safe=_PATH_SAFE))


def _without_dot_segments(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
        if is_last and segment in {".", ".."}:
            kept.append("")
    return "/" + "/".join(kept)


def merge_headers(headers: "CIMultiDict[str] | CIMultiDictProxy[str]") -> dict[str, str]:
    """Return one value for each header name in lower case; repeats are joined by a comma."""
    merged: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        merged[key] = f"{merged[key]},{value}" if key in merged else value
    return merged


def merge_query(query: str) -> dict[str, str]:
    """Return one value for each parameter; repeats, in any case, are joined, empty ones dropped."""
    merged: dict[str, tuple[str, list[str]]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        merged.setdefault(name.lower(), (name, []))[1].append(value)
    joined = {name: ",".join(values) for name, values in merged.values()}
    return {name: value for name, value in joined.items() if value}


def continue_trace(headers: Mapping[str, str]) -> TraceContext:
    """Return the caller's trace with the host's own span, or a new trace (W3C Trace Context)."""
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    if match is None:
        return TraceContext.new()
    trace_id, flags = match.groups()
    return TraceContext(
        f"00-{trace_id}-{secrets.token_hex(8)}-{flags}", headers.get("tracestate", "")
    )


def build_response(
    method: str, result: HttpResult, custom_headers: Mapping[str, str]
) -> web.Response:
    """Return the response on the wire.

    Raises:
        InvocationFailed: a header cannot be sent as the function set it; the real host breaks the
            response off there.

    """
    headers: CIMultiDict[str] = CIMultiDict(custom_headers)
    for name, value in result.headers.items():
        _check_header(name, value, method, result)
        headers[name] = value
    for cookie in result.cookies:
        headers.add("Set-Cookie", cookie)
    if result.status in {204, 304}:
        # Neither has a body (RFC 9110 sections 15.3.5 and 15.4.5), nor may claim one.
        headers.popall("content-length", None)
        return web.Response(status=result.status, headers=headers)
    body = b"" if method == "HEAD" and "content-length" in headers else result.body
    return web.Response(status=result.status, headers=headers, body=body)


def _check_header(name: str, value: str, method: str, result: HttpResult) -> None:
    if not (name + value).isascii() or not (name + value).isprintable():
        raise InvocationFailed(f"the header {name} holds characters that HTTP headers cannot")
    if name.lower() == "transfer-encoding":
        raise InvocationFailed("the host frames the response; leave Transfer-Encoding out")
    if name.lower() == "content-length" and method != "HEAD" and value != str(len(result.body)):
        raise InvocationFailed("Content-Length is not the length of the body; leave it out")
