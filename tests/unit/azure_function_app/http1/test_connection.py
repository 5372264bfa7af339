import asyncio
from typing import NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.http1.connection import HEAD_BYTES_LIMIT, Connection
from azure_function_app.http1.errors import KeptConnectionLost
from tests.support.fake_connection import FakeTransport
from tests.support.work import assert_linear

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
NEVER = float("inf")
KEPT, CLOSED = "kept", "closed"
RESPONSES = [
    GOOD,
    OK + b"Content-Length: 0\r\n\r\n",
    OK + b"X-A: b\r\nx-a:\t c \t\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nhi",
    OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
    OK + b"\r\nuntil the end",
    OK + b"\r\n",
    CHUNKED + b"2\r\nhi\r\n3;a=b\r\nall\r\n0\r\nX-Trailer: t\r\n\r\n",
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"2\r\nhi\r\n",
    CHUNKED + b"zz\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + GOOD,
    b"HTTP/1.1 101 Switch\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n" + GOOD,
    b"HTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 304 Same\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi",
    OK + b"Content-Length: 9\r\n\r\nhi",
    OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK + b"X-A: b",
    GOOD + GOOD,
    GOOD + b"H",
    GOOD + b"\x00",
    b"\r\n" + GOOD,
    b"garbage\r\n\r\n",
    b"",
]


class Outcome(NamedTuple):
    """What became of one exchange."""

    status: int | None
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    failure: str | None
    afterwards: str


def connection_of() -> tuple[Connection, FakeTransport]:
    """A new connection, connected."""
    connection = Connection(asyncio.get_running_loop())
    return connection, FakeTransport(connection)


def send(connection: Connection, *, is_head: bool = False) -> None:
    """Begin an exchange, and send all of the request."""
    connection.begin(is_head=is_head)
    connection.write(REQUEST)
    connection.end_request()


async def read_all(connection: Connection) -> bytes:
    """The body, of a response that has a head."""
    await connection.head(NEVER)
    body = b""
    while not connection.is_complete:
        body += connection.take()
        await connection.more(NEVER)
    return body + connection.take()


async def exchange(pieces: list[bytes], *, ends: bool, is_head: bool = False) -> Outcome:
    """Send a request, let the pieces arrive, and read what there is to read."""
    connection, transport = connection_of()
    with transport:
        send(connection, is_head=is_head)
        for piece in pieces:
            if piece and not transport.is_closing():
                connection.data_received(piece)
        if ends or transport.is_closing():
            transport.lose()
        status: int | None = None
        fields: tuple[tuple[bytes, bytes], ...] = ()
        body, failure = b"", None
        try:
            head = await connection.head(0.0)
            status, fields = head.status, tuple(head.fields)
            while not connection.is_complete:
                body += connection.take()
                await connection.more(0.0)
        except (httpx.TransportError, TimeoutError) as error:
            failure = type(error).__name__
        body += connection.take()
        is_kept = failure is None and connection.end() and connection.is_fresh
        return Outcome(status, fields, body, failure, KEPT if is_kept else CLOSED)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    ends = [*sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (RESPONSES[0], Outcome(200, ((b"Content-Length", b"2"),), b"hi", None, KEPT)),
        (RESPONSES[4], Outcome(200, (), b"until the end", None, CLOSED)),
        (RESPONSES[6], Outcome(200, ((b"Transfer-Encoding", b"chunked"),), b"hiall", None, KEPT)),
        (RESPONSES[10], Outcome(200, ((b"Content-Length", b"2"),), b"hi", None, KEPT)),
        (RESPONSES[11], Outcome(None, (), b"", "RemoteProtocolError", CLOSED)),
        (RESPONSES[12], Outcome(204, (), b"", None, KEPT)),
        (RESPONSES[13], Outcome(204, ((b"Content-Length", b"2"),), b"", None, CLOSED)),
        (RESPONSES[15], Outcome(408, ((b"Content-Length", b"0"),), b"", None, CLOSED)),
        (RESPONSES[18], Outcome(None, (), b"", "RemoteProtocolError", CLOSED)),
        (RESPONSES[24], Outcome(200, ((b"Content-Length", b"2"),), b"hi", None, CLOSED)),
    ],
)
async def test_when_a_response_comes_then_this_is_what_is_handed_on(
    response: bytes, expected: Outcome
) -> None:
    """Status, fields, body, and whether another request may follow."""
    ends = expected == Outcome(200, (), b"until the end", None, CLOSED)

    assert expected == await exchange([response], ends=ends)


@given(
    response=st.sampled_from(RESPONSES),
    places=st.lists(st.integers(0, 400), max_size=12),
    ends=st.booleans(),
    is_head=st.booleans(),
)
def test_when_a_response_is_cut_anywhere_then_nothing_changes(
    response: bytes, places: list[int], *, ends: bool, is_head: bool
) -> None:
    """Segments mean nothing (RFC 9112 section 2.2)."""

    async def both() -> tuple[Outcome, Outcome]:
        whole = await exchange([response], ends=ends, is_head=is_head)
        return whole, await exchange(cut(response, places), ends=ends, is_head=is_head)

    whole, in_pieces = asyncio.run(both())

    assert whole == in_pieces


