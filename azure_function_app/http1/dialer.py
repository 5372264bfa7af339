"""Opens connections: name, address, tunnel where a proxy is set, TLS."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Final

import aiohappyeyeballs

from azure_function_app.http1.addresses import Addresses
from azure_function_app.http1.connection import Connection
from azure_function_app.http1.origin import Origin
from azure_function_app.http1.tunnel import open_tunnel
from azure_function_app.proxy_address import ProxyAddress

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""How long one address is tried before the next one is tried beside it (RFC 8305 section 5)."""
_SHUTDOWN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Dialer:
    """Connects to servers. Belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    addresses: Addresses
    ssl_context: ssl.SSLContext
    proxy: ProxyAddress | None = None
    """An HTTPS proxy to go through."""

    async def connect(self, origin: Origin) -> Connection:
        """Return a new connection, with TLS where the scheme is https.

        How long it may take is the caller's to bound.

        Raises:
            CertificateError: as an `ssl.SSLCertVerificationError`.
            OSError: no address could be reached, or TLS failed.
            TunnelRefused: the proxy opened no tunnel.

        """
        connection = Connection(self.loop)
        tls = self.ssl_context if origin.scheme == "https" else None
        await self.loop.create_connection(
            lambda: connection,
            sock=await self._open_socket(origin),
            ssl=tls,
            server_hostname=None if tls is None else origin.host,
            ssl_shutdown_timeout=None if tls is None else _SHUTDOWN_SECONDS,
        )
        return connection

    async def _open_socket(self, origin: Origin) -> socket.socket:
        if self.proxy is None:
            return await self._reach(origin.host, origin.port)
        sock = await self._reach(self.proxy.host, self.proxy.port)
        try:
            await open_tunnel(self.loop, sock, self.proxy, origin)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _reach(self, host: str, port: int) -> socket.socket:
        """Return a connected socket; the addresses race each other (RFC 8305)."""
        found = await self.addresses.resolve(host, port)
        try:
            return await aiohappyeyeballs.start_connection(
                found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=self.loop
            )
        except (OSError, asyncio.CancelledError):
            # Cancelled is what it is too where none of them answered in time.
            self.addresses.forget(host, port)
            raise
