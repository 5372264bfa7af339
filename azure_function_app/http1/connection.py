"""One connection: a request at a time out, its response in, and nothing that nobody asked for.

What arrives while no request is under way ends the connection, so that it can never be taken for
the response to a later request (RFC 9112 section 9.2 leaves that open; other clients read it).
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, cast

import httptools
import httpx

from azure_function_app.http1.errors import KeptConnectionLost
from azure_function_app.http1.socket_state import Readiness, is_closed_by_peer, readiness

HEAD_BYTES_LIMIT: Final = 32_768
"""Bytes of a response's head, interim responses included; API Gateway sends 10,240 at most."""
_OVERHEAD_BYTES_LIMIT: Final = 65_536
"""Bytes that may arrive after the head without one of the body among them: chunk extensions and
trailers, which are dropped."""
_UNREAD_BYTES_LIMIT: Final = 262_144
"""Bytes of the body above which no more are taken from the socket until some are read."""
_PIECES_LIMIT: Final = 64
"""Pieces of the body above which they are joined: chunks of a byte each cost thirty times that."""
_SWITCHING_PROTOCOLS: Final = 101
_TRANSFER_ENCODING: Final = b"transfer-encoding"
_NEVER: Final = float("inf")
_BODYLESS: Final = frozenset({204, 304})
_REQUEST_TIMEOUT: Final = 408


type OnLost = Callable[[Connection], None]


class ResponseHead(NamedTuple):
    """A final response's status and fields, as they came."""

    status: int
    fields: list[tuple[bytes, bytes]]


