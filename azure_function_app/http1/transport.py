"""httpx's transport interface over our own connections.

The one rule that decides how errors are told: a failure is a `ConnectError` or a `ConnectTimeout`
only where no byte of the request was sent, because those are the errors after which even a POST is
sent again. Nothing is sent twice here, nothing is taken from the environment, and no redirect is
followed.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Literal, Self

import httpx

from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded
from azure_function_app.http1.addresses import Addresses
from azure_function_app.http1.connection import Connection, ResponseHead
from azure_function_app.http1.dialer import Dialer
from azure_function_app.http1.errors import CertificateError, KeptConnectionLost
from azure_function_app.http1.origin import Origin, origin_of
from azure_function_app.http1.pool import ConnectionPool
from azure_function_app.http1.request_head import RequestHead, write_request_head
from azure_function_app.proxy_address import ProxyAddress

_PIECE_BYTES: Final = 65_536
"""A body in memory is sent in pieces of this size, so that it is not copied as a whole."""
_TIMER_SECONDS: Final = 0.002
_FOREVER: Final = float("inf")


class HttpTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests over HTTP/1.1. Belongs to one event loop.

    `connect_seconds` bounds the opening of a connection. A request's `timeout` extension (its
    `read`) bounds the wait for the response's head, for each further piece of its body, and for
    the server to take the next piece of the request's. A `Deadline` among its extensions bounds
    all of it together, slowly dripping heads and bodies included.

    It opens as many connections as there are requests at once: whoever sends bounds those.
    """

    def __init__(
        self,
        *,
        connect_seconds: float,
        ssl_context: ssl.SSLContext,
        proxy: ProxyAddress | None = None,
    ) -> None:
        """Trust whom the context trusts; go through the proxy, if there is one."""
        self._connect_seconds = connect_seconds
        self._ssl_context = ssl_context
        self._proxy = proxy
        self._loop: asyncio.AbstractEventLoop | None = None
        self._addresses: Addresses | None = None
        self._pool: ConnectionPool | None = None
        self._dialer: Dialer | None = None
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response's head; the caller reads and must close its body.

        Raises:
            httpx.TransportError: as the module's rule says.
            DeadlineExceeded: the deadline passed first.
            RuntimeError: the transport is closed, or belongs to another event loop.

        """
        if self._is_closed:
            raise RuntimeError("the transport is closed")
        loop = asyncio.get_running_loop()
        limits = _TimeLimits(request, loop)
        pool, dialer = self._belongs_to(loop)
        origin = origin_of(request.url)
        head = write_request_head(request)
        limits.remaining_seconds()
        connection = pool.take(origin)
        if connection is None:
            connection = await self._connect(dialer, origin, limits)
            pool.add(origin, connection)
        try:
            status, fields = await _exchange(connection, request, head, limits)
        except KeptConnectionLost:
            pool.close_idle(origin)
            raise
        except TimeoutError as error:
            connection.abort()
            raise limits.error() from error
        except BaseException:
            connection.abort()
            raise
        return httpx.Response(
            status,
            headers=fields,
            stream=_ResponseBody(connection, pool, origin, limits),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close every connection, those that are being opened included."""
        self._is_closed = True
        if self._addresses is not None:
            await self._addresses.aclose()
        if self._pool is not None:
            await self._pool.aclose()

    def _belongs_to(self, loop: asyncio.AbstractEventLoop) -> tuple[ConnectionPool, Dialer]:
        if self._pool is None or self._dialer is None:
            self._loop = loop
            self._addresses = Addresses(loop)
            self._pool = ConnectionPool(loop)
            self._dialer = Dialer(loop, self._addresses, self._ssl_context, self._proxy)
        elif self._loop is not loop:
            raise RuntimeError("this client belongs to another event loop: build one per loop")
        return self._pool, self._dialer

    async def _connect(self, dialer: Dialer, origin: Origin, limits: "_TimeLimits") -> Connection:
        remaining = limits.remaining_seconds()
        try:
            async with asyncio.timeout(min(self._connect_seconds, remaining)):
                return await dialer.connect(origin)
        except TimeoutError as error:
            if remaining <= self._connect_seconds:
                raise _deadline_exceeded() from error
            raise httpx.ConnectTimeout("The server did not take the connection.") from error
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(type(error).__name__) from error
        except (OSError, UnicodeError) as error:
            # The resolver's error for a name that no name can be is a UnicodeError.
            raise httpx.ConnectError(type(error).__name__) from error


