"""How the credentials reach the endpoints that issue tokens, bounded as a whole.

azure-identity speaks through requests, whose time-outs are for single reads: an endpoint that sends
a byte now and then holds a thread for ever. It takes proxies from the environment, which would see
the identity endpoint's secret; and its own retries sleep as long as a Retry-After asks. So requests
gets an adapter of ours. It takes nothing from the environment, follows no redirect, ends by a
deadline that holds from the first connection to the last byte, attempts and pauses included, and
tries again only where that may help.
"""

import base64
import io
import re
import socket
import ssl
import time
from collections.abc import Buffer, Callable
from enum import Enum
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

import httpx
import requests
import urllib3
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from azure_function_app.deadline import Deadline
from shared.clock import Clock

EXCHANGE_SECONDS: Final = 30.0
"""Seconds for everything that one request for a token takes, attempts and pauses included."""
CONNECT_SECONDS: Final = 5.0
"""Seconds for opening a connection to one address."""
SILENCE_SECONDS: Final = 10.0
"""Seconds for which an endpoint may send nothing."""
PAUSES_SECONDS: Final = (1.0, 2.0)
"""Seconds to wait before the second and the third attempt; there is no fourth."""
LONGEST_PAUSE_SECONDS: Final = 10.0
"""Seconds that an endpoint's Retry-After is waited for at most; a longer one ends the attempts."""
_LARGEST_BODY: Final = 1 << 20
_LARGEST_TUNNEL_HEAD: Final = 16_384
_UNUSED_PORT: Final = 80

_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERRORS: Final = range(500, 600)
_WHOLE_SECONDS = re.compile(r"[0-9]{1,9}")
_TUNNEL_OPEN = re.compile(rb"HTTP/1\.[01] 200\b")
_TUNNEL_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


class ProxyRefused(ConnectionError):
    """The proxy opened no tunnel."""

    def __init__(self, status: int | None) -> None:
        """Take the proxy's status; None if it said none."""
        super().__init__("the proxy refused to open a tunnel")
        self.status = status


class Endpoint(Enum):
    """The endpoints that issue tokens, each with the 4xx statuses after which to ask again."""

    ENTRA = frozenset({_TOO_MANY_REQUESTS})
    MANAGED_IDENTITY = frozenset({404, 410, _TOO_MANY_REQUESTS})
    """404 and 410 say that the endpoint is being updated.
    https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance
    """

    def is_busy(self, status: int) -> bool:
        """Return whether the same request may be answered better in a moment."""
        return status in self.value or status in _SERVER_ERRORS


