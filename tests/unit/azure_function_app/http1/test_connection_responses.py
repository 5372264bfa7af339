import asyncio
from typing import NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_connection import CHUNKED, GOOD, OK, connection_of, send

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