TOKENS = [
    b"HTTP/1.1 ",
    b"200 ",
    b"100 ",
    b"OK",
    b"\r\n",
    b"\r\n\r\n",
    b"Content-Length: ",
    b"5",
    b":",
]
TOKENS += [b"Transfer-Encoding: chunked", b"Connection: close", b"0\r\n\r\n", b"\x00", b" ", b"\n"]


@given(
    pieces=st.lists(
        st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(TOKENS)).map(b"".join)),
        max_size=8,
    ),
    is_head=st.booleans(),
)
def test_when_anything_comes_and_the_connection_ends_then_so_does_the_exchange(
    pieces: list[bytes], *, is_head: bool
) -> None:
    """In a response or in an error of the transport, and never in waiting."""
    outcome = asyncio.run(exchange(pieces, ends=True, is_head=is_head))

    assert outcome.failure in {None, "RemoteProtocolError"}
    assert CLOSED == outcome.afterwards


@pytest.mark.parametrize("data", [b"H", b"\r\n", GOOD, b"\x00"])
async def test_when_a_byte_comes_that_nobody_asked_for_then_the_connection_is_closed(
    data: bytes,
) -> None:
    """Before the first request, and between two."""
    for exchanges in (0, 1):
        connection, transport = connection_of()
        with transport:
            for _ in range(exchanges):
                send(connection)
                connection.data_received(GOOD)
                assert connection.end()
            connection.data_received(data)

            assert transport.is_aborted
            assert not connection.is_fresh


async def test_when_the_kernel_has_something_unread_then_the_connection_is_not_fresh() -> None:
    """The loop has not seen it, and the next response must not begin with it."""
    connection, transport = connection_of()
    with transport:
        assert connection.is_fresh
        transport.arrive_unread(b"x")

        assert connection.is_open
        assert not connection.is_fresh


async def test_when_it_carries_a_request_then_it_takes_no_other() -> None:
    """One request at a time."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        with pytest.raises(RuntimeError):
            connection.begin(is_head=False)


async def test_when_it_has_ended_then_it_takes_no_request() -> None:
    """Nothing was sent, so it is a connect error."""
    connection, transport = connection_of()
    with transport:
        transport.lose()
        with pytest.raises(httpx.ConnectError):
            connection.begin(is_head=False)
        connection.write(REQUEST)
        connection.abort()

    assert b"" == transport.written


@pytest.mark.parametrize(
    ("exchanges", "received", "error", "expected"),
    [
        (1, b"", None, httpx.RemoteProtocolError),
        (1, b"", ConnectionResetError(), httpx.ReadError),
        (1, b"HTTP/1.1 2", ConnectionResetError(), httpx.ReadError),
        (2, b"", None, KeptConnectionLost),
        (2, b"", ConnectionResetError(), KeptConnectionLost),
        (2, b"HTTP/1.1 2", None, httpx.RemoteProtocolError),
        (2, b"HTTP/1.1 2", ConnectionResetError(), httpx.ReadError),
        (2, b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n", None, KeptConnectionLost),
        (1, b"", ValueError(), httpx.RemoteProtocolError),
    ],
)
async def test_when_the_connection_is_lost_then_the_error_says_what_was_known(
    exchanges: int, received: bytes, error: Exception | None, expected: type[Exception]
) -> None:
    """A kept one that says nothing at all was most likely dead before."""
    connection, transport = connection_of()
    with transport:
        for _ in range(exchanges - 1):
            send(connection)
            connection.data_received(GOOD)
            assert connection.end()
        send(connection)
        if received:
            connection.data_received(received)
        transport.lose(error)
        with pytest.raises(expected) as caught:
            await connection.head(NEVER)

    assert expected is type(caught.value)
    assert caught.value.__cause__ is error


async def test_when_we_close_it_ourselves_then_a_body_without_length_is_not_whole() -> None:
    """The end of the connection was not the server's word."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(OK + b"\r\nhalf")
        connection.abort()
        transport.lose(has_ended=False)
        await connection.head(NEVER)

        assert b"half" == connection.take()
        with pytest.raises(httpx.RemoteProtocolError):
            await connection.more(NEVER)


async def test_when_a_wait_is_over_then_it_is_a_timeout() -> None:
    """For the head, for the body, and for the socket to take more."""
    connection, transport = connection_of()
    loop = asyncio.get_running_loop()
    with transport:
        send(connection)
        with pytest.raises(TimeoutError):
            await connection.head(loop.time() - 1.0)
        connection.pause_writing()
        with pytest.raises(TimeoutError):
            await connection.drain(loop.time() - 1.0)
        connection.data_received(OK + b"Content-Length: 2\r\n\r\n")
        with pytest.raises(TimeoutError):
            await connection.more(loop.time() - 1.0)