def build_transport(
    endpoint: Endpoint,
    clock: Clock,
    *,
    deadline: Deadline | None = None,
    proxy_url: str | None = None,
    ca_file: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> RequestsTransport:
    """Return a transport for azure-identity's pipelines.

    Args:
        endpoint: what is asked through it.
        clock: measures the time that is left.
        deadline: by when everything sent through it must be over; by default each exchange has
            `EXCHANGE_SECONDS`.
        proxy_url: an HTTP proxy through which to reach https addresses, by CONNECT.
        ca_file: authorities to trust, in PEM, beside the public ones that certifi lists.
        sleep: waits between two attempts.

    Raises:
        ValueError: the proxy's URL is not `http://[user:password@]host[:port]`.
        OSError: the file of authorities cannot be read, or is none.

    """
    session = requests.Session()
    session.trust_env = False
    # An answer in a coding could be a small one that unpacks to a large one.
    session.headers["Accept-Encoding"] = "identity"
    adapter = _BoundedAdapter(
        endpoint,
        clock,
        deadline=deadline,
        proxy=None if proxy_url is None else _parse_proxy(proxy_url),
        tls=_tls_context(ca_file),
        sleep=sleep,
    )
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return RequestsTransport(session=session)


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _parse_proxy(url: str) -> SplitResult:
    parts = urlsplit(url)
    # What is not said here is the URL itself: it may hold a password.
    if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("a proxy's URL must be http://[user:password@]host[:port]")
    _ = parts.port  # raises ValueError where it is none
    return parts


class _BoundedAdapter(BaseAdapter):
    """Sends the requests of one session, each on a connection of its own."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        *,
        deadline: Deadline | None,
        proxy: SplitResult | None,
        tls: ssl.SSLContext,
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._clock = clock
        self._deadline = deadline
        self._proxy = proxy
        self._tls = tls
        self._sleep = sleep

    def close(self) -> None:
        """Nothing is open between two exchanges."""

    def send(
        self,
        request: requests.PreparedRequest,
        *_: Any,  # noqa: ANN401 - requests' own options
        **__: Any,  # noqa: ANN401 - the same
    ) -> requests.Response:
        """Return the answer, its body read. What else requests asks for is fixed here.

        Raises:
            requests.RequestException: there is none, and no time or reason to ask again.

        """
        deadline = self._deadline or Deadline.after(EXCHANGE_SECONDS, self._clock)
        for backoff in PAUSES_SECONDS:
            pause = backoff
            try:
                response = self._exchange(request, deadline)
            except requests.exceptions.SSLError:
                # A certificate that is not to be trusted stays so.
                raise
            except requests.ConnectionError:
                if deadline.remaining_seconds() <= pause:
                    raise
            else:
                if not self._endpoint.is_busy(response.status_code):
                    return response
                pause = max(backoff, _retry_after_seconds(response))
                if pause > min(LONGEST_PAUSE_SECONDS, deadline.remaining_seconds()):
                    return response
            self._sleep(pause)
        return self._exchange(request, deadline)

    def _exchange(self, request: requests.PreparedRequest, deadline: Deadline) -> requests.Response:
        parts = urlsplit(request.url or "")
        try:
            with self._connect(parts, deadline) as sock:
                status, headers, body = _talk(sock, request, parts, deadline)
        except ssl.SSLCertVerificationError as error:
            raise requests.exceptions.SSLError(error, request=request) from error
        # ValueError: a host that is no name.
        except (OSError, HTTPException, ValueError) as error:
            raise requests.ConnectionError(error, request=request) from error
        response = requests.Response()
        response.status_code = status
        response.headers = headers
        response.url = request.url or ""
        response.request = request
        response.raw = urllib3.HTTPResponse(
            io.BytesIO(body), headers=headers, status=status, preload_content=False
        )
        return response

    def _connect(self, parts: SplitResult, deadline: Deadline) -> socket.socket:
        is_tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if is_tls else 80)
        if self._proxy is None:
            sock = _open_socket(host, port, deadline)
        elif is_tls:
            sock = _open_tunnel(self._proxy, host, port, deadline)
        else:
            raise OSError("the proxy is for https only")
        if not is_tls:
            return sock
        try:
            # The handshake's time-out is one for the whole of it.
            sock.settimeout(_patience(deadline))
            return self._tls.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise


def _retry_after_seconds(response: requests.Response) -> float:
    """Return the pause that the endpoint asks for; Microsoft's say it in whole seconds."""
    value = response.headers.get("Retry-After", "")
    return float(value) if _WHOLE_SECONDS.fullmatch(value) else 0.0


def _patience(deadline: Deadline, limit: float = SILENCE_SECONDS) -> float:
    """Return the time-out of the next operation on a socket."""
    remaining = deadline.remaining_seconds()
    if remaining <= 0.0:
        raise TimeoutError("the time for asking for a token is over")
    return min(limit, remaining)


def _open_socket(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connection to the first of the host's addresses that takes one.

    The look-up itself is the resolver's: nothing can end it from outside.
    """
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_patience(deadline, CONNECT_SECONDS))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _open_tunnel(proxy: SplitResult, host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connection through the proxy (RFC 9110 section 9.3.6)."""
    sock = _open_socket(proxy.hostname or "", proxy.port or 80, deadline)
    try:
        _ask_for_tunnel(
            sock, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", deadline
        )
    except BaseException:
        sock.close()
        raise
    return sock


def _ask_for_tunnel(
    sock: socket.socket, proxy: SplitResult, authority: str, deadline: Deadline
) -> None:
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.username is not None:
        user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user).decode()}")
    sock.settimeout(_patience(deadline))
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    head = bytearray()
    # One byte at a time: what comes behind the head is the other end's.
    while not head.endswith(b"\r\n\r\n"):
        sock.settimeout(_patience(deadline))
        byte = sock.recv(1)
        if not byte or len(head) == _LARGEST_TUNNEL_HEAD:
            raise ConnectionError("the proxy gave no answer to CONNECT")
        head += byte
    if not _TUNNEL_OPEN.match(head):
        refused = _TUNNEL_STATUS.match(head)
        raise ProxyRefused(int(refused[1]) if refused else None)


class _BoundedReader(io.RawIOBase):
    """Reads a socket, each time for no longer than there is time left."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._sock.settimeout(_patience(self._deadline))
        return self._sock.recv_into(buffer)


class _BoundedSocket:
    """As much of a socket as http.client uses. Whoever opened the socket closes it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(_patience(self._deadline))
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock, self._deadline))

    def close(self) -> None:
        """Leave that to whoever opened it."""


class _OpenConnection(HTTPConnection):
    """http.client's side of an exchange, on a connection that is open already."""

    def __init__(self, host: str, sock: _BoundedSocket) -> None:
        # Without a port it would take the end of an IPv6 address for one.
        super().__init__(host, _UNUSED_PORT)
        self._opened = sock

    def connect(self) -> None:
        self.sock = self._opened


def _talk(
    sock: socket.socket, request: requests.PreparedRequest, parts: SplitResult, deadline: Deadline
) -> tuple[int, CaseInsensitiveDict[str], bytes]:
    """Send the request, and return the answer's status, headers and body."""
    connection = _OpenConnection(parts.hostname or "", _BoundedSocket(sock, deadline))
    headers = {**request.headers, "Host": parts.netloc.rpartition("@")[2], "Connection": "close"}
    # A request for a token is a form or nothing, never a stream.
    body = cast("str | bytes | None", request.body)
    connection.request(request.method or "", request.path_url, body=body, headers=headers)
    with connection.getresponse() as response:
        if response.getheader("Content-Encoding", "identity") != "identity":
            raise HTTPException("the answer is in a coding that was not asked for")
        content = response.read(_LARGEST_BODY + 1)
        if len(content) > _LARGEST_BODY:
            raise HTTPException("the answer is too large to be a token")
        return response.status, CaseInsensitiveDict(response.getheaders()), content
