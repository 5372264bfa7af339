"""The httpx API over aiohttp's connection pool.

httpx's own pool collapses under concurrency and loses places when requests are cancelled, so only
its API is used (docs/adr/0003). The one rule that decides how errors are mapped: a failure becomes
`ConnectError` or `ConnectTimeout` only where no byte of the request can have been read, because
those are the errors after which even a POST is sent again.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Final, cast

import aiohttp
import httpx
from multidict import CIMultiDict
from yarl import URL

from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

_KEEP_ALIVE_SECONDS: Final = 50.0
"""Shorter than what load balancers keep (60 s and more), so that we are the first to hang up."""
_DNS_SECONDS: Final = 60
_HEADER_BYTES: Final = 16_384
"""More than the 10,240 bytes of headers that API Gateway lets through."""
_SCHEMES: Final = frozenset({"http", "https"})
_NO_CONTENT_TYPE: Final[CIMultiDict[None]] = CIMultiDict({"Content-Type": None})
_FOREVER: Final = float("inf")


class CertificateError(httpx.ConnectError):
    """The server's certificate is not one to trust. Trying again would not change it."""


def mapped_error(error: Exception, request: httpx.Request | None = None) -> httpx.TransportError:
    """Return the httpx error that tells whether the request may have been read."""
    kind: type[httpx.TransportError]
    match error:
        case aiohttp.ConnectionTimeoutError():
            kind = httpx.ConnectTimeout
        case aiohttp.ClientConnectorCertificateError():
            kind = CertificateError
        case aiohttp.ClientConnectorError():
            kind = httpx.ConnectError
        case TimeoutError():
            kind = httpx.ReadTimeout
        case aiohttp.InvalidURL() | ValueError():
            kind = httpx.LocalProtocolError
        case aiohttp.ServerDisconnectedError():
            kind = httpx.RemoteProtocolError
        case OSError():
            kind = httpx.ReadError
        case _:
            kind = httpx.RemoteProtocolError
    # The class says it all; aiohttp's own words can quote what the server sent.
    return kind(type(error).__name__, request=request)


class _BareRequest(aiohttp.ClientRequest):
    """A request with the header fields that it is given, and none of aiohttp's."""

    def update_auto_headers(self, _: Iterable[str] | None) -> None:
        """Add none. A list of those to skip says the same, but costs each request something."""
        self._skip_auto_headers = _NO_CONTENT_TYPE


