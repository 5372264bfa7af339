import asyncio

import httpx
import pytest

from azure_function_app.http1.connection import HEAD_BYTES_LIMIT, Connection
from tests.support.fake_connection import CHUNKED, GOOD, NEVER, OK, connection_of, send
from tests.support.work import assert_linear


async def read_all(connection: Connection) -> bytes:
    """The body, of a response that has a head."""
    await connection.head(NEVER)
    body = b""
    while not connection.is_complete:
        body += connection.take()
        await connection.more(NEVER)
    return body + connection.take()


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
        assert await connection.drain(asyncio.get_running_loop().time())
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


async def test_when_some_of_the_body_is_there_then_nobody_waits_for_the_rest() -> None:
    """A caller can hand on each piece as it comes."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(OK + b"Content-Length: 4\r\n\r\nhi")
        await connection.more(asyncio.get_running_loop().time())

        assert b"hi" == connection.take()
        assert not connection.is_complete


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


async def test_when_trailers_are_long_but_end_then_the_body_is_whole() -> None:
    """Some sum things up there; they are dropped, and are no reason to drop the body."""
    connection, transport = connection_of()
    with transport:
        send(connection)
        connection.data_received(CHUNKED + b"2\r\nhi\r\n0\r\n")
        for _ in range(60):
            connection.data_received(b"X-A: " + b"x" * 993 + b"\r\n")
        connection.data_received(b"\r\n")

        assert b"hi" == await read_all(connection)
        assert connection.end()


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
