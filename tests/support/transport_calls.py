"""What tests of the transport on real sockets share: whom to trust, whom to find, what to count."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from azure_function_app.http1.transport import HttpTransport
from azure_function_app.proxy_address import ProxyAddress


class TlsContexts(NamedTuple):
    """A server's certificate, and a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def tls_contexts(*names: str) -> TlsContexts:
    """Both ends of TLS for these names, 127.0.0.1 by default."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return TlsContexts(server, client)


def transport_of(
    tls: ssl.SSLContext | None = None,
    *,
    connect_seconds: float = 5.0,
    proxy: ProxyAddress | None = None,
) -> HttpTransport:
    """The transport, with nothing around it."""
    return HttpTransport(
        connect_seconds=connect_seconds,
        ssl_context=tls or ssl.create_default_context(),
        proxy=proxy,
    )


def resolve_to(
    monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int], seconds: float = 0.0
) -> list[str]:
    """Let the running loop find these addresses for any name; return the names asked for so far."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **options: object) -> Sequence[object]:
        del port, options
        asked.append(host)
        await asyncio.sleep(seconds)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


async def until(is_so: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Wait until it is so; return whether it came to be in time."""
    loop = asyncio.get_running_loop()
    gives_up = loop.time() + seconds
    while not is_so():
        if loop.time() > gives_up:
            return False
        await asyncio.sleep(0.002)
    return True


def open_descriptors() -> int:
    """How many descriptors this process holds."""
    return sum(1 for _ in Path("/dev/fd").iterdir())