async def _exchange(
    connection: Connection, request: httpx.Request, head: RequestHead, limits: "_TimeLimits"
) -> ResponseHead:
    """Send the request, or as much of it as the server wants to see; return the response's head."""
    connection.begin(is_head=request.method == "HEAD")
    content = b"".join(request.stream) if isinstance(request.stream, httpx.ByteStream) else None
    if content is not None and head.length not in {len(content), "chunked"}:
        raise _wrong_length(request)
    if content is not None and head.length == len(content) <= _PIECE_BYTES:
        connection.write(head.content + content)
        connection.end_request()
    else:
        async with asyncio.timeout(limits.remaining_seconds()):
            await _send_pieces(connection, request, head, limits)
    return await connection.head(limits.until())


async def _send_pieces(
    connection: Connection, request: httpx.Request, head: RequestHead, limits: "_TimeLimits"
) -> None:
    """Send a request whose body is large or comes in pieces, as fast as the server takes it.

    Where the response comes first, the rest is not sent (RFC 9112 section 9.5).
    """
    async with aclosing(_framed(request, head.length)) as pieces:
        if head.length == 0:
            # The head would be a whole request: first of all there must be no body.
            async for _ in pieces:
                pass
        connection.write(head.content)
        async for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(piece), _PIECE_BYTES):
                connection.write(view[start : start + _PIECE_BYTES])
                if not await connection.drain(limits.until()):
                    return
    connection.end_request()


async def _framed(
    request: httpx.Request, length: int | Literal["chunked"]
) -> AsyncGenerator[bytes]:
    """Yield the body as it goes on the wire (RFC 9112 sections 6.2 and 7.1)."""
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise httpx.LocalProtocolError("The request's body is not async.", request=request)
    if length == "chunked":
        async for piece in request.stream:
            if piece:
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"
        return
    async for piece in request.stream:
        length -= len(piece)
        if length < 0:
            raise _wrong_length(request)
        yield piece
    if length:
        raise _wrong_length(request)


def _wrong_length(request: httpx.Request) -> httpx.LocalProtocolError:
    return httpx.LocalProtocolError("The body is not as long as announced.", request=request)


class _TimeLimits:
    """By when each wait of one request must end, and what it means that it did not."""

    __slots__ = ("_deadline", "_loop", "_read_seconds")

    def __init__(self, request: httpx.Request, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._deadline: Deadline | None = request.extensions.get(DEADLINE_EXTENSION)
        self._read_seconds: float = request.extensions.get("timeout", {}).get("read") or _FOREVER

    def remaining_seconds(self) -> float:
        """Return the seconds until the deadline.

        Raises:
            DeadlineExceeded: there are none.

        """
        if self._deadline is None:
            return _FOREVER
        remaining = self._deadline.remaining_seconds()
        if remaining <= 0:
            raise _deadline_exceeded()
        return remaining

    def until(self) -> float:
        """Return the loop's time by which a wait that begins now must end."""
        return self._loop.time() + min(self.remaining_seconds(), self._read_seconds)

    def error(self) -> Exception:
        """Return what it means that a wait did not end in time."""
        # A timer can be a moment early.
        if self._deadline is not None and self._deadline.remaining_seconds() < _TIMER_SECONDS:
            return _deadline_exceeded()
        return httpx.ReadTimeout("The server sent nothing, or took nothing, for too long.")


def _deadline_exceeded() -> DeadlineExceeded:
    return DeadlineExceeded("The API did not answer in the time there was.")


class _ResponseBody(httpx.AsyncByteStream):
    """The response's body as it comes in. Holds its connection until it is read or closed."""

    __slots__ = ("_connection", "_limits", "_origin", "_pool")

    def __init__(
        self, connection: Connection, pool: ConnectionPool, origin: Origin, limits: _TimeLimits
    ) -> None:
        self._connection: Connection | None = connection
        self._pool = pool
        self._origin = origin
        self._limits = limits

    # No generator: an event loop keeps track of each, which costs a call more than all of this.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        try:
            while not (piece := connection.take()) and not connection.is_complete:
                await connection.more(self._limits.until())
        except TimeoutError as error:
            self._abort()
            raise self._limits.error() from error
        # Once it has failed nothing more will come, so the connection is not left to the caller.
        except BaseException:
            self._abort()
            raise
        if connection.is_complete:
            self._release()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._release()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(self._origin, connection)

    def _abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