class Connection(asyncio.Protocol):
    """A connection to one server. Used by one task at a time; belongs to one event loop.

    The order of an exchange: `begin`, `write` and `drain` until the request is sent, `end_request`,
    `head`, then `take` and `more` until `is_complete`. Any wait raises what ended the connection,
    and `TimeoutError` when its time is up; the connection is of no more use then.
    """

    __slots__ = (
        "_body",
        "_bytes_without_body",
        "_failure",
        "_fields",
        "_has_ended",
        "_has_head",
        "_has_received",
        "_is_clean",
        "_is_head",
        "_is_idle",
        "_is_readable",
        "_is_reading_paused",
        "_is_sent",
        "_is_writable",
        "_loop",
        "_lost",
        "_parser",
        "_status",
        "_timer",
        "_timer_at",
        "_transport",
        "_unread_bytes",
        "_until",
        "_waiter",
        "exchanges",
        "is_complete",
        "on_lost",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait to be connected by the loop."""
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._is_readable: Readiness = bool
        self._lost: asyncio.Future[None] = loop.create_future()
        self.on_lost: OnLost | None = None
        """Called when the connection has ended."""
        self.exchanges = 0
        """How many requests it has been used for."""
        self._waiter: asyncio.Future[None] | None = None
        self._until = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER
        self._failure: httpx.TransportError | None = None
        self._is_writable = True
        self._is_reading_paused = False
        self._has_ended = False
        self._reset(is_head=False)
        self._is_idle = True

    def _reset(self, *, is_head: bool) -> None:
        self._is_idle = False
        self._is_head = is_head
        self._is_sent = False
        self._is_clean = True
        self._bytes_without_body = 0
        self._has_received = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._status = 0
        self._has_head = False
        self._body: list[bytes] = []
        self._unread_bytes = 0
        self.is_complete = False
        """Whether the response has come in to its end; some of it may be untaken."""

    # --- what the transport asks of it ----------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Return whether it is connected, as far as the loop knows."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_fresh(self) -> bool:
        """Return whether it can carry a request: open, and nothing has arrived unasked.

        What the loop has not read yet counts too: an end of the connection, or a response to
        nothing.
        """
        return self.is_open and not self._is_readable()

    def begin(self, *, is_head: bool) -> None:
        """Start an exchange, of the method HEAD or of another one.

        Raises:
            httpx.ConnectError: the connection has ended, so that nothing can be sent.

        """
        if not self._is_idle:
            raise RuntimeError("the connection carries a request already")
        if not self.is_open:
            raise httpx.ConnectError("The connection ended before anything was sent.")
        self.exchanges += 1
        self._reset(is_head=is_head)

    def write(self, data: bytes | memoryview) -> None:
        """Send a piece of the request, or keep it until the socket takes it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self, until: float) -> bool:
        """Wait until more may be written; False where the response is there already.

        Args:
            until: the loop's time at which to give up.

        """
        while not self._is_writable and not self._has_head:
            await self._wait(until)
        if self._failure is not None:
            raise self._failure
        return not self._has_head

    def end_request(self) -> None:
        """Note that the whole request has been written."""
        self._is_sent = True

    async def head(self, until: float) -> ResponseHead:
        """Return the head of the final response."""
        while not self._has_head:
            await self._wait(until)
        if self.exchanges > 1 and self._status == _REQUEST_TIMEOUT:
            # It says that no request came in time, so it was sent before this one was.
            self.abort()
            raise KeptConnectionLost("The server had given the connection up.")
        return ResponseHead(self._status, self._fields)

    def take(self) -> bytes:
        """Return what has come in of the body and was not taken yet; empty where nothing has."""
        body = self._body
        if not body:
            return b""
        self._body, self._unread_bytes = [], 0
        if self._is_reading_paused and self._transport is not None:
            self._is_reading_paused = False
            self._transport.resume_reading()
        return body[0] if len(body) == 1 else b"".join(body)

    async def more(self, until: float) -> None:
        """Wait until there is more of the body, or its end."""
        while not self._body and not self.is_complete:
            await self._wait(until)

    def end(self) -> bool:
        """End the exchange; return whether the connection can carry another one, else close it.

        It can where request and response are complete and the server keeps it open too.
        """
        if (
            self.is_complete
            and self._is_sent
            and self._is_clean
            and self._transport is not None
            and not self._transport.is_closing()
            and not self._transport.get_write_buffer_size()
        ):
            self.take()
            self._is_idle = True
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_lost(self) -> None:
        """Wait until a connection that was closed is gone."""
        await asyncio.shield(self._lost)

    async def _wait(self, until: float) -> None:
        if self._failure is not None:
            raise self._failure
        waiter = self._waiter = self._loop.create_future()
        self._until = until
        if until < self._timer_at:
            self._set_timer(until)
        try:
            await waiter
        finally:
            self._waiter = None

    def _set_timer(self, at: float) -> None:
        """Look at that time whether a wait has lasted too long.

        One timer serves many waits: nearly all of them end long before, and to make one for each
        and cancel it costs more than to look once in a while.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._check_time)

    def _check_time(self) -> None:
        at, self._timer_at, self._timer = self._timer_at, _NEVER, None
        if self._waiter is None or self._waiter.done():
            return
        if self._until > at:
            self._set_timer(self._until)
        else:
            self._waiter.set_exception(TimeoutError())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: httpx.TransportError) -> None:
        if self._failure is None:
            self._failure = failure
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self._failure)
        self.abort()

    # --- what the loop says ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._is_readable = readiness(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        """Read on in the response; end the connection where none is due."""
        parser = self._parser
        if self._is_idle or parser is None:
            self.abort()
            return
        if self.is_complete:
            # Nobody asked for it, so the connection ends with the exchange.
            self._is_clean = False
            return
        self._has_received = True
        unread_bytes = self._unread_bytes
        self._bytes_without_body += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._is_clean = False
            if not self.is_complete:
                # The parser's own words can quote what the server sent.
                failure = httpx.RemoteProtocolError(type(error.__context__ or error).__name__)
                failure.__cause__ = error
                self._fail(failure)
                return
        if self._unread_bytes == unread_bytes and not self.is_complete:
            limit = _OVERHEAD_BYTES_LIMIT if self._has_head else HEAD_BYTES_LIMIT
            if self._bytes_without_body > limit:
                self._fail(httpx.RemoteProtocolError("HeadTooLarge"))
                return
        if len(self._body) > _PIECES_LIMIT:
            self._body = [b"".join(self._body)]
        if not self.is_complete:
            self._pause_if_much_is_unread()
        if self._has_head:
            self._wake()

    def _pause_if_much_is_unread(self) -> None:
        """Take no more from the socket. Never where the response is complete.

        Then nothing more is due, and TLS would hold back what nobody asked for until the connection
        carries the next request.
        """
        if self._unread_bytes > _UNREAD_BYTES_LIMIT and not self._is_reading_paused:
            self._is_reading_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def eof_received(self) -> None:
        """Note whether the server said so itself, as only its closure alert does with TLS.

        The loop closes the connection; `connection_lost` says what that means.
        """
        if self._transport is not None:
            self._has_ended = is_closed_by_peer(self._transport.get_extra_info("ssl_object"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits, and the pool."""
        if not self._is_idle and not self.is_complete and self._failure is None:
            if exc is None and self._ends_with_connection():
                self.is_complete, self._is_clean = True, False
                self._wake()
            else:
                self._fail(self._failure_of(exc))
        self._transport = self._parser = None
        self._is_readable = bool
        if self._timer is not None:
            self._timer.cancel()
        if not self._lost.done():
            self._lost.set_result(None)
        if self.on_lost is not None:
            self.on_lost(self)
            self.on_lost = None

    def pause_writing(self) -> None:
        """Make `drain` wait."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """Let `drain` go on."""
        self._is_writable = True
        self._wake()

    def _failure_of(self, error: Exception | None) -> httpx.TransportError:
        name = "ConnectionClosed" if error is None else type(error).__name__
        if self.exchanges > 1 and not self._has_received:
            failure: httpx.TransportError = KeptConnectionLost(name)
        elif isinstance(error, OSError):
            failure = httpx.ReadError(name)
        else:
            failure = httpx.RemoteProtocolError(name)
        failure.__cause__ = error
        return failure

    def _ends_with_connection(self) -> bool:
        """Return whether the connection's end is the body's too (RFC 9112 sections 6.3 and 9.8).

        It is not where we closed it ourselves, or where TLS was cut off.
        """
        return self._has_ended and self._has_head and not _announces_body(self._fields)

    # --- what the parser finds ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head, interim or final; after a final one, note that more came than was due."""
        if self.is_complete:
            self._is_clean = False
        else:
            self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; a trailer is dropped."""
        if self._has_head:
            return
        if (
            len(name) == len(_TRANSFER_ENCODING)
            and name.lower() == _TRANSFER_ENCODING
            and value.strip().lower() != b"chunked"
        ):
            raise _Refused("another transfer coding than chunked")
        self._fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Tell a final head from an interim one."""
        if self.is_complete or self._parser is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status <= 199 and status != _SWITCHING_PROTOCOLS:  # noqa: PLR2004 - the class of interim responses
            return
        if not 200 <= status <= 599 or not self._parser.get_http_version().startswith("1."):  # noqa: PLR2004 - the classes of final responses
            raise _Refused("no status of a final response, or not HTTP/1")
        if self._bytes_without_body > HEAD_BYTES_LIMIT and _size(self._fields) > HEAD_BYTES_LIMIT:
            raise _Refused("a head that is too large")
        self._status = status
        self._has_head = True
        self._bytes_without_body = 0
        if self._is_head:
            # The parser waits for a body, so what comes next cannot be told from one.
            self.is_complete, self._is_clean = True, False
        elif not self._is_sent or status == _REQUEST_TIMEOUT:
            self._is_clean = False
        elif status in _BODYLESS and _announces_body(self._fields):
            # Some servers send the body that they announce.
            self._is_clean = False

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        if not self.is_complete:
            self._body.append(piece)
            self._unread_bytes += len(piece)
            self._bytes_without_body = 0

    def on_message_complete(self) -> None:
        """Note the end of the final response."""
        if self._has_head and not self.is_complete and self._parser is not None:
            self.is_complete = True
            if not self._parser.should_keep_alive():
                self._is_clean = False


class _Refused(Exception):
    """A response that is well-formed, and none that may be handed on."""


def _announces_body(fields: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() in {b"content-length", _TRANSFER_ENCODING} for name, _ in fields)


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)
