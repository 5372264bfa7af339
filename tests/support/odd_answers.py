"""Answers that a server may send and should not, each with a name.

In the bytes of an answer, `%OWN%` stands for the good answer to the request and `%BODY%` for that
answer's body, which repeats the request's target: nobody else's answer can be taken for it.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.support.faulty_server import Behavior, Exchange

FOREIGN: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"
"""A whole answer that nobody asked for."""
TIMED_OUT: Final = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
"""What some servers say on a connection that was idle for too long."""
OK: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class End(Enum):
    """What the server does with the connection after the odd answer."""

    KEEP = "keep"
    FIN = "fin"
    RST = "rst"
    HALF = "half"
    """It says that it sends nothing more, and goes on reading."""


def own_answer(target: str, *, is_head: bool = False) -> bytes:
    """The good answer: its body is the request's target."""
    body = b"" if is_head else target.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), body)


async def echo(exchange: Exchange) -> None:
    """Answer well."""
    request = exchange.request
    await exchange.send(own_answer(request.target, is_head=request.method == "HEAD"))


def sends(*pieces: bytes | float, end: End = End.KEEP) -> Behavior:
    """Send bytes, pause where there is a number of seconds, and end as told."""

    async def behave(exchange: Exchange) -> None:
        target = exchange.request.target
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
                continue
            data = piece.replace(b"%OWN%", own_answer(target)).replace(b"%BODY%", target.encode())
            await exchange.send(data)
        match end:
            case End.FIN:
                exchange.close()
            case End.RST:
                exchange.reset()
            case End.HALF:
                exchange.writer.write_eof()
            case End.KEEP:
                pass

    return behave


def byte_by_byte(template: bytes) -> Behavior:
    """Send one byte a segment."""

    async def behave(exchange: Exchange) -> None:
        target = exchange.request.target
        for byte in template.replace(b"%OWN%", own_answer(target)):
            await exchange.send(bytes([byte]))
            await asyncio.sleep(0)

    return behave


@dataclass(frozen=True, slots=True)
class OddAnswer:
    """One odd answer, and when it comes."""

    name: str
    behavior: Behavior = echo
    method: str | None = None
    """The method to which it is odd, where that matters."""
    greeting: bytes = b""
    """Sent on a new connection before anything is read."""
    pushed: bytes = b""
    """Sent on the idle connection just before the next request, so that only the kernel has it."""
    settles_seconds: float = 0.005
    """How long after the answer the next caller comes: when all of it has arrived."""


