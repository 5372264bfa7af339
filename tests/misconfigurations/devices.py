"""What stands between the app and the API in a company: servers before it, and a proxy to it."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import jwt
from aiohttp import web
from yarl import URL

from emulator.development_storage import DEVELOPMENT_ACCOUNT, DEVELOPMENT_ACCOUNT_KEY
from emulator.loopback import LOOPBACK
from shared.clock import Clock

type Answer = Callable[[web.Request], Awaitable[web.Response]]

_PER_HOP: Final = frozenset(
    {"host", "connection", "transfer-encoding", "content-length", "content-encoding", "date"}
)
TABLE_WRITER_ROLE: Final = "Storage Table Data Contributor"


@asynccontextmanager
async def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve every request by `answer` while the block lasts, and yield the port."""
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0, ssl_context=tls)
    try:
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _pass_on(
    session: aiohttp.ClientSession, request: web.Request, url: str, headers: Mapping[str, str]
) -> web.Response:
    body = await request.read()
    kept = {name: value for name, value in headers.items() if name.lower() not in _PER_HOP}
    if request.query_string:
        url += f"?{request.rel_url.raw_query_string}"
    async with session.request(
        request.method,
        URL(url, encoded=True),
        headers=kept,
        data=body or None,
        allow_redirects=False,
    ) as given:
        return web.Response(
            status=given.status,
            body=await given.read(),
            headers=[(k, v) for k, v in given.headers.items() if k.lower() not in _PER_HOP],
        )


@asynccontextmanager
async def domain_front(
    upstream: str, base_path: str = "", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A custom domain of API Gateway's: what is below `base_path` goes to the API, the rest is 403.

    That refusal has API Gateway's own body and header.
    """
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def answer(request: web.Request) -> web.Response:
            path = request.rel_url.raw_path
            below = path.removeprefix(base_path)
            if not path.startswith(base_path) or not below.startswith("/"):
                return refused_by_gateway()
            return await _pass_on(session, request, f"{upstream}{below}", request.headers)

        async with serving(answer, tls=tls) as port:
            yield port


def refused_by_gateway() -> web.Response:
    """What API Gateway answers for an API, a stage or a base path that it does not have there."""
    return web.json_response(
        {"message": "Forbidden"},
        status=403,
        headers={"x-amzn-ErrorType": "ForbiddenException", "x-amzn-RequestId": "made-up"},
    )


async def no_such_api(_: web.Request) -> web.Response:
    """API Gateway of a region where the API is not."""
    return refused_by_gateway()


async def moved(_: web.Request) -> web.Response:
    """An address that the API has left."""
    return web.Response(status=301, headers={"Location": "https://www.example.com/"})


async def portal(_: web.Request) -> web.Response:
    """A company's own page, which answers whatever is asked."""
    return web.Response(text="<html><title>Sign in</title></html>", content_type="text/html")


@dataclass(slots=True)
class CompanyProxy:
    """An HTTPS proxy (CONNECT) that knows some host names, and lets some callers through."""

    hosts: Mapping[str, int]
    """The loopback port behind each name; a loopback address needs no entry."""
    refusal: bytes = b""
    """What every CONNECT is answered with, if not by a tunnel."""
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                host, _, port = head.split(b" ")[1].decode("ascii").rpartition(":")
                known = int(port) if host in (LOOPBACK, "localhost") else self.hosts.get(host)
                if self.refusal or known is None:
                    writer.write(self.refusal or b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
                    await writer.drain()
                    return
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _tunnel(reader, writer, known)
        finally:
            writer.close()

    async def stop(self) -> None:
        """End every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    far_reader, far_writer = await asyncio.open_connection(LOOPBACK, port)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await source.read(65_536):
                sink.write(piece)
                await sink.drain()

    ways = [
        asyncio.create_task(carry(reader, far_writer)),
        asyncio.create_task(carry(far_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        far_writer.close()


@asynccontextmanager
async def company_proxy(
    hosts: Mapping[str, int], *, refusal: bytes = b"", port: int = 0
) -> AsyncIterator[CompanyProxy]:
    """A proxy on a loopback port, a free one if none is named, while the block lasts."""
    proxy = CompanyProxy(hosts, refusal)
    server = await asyncio.start_server(proxy.serve, LOOPBACK, port)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
        await server.wait_closed()


@dataclass(slots=True)
class StorageAccount:
    """Azurite's table service behind Azure's role assignments, which Azurite does not have.

    Who comes without a role that may write is refused as Azure refuses; for the others the request
    is signed with Azurite's well-known key.
    """

    table_url: str
    """Azurite's."""
    clock: Clock
    roles: dict[str, set[str]] = field(default_factory=dict)
    """The roles of each principal, by its object ID."""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return _storage_refusal(401, "NoAuthenticationInformation")
        if TABLE_WRITER_ROLE not in self.roles.get(str(claims.get("oid")), ()):
            return _storage_refusal(403, "AuthorizationPermissionMismatch")
        date = formatdate(self.clock.now(), usegmt=True)
        path = request.rel_url.raw_path
        key = base64.b64decode(DEVELOPMENT_ACCOUNT_KEY)
        signed = f"{date}\n/{DEVELOPMENT_ACCOUNT}{path}".encode()
        signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        headers = {k: v for k, v in request.headers.items() if k.lower() != "x-ms-date"}
        headers["x-ms-date"] = date
        headers["Authorization"] = f"SharedKeyLite {DEVELOPMENT_ACCOUNT}:{signature}"
        parts = urlsplit(self.table_url)
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            origin = f"{parts.scheme}://{parts.netloc}"
            return await _pass_on(session, request, f"{origin}{path}", headers)


def _storage_refusal(status: int, code: str) -> web.Response:
    message = (
        f"This request is not authorized to perform this operation using this permission.\n{code}"
    )
    body = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}}
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/json",
        headers={"x-ms-error-code": code, "x-ms-request-id": "made-up"},
    )