class _ResponseBody(httpx.AsyncByteStream):
    """The response's body as it comes in. Holds its connection until it is closed."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        *,
        deadline: Deadline | None,
        read_seconds: float,
    ) -> None:
        self._response = response
        self._deadline = deadline
        self._read_seconds = read_seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while True:
                # What is there already needs no timer.
                if chunk := content.read_nowait():
                    yield chunk
                elif content.at_eof():
                    return
                elif chunk := await self._next_chunk(content):
                    yield chunk
        # Once it has failed nothing more will come, so the connection is not left to the caller.
        except (aiohttp.ClientError, OSError) as error:
            self._release()
            raise mapped_error(error) from error
        except (Exception, asyncio.CancelledError):
            self._release()
            raise

    async def _next_chunk(self, content: aiohttp.StreamReader) -> bytes:
        remaining = _remaining(self._deadline)
        try:
            async with asyncio.timeout(_finite(min(remaining, self._read_seconds))):
                return await content.readany()
        except TimeoutError as error:
            raise _timed_out(by_deadline=remaining <= self._read_seconds) from error

    async def aclose(self) -> None:
        self._release()

    def _release(self) -> None:
        # Returns the connection to the pool if the body was read to its end, else closes it.
        self._response.release()


def _remaining(deadline: Deadline | None) -> float:
    return _FOREVER if deadline is None else deadline.remaining_seconds()


def _finite(seconds: float) -> float | None:
    return None if seconds == _FOREVER else seconds


def _timed_out(*, by_deadline: bool) -> Exception:
    if by_deadline:
        return DeadlineExceeded("The API did not answer in the time there was.")
    return httpx.ReadTimeout("The server sent nothing for too long.")


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests over aiohttp's connections. Belongs to one event loop.

    `connect_seconds` bounds the opening of a connection, and a request's `timeout` extension (its
    `read`) the wait for the response's head and for each further piece of its body. A `Deadline`
    among its extensions bounds all of it together, slowly dripping heads and bodies included.
    """

    def __init__(
        self,
        *,
        connections: int,
        connect_seconds: float,
        ssl_context: ssl.SSLContext,
    ) -> None:
        """Hold at most `connections`; make sure that no more calls are under way."""
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_seconds)
        self._connections = connections
        self._ssl_context = ssl_context
        self._connector: aiohttp.BaseConnector | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response's head; the caller reads and must close its body.

        Raises:
            httpx.TransportError: as the class's rule says.
            DeadlineExceeded: the deadline passed first.

        """
        deadline: Deadline | None = request.extensions.get(DEADLINE_EXTENSION)
        read_seconds: float = request.extensions.get("timeout", {}).get("read") or _FOREVER
        remaining = _remaining(deadline)
        if remaining <= 0:
            raise _timed_out(by_deadline=True)
        try:
            async with asyncio.timeout(_finite(min(remaining, read_seconds))):
                response = await self._head(request)
        except TimeoutError as error:
            raise _timed_out(by_deadline=remaining <= read_seconds) from error
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_ResponseBody(response, deadline=deadline, read_seconds=read_seconds),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (response.reason or "").encode("ascii", "replace"),
            },
        )

    async def _head(self, request: httpx.Request) -> aiohttp.ClientResponse:
        if request.url.scheme not in _SCHEMES:
            raise httpx.UnsupportedProtocol("The URL is not one of http.", request=request)
        body: bytes | httpx.AsyncByteStream | None
        if isinstance(request.stream, httpx.ByteStream):
            body = request.content or None
        elif isinstance(request.stream, httpx.AsyncByteStream):
            body = request.stream
        else:
            raise httpx.LocalProtocolError("The request's body is not async.", request=request)
        connector = self._open_connector()
        try:
            # As it is: the builder of the URL has checked exactly these bytes.
            url = URL(str(request.url), encoded=True)
            headers = _headers(request)
            # aiohttp encodes in chunks when it is asked to, not because the header says so.
            is_chunked = headers.pop("transfer-encoding", None) is not None
            return await self._exchange(
                connector,
                _BareRequest(
                    request.method,
                    url,
                    headers=headers,
                    data=body,
                    chunked=is_chunked or None,
                    loop=self._loop,
                ),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise mapped_error(error, request) from error

    async def _exchange(
        self, connector: aiohttp.BaseConnector, request: aiohttp.ClientRequest
    ) -> aiohttp.ClientResponse:
        """Send the request as aiohttp's session does, without what it does besides.

        No cookies, no redirects, nothing from the environment, and no second attempt of its own,
        past every budget and table.
        """
        try:
            connection = await connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        # Only a connection that was given back has none.
        protocol = cast("ResponseHandler", connection.protocol)
        try:
            protocol.set_response_params(
                skip_payload=request.method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                max_line_size=_HEADER_BYTES,
                max_field_size=_HEADER_BYTES,
            )
            response = await request.send(connection)
            try:
                return await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise

    def _open_connector(self) -> aiohttp.BaseConnector:
        loop = asyncio.get_running_loop()
        if self._connector is None:
            self._loop = loop
            self._connector = aiohttp.TCPConnector(
                limit=self._connections,
                ssl=self._ssl_context,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                ttl_dns_cache=_DNS_SECONDS,
            )
        elif self._loop is not loop:
            raise RuntimeError("this client belongs to another event loop: build one per loop")
        return self._connector

    async def aclose(self) -> None:
        """Close every connection."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = None


def _headers(request: httpx.Request) -> CIMultiDict[str]:
    try:
        return CIMultiDict(
            [
                (name.decode("ascii").lower(), value.decode("utf-8"))
                for name, value in request.headers.raw
            ]
        )
    except UnicodeDecodeError as error:
        raise httpx.LocalProtocolError("A header is not UTF-8.", request=request) from error