def _after_the_answer() -> Iterator[OddAnswer]:
    """The answer is good, and something follows it."""
    for name, push in (
        ("a 408", TIMED_OUT),
        ("a 408 that closes", TIMED_OUT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
        ("a second answer", FOREIGN),
        ("half of a second answer", FOREIGN[:30]),
        ("the first byte of a second answer", b"H"),
        ("an interim response", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("a line break", b"\r\n"),
        ("garbage", b"\x00\xffgarbage"),
    ):
        yield OddAnswer(f"{name} in the same segment", sends(b"%OWN%" + push))
        yield OddAnswer(f"{name} 1 ms later", sends(b"%OWN%", 0.001, push), settles_seconds=0.02)
        yield OddAnswer(f"{name} 50 ms later", sends(b"%OWN%", 0.05, push), settles_seconds=0.08)
        yield OddAnswer(f"{name} just before the next request", pushed=push)
    yield OddAnswer("its own answer twice", sends(b"%OWN%%OWN%"))
    yield OddAnswer("its own answer three times", sends(b"%OWN%%OWN%%OWN%"))
    yield OddAnswer("a flood of answers", sends(b"%OWN%" + FOREIGN * 2000), settles_seconds=0.05)
    yield OddAnswer(
        "a second answer byte by byte", byte_by_byte(b"%OWN%" + FOREIGN), settles_seconds=0.05
    )
    yield OddAnswer("a byte more than announced", sends(b"%OWN%x"))
    yield OddAnswer("a close", sends(b"%OWN%", end=End.FIN))
    yield OddAnswer("a reset", sends(b"%OWN%", end=End.RST))
    yield OddAnswer("a half-close", sends(b"%OWN%", end=End.HALF))
    yield OddAnswer("a close 20 ms later", sends(b"%OWN%", 0.02, end=End.FIN), settles_seconds=0.04)
    yield OddAnswer("a reset 20 ms later", sends(b"%OWN%", 0.02, end=End.RST), settles_seconds=0.04)
    yield OddAnswer("a second answer and a close", sends(b"%OWN%" + FOREIGN, end=End.FIN))


def _before_the_answer() -> Iterator[OddAnswer]:
    """Something comes before the request, or before its answer."""
    for name, greeting in (
        ("an answer", FOREIGN),
        ("a 408", TIMED_OUT),
        ("two answers", FOREIGN + FOREIGN),
        ("garbage", b"220 mail.example ESMTP\r\n"),
        ("half an answer", FOREIGN[:25]),
    ):
        yield OddAnswer(f"{name} on a new connection", greeting=greeting)
    yield OddAnswer("a line break first", sends(b"\r\n\r\n%OWN%"))
    yield OddAnswer("100 first", sends(b"HTTP/1.1 100 Continue\r\n\r\n%OWN%"))
    yield OddAnswer("103 first", sends(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n%OWN%"))
    yield OddAnswer(
        "103 with a body", sends(b"HTTP/1.1 103 Hi\r\nContent-Length: 2\r\n\r\nhi%OWN%")
    )
    yield OddAnswer("100 only", sends(b"HTTP/1.1 100 Continue\r\n\r\n"))
    yield OddAnswer("100 and a close", sends(b"HTTP/1.1 100 Continue\r\n\r\n", end=End.FIN))
    yield OddAnswer("a flood of 100", sends(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + b"%OWN%"))
    yield OddAnswer(
        "101", sends(b"HTTP/1.1 101 Switched\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n%OWN%")
    )
    yield OddAnswer("101 without Upgrade", sends(b"HTTP/1.1 101 Switched\r\n\r\n%OWN%"))
    yield OddAnswer(
        "200 with Upgrade",
        sends(OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi" + FOREIGN),
    )
    yield OddAnswer("a 408 as the answer", sends(TIMED_OUT))
    yield OddAnswer("a 408 and the answer", sends(TIMED_OUT + b"%OWN%"))
    yield OddAnswer("a 408, a pause, the answer", sends(TIMED_OUT, 0.02, b"%OWN%"))


def _bad_status_lines() -> Iterator[OddAnswer]:
    for status in ("000", "099", "199", "600", "999", "1000", "20", "2 0", "abc", "-200"):
        line = f"HTTP/1.1 {status} Odd\r\nContent-Length: 2\r\n\r\nhi".encode()
        yield OddAnswer(f"status {status}", sends(line + b"%OWN%"))
    for version in ("HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "HTTP/11.1", "HTTP/1", "http/1.1", "ICY"):
        line = f"{version} 200 OK\r\nContent-Length: 2\r\n\r\nhi".encode()
        yield OddAnswer(f"version {version}", sends(line + FOREIGN))
    yield OddAnswer("no reason", sends(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi"))
    yield OddAnswer("a long reason", sends(b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n"))
    yield OddAnswer("garbage", sends(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc garbage\r\n\r\n"))
    yield OddAnswer("an HTTP/2 preface", sends(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)))
    yield OddAnswer("the request sent back", sends(b"GET %BODY% HTTP/1.1\r\nHost: x\r\n\r\n"))


def _bad_fields() -> Iterator[OddAnswer]:
    for name, fields in (
        ("two equal lengths", b"Content-Length: 2\r\nContent-Length: 2\r\n"),
        ("two lengths", b"Content-Length: 2\r\nContent-Length: 30\r\n"),
        ("a list of lengths", b"Content-Length: 2, 2\r\n"),
        ("a signed length", b"Content-Length: +2\r\n"),
        ("a negative length", b"Content-Length: -2\r\n"),
        ("a hexadecimal length", b"Content-Length: 0x2\r\n"),
        ("an empty length", b"Content-Length:\r\n"),
        ("a huge length", b"Content-Length: 99999999999999999999999\r\n"),
        ("length and chunked", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked and length", b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"),
        ("chunked twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked, identity", b"Transfer-Encoding: chunked, identity\r\n"),
        ("gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n"),
        ("identity", b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n"),
        ("xchunked", b"Transfer-Encoding: xchunked\r\n"),
        ("a folded line", b"X-A: one\r\n two\r\nContent-Length: 2\r\n"),
        ("a folded length", b"Content-Length:\r\n 2\r\n"),
        ("a blank before the colon", b"Content-Length : 2\r\n"),
        ("a blank in a name", b"X A: b\r\nContent-Length: 2\r\n"),
        ("no colon", b"nonsense\r\nContent-Length: 2\r\n"),
        ("no name", b": nonsense\r\nContent-Length: 2\r\n"),
        ("a NUL in a value", b"X-A: a\x00b\r\nContent-Length: 2\r\n"),
        ("a bare CR", b"X-A: a\rContent-Length: 9\r\nContent-Length: 2\r\n"),
        ("a bare LF", b"X-A: a\nContent-Length: 2\r\n"),
        ("bytes that are not ASCII", "X-A: \N{SNOWMAN}\r\nContent-Length: 2\r\n".encode()),
        ("keep-alive, close", b"Connection: keep-alive, close\r\nContent-Length: 2\r\n"),
        (
            "keep-alive and close",
            b"Connection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n",
        ),
        ("a large field", b"X-A: " + b"a" * 60_000 + b"\r\nContent-Length: 2\r\n"),
        ("many fields", b"X-A: a\r\n" * 8_000 + b"Content-Length: 2\r\n"),
    ):
        yield OddAnswer(name, sends(OK + fields + b"\r\nhi" + FOREIGN))
    yield OddAnswer("bare LFs only", sends(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi" + FOREIGN))
    yield OddAnswer(
        "HTTP/1.0", sends(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 0.001, FOREIGN)
    )
    yield OddAnswer(
        "HTTP/1.0 with keep-alive",
        sends(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi" + FOREIGN
        ),
    )
    yield OddAnswer(
        "HTTP/1.0 chunked",
        sends(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\n\r\n" + FOREIGN
        ),
    )


def _bad_bodies() -> Iterator[OddAnswer]:
    for status in (204, 304):
        line = b"HTTP/1.1 %d Told\r\n" % status
        announced = line + b"Content-Length: 47\r\n\r\n"
        yield OddAnswer(f"{status} with an answer as its body", sends(announced + FOREIGN))
        yield OddAnswer(
            f"{status} with its body 1 ms later",
            sends(announced, 0.001, FOREIGN),
            settles_seconds=0.02,
        )
        yield OddAnswer(f"{status} with a body unannounced", sends(line + b"\r\nhi"))
        yield OddAnswer(
            f"{status} chunked", sends(line + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        )
    yield OddAnswer("HEAD with a body", sends(b"%OWN%"), method="HEAD")
    yield OddAnswer("HEAD with an answer as its body", sends(b"%OWN%" + FOREIGN), method="HEAD")
    yield OddAnswer(
        "HEAD with its body 1 ms later",
        sends(OK + b"Content-Length: 47\r\n\r\n", 0.001, FOREIGN),
        method="HEAD",
        settles_seconds=0.02,
    )
    yield OddAnswer("HEAD chunked", sends(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"), method="HEAD")
    for end in End:
        yield OddAnswer(f"nothing, {end.value}", sends(end=end))
        yield OddAnswer(f"half a line, {end.value}", sends(b"HTTP/1.1 2", end=end))
        yield OddAnswer(f"half a head, {end.value}", sends(OK + b"X-A: b\r\n", end=end))
        yield OddAnswer(f"no body, {end.value}", sends(OK + b"Content-Length: 9\r\n\r\n", end=end))
        yield OddAnswer(
            f"a short body, {end.value}", sends(OK + b"Content-Length: 9\r\n\r\nx", end=end)
        )
        yield OddAnswer(f"a body without end, {end.value}", sends(OK + b"\r\n%BODY%", end=end))
        yield OddAnswer(
            f"half the chunks, {end.value}", sends(CHUNKED + b"2\r\nhi\r\n9\r\nx", end=end)
        )
        yield OddAnswer(f"no last chunk, {end.value}", sends(CHUNKED + b"2\r\nhi\r\n", end=end))
    for name, chunks in (
        ("a chunk size that is none", b"zz\r\nhi\r\n0\r\n\r\n"),
        ("a negative chunk", b"-2\r\nhi\r\n0\r\n\r\n"),
        ("a huge chunk", b"ffffffffffffffffff\r\nhi"),
        ("a chunk longer than announced", b"2\r\nhi there\r\n0\r\n\r\n"),
        ("a chunk shorter than announced", b"20\r\nhi\r\n0\r\n\r\n"),
        ("chunks with bare LFs", b"2\nhi\n0\n\n"),
        ("an empty chunk size", b"\r\nhi\r\n0\r\n\r\n"),
        ("a blank after a chunk size", b"2 \r\nhi\r\n0\r\n\r\n"),
        ("an extension", b"2;a=b\r\nhi\r\n0;c\r\n\r\n"),
        ("a long extension", b"2;" + b"a" * 200_000 + b"\r\nhi\r\n0\r\n\r\n"),
        ("trailers", b"2\r\nhi\r\n0\r\nContent-Length: 9\r\nX-A: b\r\n\r\n"),
        ("trailers that say chunked", b"2\r\nhi\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("trailers without end", b"2\r\nhi\r\n0\r\n" + b"X-A: b\r\n" * 20_000),
        ("a trailer that is an answer", b"2\r\nhi\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("no blank line after the last chunk", b"2\r\nhi\r\n0\r\n"),
    ):
        yield OddAnswer(name, sends(CHUNKED + chunks + FOREIGN))
    yield OddAnswer("its answer byte by byte", byte_by_byte(b"%OWN%"))


def odd_answers() -> list[OddAnswer]:
    """Every odd answer."""
    kinds: tuple[Callable[[], Iterator[OddAnswer]], ...] = (
        _after_the_answer,
        _before_the_answer,
        _bad_status_lines,
        _bad_fields,
        _bad_bodies,
    )
    return [answer for kind in kinds for answer in kind()]
