"""Makes an HTTPS proxy pass bytes on to a server (CONNECT, RFC 9110 section 9.3.6)."""

import asyncio
import re
import socket
from typing import Final

from azure_function_app.http1.errors import TunnelForbidden, TunnelRefused
from azure_function_app.http1.origin import Origin
from azure_function_app.proxy_address import ProxyAddress

_REPLY_BYTES_LIMIT: Final = 16_384
_END_OF_HEAD: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")
_ADVICE: Final = {407: ": check its user and password", 403: ": it must allow this host"}


async def open_tunnel(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, proxy: ProxyAddress, origin: Origin
) -> None:
    """Return once what is sent on the socket reaches the server.

    Raises:
        TunnelForbidden: the proxy answered 4xx.
        TunnelRefused: it answered something else than 2xx.
        OSError: the connection to the proxy broke.

    """
    lines = [
        f"CONNECT {origin.authority} HTTP/1.1",
        f"Host: {origin.authority}",
        *([f"Proxy-Authorization: {proxy.authorization}"] if proxy.authorization else []),
    ]
    await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode("ascii"))
    reply = b""
    while _END_OF_HEAD not in reply:
        # An interim response is none of CONNECT's, so the first head is the final one.
        piece = await loop.sock_recv(sock, _REPLY_BYTES_LIMIT)
        reply += piece
        if not piece or len(reply) > _REPLY_BYTES_LIMIT:
            raise TunnelRefused("The proxy ended the connection instead of answering.")
    status_line = _STATUS_LINE.match(reply)
    if status_line is None:
        raise TunnelRefused("The proxy answered something else than HTTP.")
    status = int(status_line[1])
    if not 200 <= status <= 299:  # noqa: PLR2004 - the class of success
        # A wrong password that is tried again and again can lock an account.
        kind = TunnelForbidden if 400 <= status <= 499 else TunnelRefused  # noqa: PLR2004 - the class of the caller's errors
        raise kind(f"The proxy answered {status}{_ADVICE.get(status, '')}.")
    if not reply.endswith(_END_OF_HEAD):
        raise TunnelRefused("The proxy sent more than its answer.")
