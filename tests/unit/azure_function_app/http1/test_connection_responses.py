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


OF_TWO = (b"Content-Length", b"2")
IN_CHUNKS = (b"Transfer-Encoding", b"chunked")


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (RESPONSES[0], Outcome(200, (OF_TWO,), b"hi", None, KEPT)),
        (
            RESPONSES[2],
            Outcome(
                200, ((b"X-A", b"b"), (b"x-a", b"c"), (b"X-Empty", b""), OF_TWO), b"hi", None, KEPT
            ),
        ),
        (RESPONSES[3], Outcome(200, ((b"Connection", b"close"), OF_TWO), b"hi", None, CLOSED)),
        (RESPONSES[6], Outcome(200, (IN_CHUNKS,), b"hiall", None, KEPT)),
        (RESPONSES[7], Outcome(200, (IN_CHUNKS,), b"", None, KEPT)),
        (RESPONSES[9], Outcome(200, (IN_CHUNKS,), b"", "RemoteProtocolError", CLOSED)),
        (RESPONSES[10], Outcome(200, (OF_TWO,), b"hi", None, KEPT)),
        (RESPONSES[12], Outcome(204, (), b"", None, KEPT)),
        (RESPONSES[13], Outcome(204, (OF_TWO,), b"", None, CLOSED)),
        (RESPONSES[14], Outcome(304, ((b"ETag", b"x"),), b"", None, KEPT)),
        # The body that they announce may come later.
        (RESPONSES[13].removesuffix(b"hi"), Outcome(204, (OF_TWO,), b"", None, CLOSED)),
        (
            b"HTTP/1.1 304 Same\r\nContent-Length: 2\r\n\r\n",
            Outcome(304, (OF_TWO,), b"", None, CLOSED),
        ),
        (RESPONSES[15], Outcome(408, ((b"Content-Length", b"0"),), b"", None, CLOSED)),
        (RESPONSES[16], Outcome(200, (OF_TWO,), b"hi", None, CLOSED)),
        (RESPONSES[17], Outcome(200, ((b"Connection", b"keep-alive"), OF_TWO), b"hi", None, KEPT)),
        (RESPONSES[24], Outcome(200, (OF_TWO,), b"hi", None, CLOSED)),
        (RESPONSES[25], Outcome(200, (OF_TWO,), b"hi", None, CLOSED)),
        (RESPONSES[26], Outcome(200, (OF_TWO,), b"hi", None, CLOSED)),
        (RESPONSES[27], Outcome(200, (OF_TWO,), b"hi", None, KEPT)),
    ],
)
async def test_when_a_response_comes_then_this_is_what_is_handed_on(
    response: bytes, expected: Outcome
) -> None:
    """Status, fields, body, and whether another request may follow."""
    assert expected == await exchange([response], ends=False)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (RESPONSES[4], Outcome(200, (), b"until the end", None, CLOSED)),
        (RESPONSES[5], Outcome(200, (), b"", None, CLOSED)),
        (RESPONSES[8], Outcome(200, (IN_CHUNKS,), b"hi", "RemoteProtocolError", CLOSED)),
        (
            RESPONSES[20],
            Outcome(200, ((b"Content-Length", b"9"),), b"hi", "RemoteProtocolError", CLOSED),
        ),
        (RESPONSES[23], Outcome(None, (), b"", "RemoteProtocolError", CLOSED)),
    ],
)
async def test_when_the_connection_ends_then_the_body_is_whole_only_where_nothing_else_says_so(
    response: bytes, expected: Outcome
) -> None:
    """A body that was announced is not cut short unseen."""
    assert expected == await exchange([response], ends=True)


@pytest.mark.parametrize(
    "response",
    [
        *(RESPONSES[number] for number in (11, 18, 19, 21, 22, 28)),
        OK + b"Transfer-Encoding: gzip\r\n\r\nhi",
        OK + b"Transfer-Encoding: identity\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
@pytest.mark.parametrize("is_head", [False, True])
async def test_when_a_response_may_not_be_handed_on_then_nothing_of_it_is(
    response: bytes, *, is_head: bool
) -> None:
    """Another transfer coding, another version, or a status that ends no exchange."""
    expected = Outcome(None, (), b"", "RemoteProtocolError", CLOSED)

    assert expected == await exchange([response], ends=False, is_head=is_head)


async def test_when_the_answer_is_to_head_then_it_ends_with_its_head() -> None:
    """Whatever length it tells; what comes next could not be told from a body."""
    for response in (RESPONSES[0], RESPONSES[6], RESPONSES[20]):
        outcome = await exchange([response], ends=False, is_head=True)

        assert (200, b"", None, CLOSED) == (
            outcome.status,
            outcome.body,
            outcome.failure,
            outcome.afterwards,
        )


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
