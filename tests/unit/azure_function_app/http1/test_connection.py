import asyncio

import httpx
import pytest

from azure_function_app.http1.errors import KeptConnectionLost
from tests.support.fake_connection import GOOD, NEVER, OK, REQUEST, connection_of, send


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


@pytest.mark.parametrize(
    ("error", "name"),
    [(None, "ConnectionClosed"), (ConnectionResetError(), "ConnectionResetError")],
)
async def test_when_the_connection_is_lost_while_somebody_waits_then_the_wait_ends(
    error: Exception | None, name: str
) -> None:
    """At once, and not when its time is up; the error names what happened."""
    for start in (b"", OK + b"Content-Length: 2\r\n\r\n"):
        connection, transport = connection_of()
        with transport:
            send(connection)
            connection.data_received(start)
            waiting = asyncio.create_task(
                connection.more(NEVER) if start else connection.head(NEVER)
            )
            await asyncio.sleep(0)
            transport.lose(error)
            for _ in range(3):
                await asyncio.sleep(0)

            assert waiting.done()
            assert name == str(waiting.exception())


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


async def test_when_it_is_lost_then_the_pool_is_told_once_and_who_waits_for_the_end_goes_on() -> (
    None
):
    """Also those who come to wait only then."""
    connection, transport = connection_of()
    told: list[object] = []
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