async def test_when_the_socket_is_full_then_drain_waits_until_it_is_not() -> None:
    """Or until there is a response, which says that no more is wanted."""
    connection, transport = connection_of()
    with transport:
        connection.begin(is_head=False)
        connection.pause_writing()
        draining = asyncio.create_task(connection.drain(NEVER))
        await asyncio.sleep(0)
        assert not draining.done()
        connection.resume_writing()
        assert await draining
        connection.pause_writing()
        draining = asyncio.create_task(connection.drain(NEVER))
        await asyncio.sleep(0)
        connection.data_received(GOOD)

        assert not await draining
        assert not connection.end()
        assert transport.is_aborted


async def test_when_the_connection_is_lost_while_draining_then_drain_fails() -> None:
    """And where it was lost before, too."""
    connection, transport = connection_of()
    with transport:
        connection.begin(is_head=False)
        transport.lose()
        with pytest.raises(httpx.RemoteProtocolError):
            await connection.drain(NEVER)


async def test_when_much_is_unread_then_no_more_is_taken_until_some_is_read() -> None:
    """The server waits for a slow caller."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 262_144)
        assert transport.is_reading()
        connection.data_received(b"x")
        assert not transport.is_reading()

        assert 262_145 == len(connection.take())
        assert transport.is_reading()
        assert b"" == connection.take()


async def test_when_a_whole_response_is_unread_then_reading_goes_on() -> None:
    """So that what nobody asked for is seen before the connection is kept, and not held back."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(OK + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000)
        assert transport.is_reading()

        assert connection.end()
        assert b"" == connection.take()


@pytest.mark.parametrize("unasked", [GOOD, b"\r\n", b"\x00"])
async def test_when_more_comes_before_a_response_is_read_then_the_connection_is_not_kept(
    unasked: bytes,
) -> None:
    """And the response itself is whole."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(GOOD)
        connection.data_received(unasked)

        assert b"hi" == connection.take()
        assert not connection.end()


async def test_when_some_of_the_request_is_unsent_then_the_connection_is_not_kept() -> None:
    """The server has answered without reading it all."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(GOOD)
        transport.unsent_bytes = 1

        assert not connection.end()
        assert transport.is_aborted


@pytest.mark.parametrize("piece_bytes", [1, 64, 1_000, 1_000_000])
@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        OK + b"X-A: " + b"x" * 200_000,
        OK + b"X-A: b\r\n" * 30_000,
        b"x" * 200_000,
        CHUNKED + b"0\r\n" + b"X-A: b\r\n" * 30_000,
        CHUNKED + b"2;" + b"x" * 200_000,
    ],
)
async def test_when_a_head_or_its_overhead_does_not_end_then_it_is_refused(
    flood: bytes, piece_bytes: int
) -> None:
    """After so many bytes at most, however they come."""
    connection, transport = connection_of()
    taken = 0
    with transport:
        send(connection)
        for start in range(0, len(flood), piece_bytes):
            if transport.is_closing():
                break
            connection.data_received(flood[start : start + piece_bytes])
            taken = start + piece_bytes
        transport.lose(has_ended=False)
        with pytest.raises(httpx.RemoteProtocolError):
            await read_all(connection)

    assert taken <= 3 * HEAD_BYTES_LIMIT + piece_bytes


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"X-A: b\r\n",
        b"x",
    ],
)
@pytest.mark.parametrize("is_dripped", [False, True])
def test_when_a_head_grows_then_the_work_grows_with_it(flood: bytes, *, is_dripped: bool) -> None:
    """Up to its limit, in one piece and byte by byte."""
    start = b"" if flood.startswith(b"HTTP") else OK + b"X-Begin: b\r\nX-C: "

    async def read(data: bytes) -> None:
        connection, transport = connection_of()
        with transport:
            send(connection)
            if is_dripped:
                for byte in data:
                    connection.data_received(bytes((byte,)))
            else:
                connection.data_received(data)

    assert_linear(
        lambda data: asyncio.run(read(data)),
        lambda size: start + flood * (size // len(flood)),
        size=HEAD_BYTES_LIMIT // 5,
    )


async def test_when_chunks_are_tiny_then_they_are_joined() -> None:
    """A list of very small pieces costs many times what they hold."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(CHUNKED + b"2\r\nab\r\n" * 10_000)

        assert len(connection._body) <= 64
        assert b"ab" * 10_000 == connection.take()


async def test_when_it_is_lost_then_the_pool_is_told_once_and_who_waits_for_the_end_goes_on() -> (
    None
):
    """Also those who come to wait only then."""
    connection, transport = connection_of()
    told: list[Connection] = []
    connection.on_lost = told.append
    with transport:
        waiting = asyncio.create_task(connection.wait_lost())
        await asyncio.sleep(0)
        assert not waiting.done()
        transport.lose()
        transport.lose()
        await waiting
        await connection.wait_lost()

    assert [connection] == told
    assert not connection.is_fresh


async def test_when_a_wait_is_cancelled_then_nothing_is_left_of_it() -> None:
    """What comes later wakes nobody, and fails nobody."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        waiting = asyncio.create_task(connection.head(NEVER))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        connection.data_received(GOOD)
        transport.lose()

    assert waiting.cancelled()
