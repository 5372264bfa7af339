"""Application Insights' ingestion endpoint for tests, on real sockets: takes, refuses or hangs."""

import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import trustme
from aiohttp import web

INSTRUMENTATION_KEY = "12345678-abcd-4000-8000-1234567890ab"


@dataclass
class IngestionEndpoint:
    """What was posted to `/v2.1/track`, and how it is answered."""

    url: str = ""
    status: int = 200
    items: list[dict[str, Any]] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    """Each request as text: its headers but Authorization, and its body."""
    authorizations: list[str | None] = field(default_factory=list)

    @property
    def connection_string(self) -> str:
        """The setting that sends telemetry here, as Azure spells it."""
        return connection_string(self.url)

    def spans(self, name: str) -> list[dict[str, Any]]:
        """The dependencies whose name ends so, each with its trace, its parent and its data."""
        return [
            {
                "trace_id": item["tags"]["ai.operation.id"],
                "parent": item["tags"].get("ai.operation.parentId"),
                "app": item["tags"]["ai.cloud.role"],
                **item["data"]["baseData"],
            }
            for item in self.items
            if item["data"]["baseType"] == "RemoteDependencyData"
            and item["data"]["baseData"]["name"].endswith(name)
        ]

    async def take(self, request: web.Request) -> web.Response:
        """Keep the items of one post, whether it is packed or not."""
        body = await request.text()
        headers = dict(request.headers)
        self.authorizations.append(headers.pop("Authorization", None))
        self.posts.append(f"{request.rel_url} {headers} {body}")
        if self.status != web.HTTPOk.status_code:
            return web.Response(status=self.status)
        items = json.loads(body)
        self.items += items
        counts = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
        return web.json_response(counts)


def connection_string(url: str) -> str:
    """The setting that sends telemetry to this address, as Azure spells it."""
    return (
        f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={url}/;"
        f"LiveEndpoint={url}/;ApplicationId={INSTRUMENTATION_KEY}"
    )


@asynccontextmanager
async def running_ingestion_endpoint(
    status: int = 200, authority: trustme.CA | None = None
) -> AsyncIterator[IngestionEndpoint]:
    """An endpoint on a free port of the loopback; with an authority, over TLS by its certificate.

    A token is sent over TLS only.
    """
    tls = None
    if authority is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    endpoint = IngestionEndpoint(status=status)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    # Microsoft's exporter puts its path behind the slash that the connection string ends with.
    app.router.add_post(r"/{slash:/?}v2.1/track", endpoint.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0][:2]
        endpoint.url = f"{'http' if tls is None else 'https'}://{host}:{port}"
        yield endpoint
    finally:
        await runner.cleanup()


@contextmanager
def hanging_endpoint() -> Iterator[str]:
    """The address of a socket that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
