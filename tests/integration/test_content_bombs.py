"""Bodies that are small on the wire and huge behind it, read by a process that measures itself."""

import asyncio
import gzip
import json
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_server import Behavior, Exchange, answer, faulty_server

CHECKOUT = Path(__file__).parents[2]
PEAK_MIB = 150
CPU_SECONDS = 1.5


@cache
def bomb() -> bytes:
    """The beginning of a gzip body that nine gigabytes of zeros would come out of."""
    block = 1024 * 1024
    coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A fully flushed block stands by itself, so that it may be repeated.
    coded = coder.compress(bytes(block)) + coder.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + coded * (9 * 1024)


def page_of(item: bytes, size: int = 10_000_000) -> bytes:
    """A page with that item again and again, of about that size."""
    items = item * (size // len(item))
    return b'{"items":[' + items[:-1] + b'],"next_cursor":"c","has_more":false}'


def page_of_poison(values: bytes, count: int = 1) -> bytes:
    """A page of items that hold those values, and at their end what is not JSON."""
    item = b'{"id":"bad","version":1,"data":[' + values + b"NaN]}"
    return b'{"items":[' + b",".join([item] * count) + b'],"next_cursor":"c","has_more":false}'


def in_chunks(make_body: Callable[[], bytes], size: int, pause: float = 0.0) -> Behavior:
    """The body as a gzip, in chunks of that size."""

    async def behave(exchange: Exchange) -> None:
        body = make_body()
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(pause)
        await exchange.send(b"0\r\n\r\n")

    return behave


def at_once(make_body: Callable[[], bytes], coding: str = "gzip") -> Behavior:
    """The body in one piece, of announced length."""

    async def behave(exchange: Exchange) -> None:
        await answer(200, make_body(), ("Content-Encoding", coding))(exchange)

    return behave


async def read_once(behavior: Behavior, seconds: float = 20.0) -> dict[str, Any]:
    """What reading took a process of its own."""
    async with faulty_server(behavior) as server:
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.read_in_small_memory"),
            *(f"http://127.0.0.1:{server.port}/p", str(seconds)),
            cwd=CHECKOUT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await program.communicate()
        assert 0 == program.returncode
        report: dict[str, Any] = json.loads(output)
        return report


@pytest.mark.parametrize(
    ("behavior", "code"),
    [
        (at_once(bomb), "backend_too_large"),
        (in_chunks(bomb, 10_000_000), "backend_too_large"),
        (in_chunks(bomb, 1024), "backend_too_large"),
        (at_once(lambda: gzip.compress(gzip.compress(bomb())), "gzip, gzip"), "backend_contract"),
        (at_once(bomb, ", ".join(["gzip"] * 100)), "backend_contract"),
        (at_once(bomb, "br"), "backend_contract"),
        (at_once(lambda: gzip.compress(b"") * 500_000), "backend_contract"),
        (at_once(lambda: gzip.compress(bytes(10 * 1024 * 1024))), "backend_contract"),
        (at_once(lambda: gzip.compress(page_of(b"[],"))), "backend_too_large"),
        (at_once(lambda: gzip.compress(page_of(b"{},"))), "backend_too_large"),
        (at_once(lambda: gzip.compress(page_of(b'{"a":1},'))), "backend_too_large"),
        (at_once(lambda: gzip.compress(page_of(b'"ab",'))), "backend_too_large"),
        (at_once(lambda: gzip.compress(page_of(b"1e1,"))), "backend_too_large"),
        (at_once(lambda: gzip.compress(page_of(b"[],", 900_000))), "backend_contract"),
        (at_once(lambda: gzip.compress(page_of(b'{"a":1},', 1_900_000))), "backend_contract"),
        (at_once(lambda: gzip.compress(b"[" * 10_000_000)), "backend_too_large"),
        (at_once(lambda: gzip.compress(b'{"a":' * 140_000)), "backend_contract"),
        (at_once(lambda: gzip.compress(page_of(b'",,,,,,,,",', 10_000_000))), "backend_too_large"),
        (
            at_once(
                lambda: gzip.compress(page_of(b'"' + b"a" * 9_000_000 + "😀".encode() + b'",'))
            ),
            None,
        ),
        (at_once(lambda: gzip.compress(b'["' + b'\\",' * 3_300_000)), "backend_contract"),
        (at_once(lambda: gzip.compress(page_of(b'"' + b"," * 10_000 + b'",', 9_000_000))), None),
        (
            at_once(lambda: gzip.compress(page_of_poison(b'"' + b"a" * 9_000_000 + b'\xff",'))),
            None,
        ),
        (
            at_once(
                lambda: gzip.compress(
                    page_of_poison(b'"' + b"a" * 9_000_000 + "😀".encode() + b'",')
                )
            ),
            None,
        ),
        (at_once(lambda: gzip.compress(page_of_poison(b"[" * 370_000 + b"]" * 370_000))), None),
        (
            at_once(
                lambda: gzip.compress(page_of_poison(b'{"a":' * 370_000 + b"1" + b"}" * 370_000))
            ),
            None,
        ),
        (at_once(lambda: gzip.compress(page_of_poison(b"[[[[[[1]]]]]]," * 100_000))), None),
        (at_once(lambda: gzip.compress(page_of_poison(b'"' + b'\\",' * 3_000_000 + b'",'))), None),
        (at_once(lambda: gzip.compress(page_of_poison(b"[]," * 370, 1_000))), None),
        (at_once(lambda: gzip.compress(page_of_poison(b"9" * 9_900 + b",", 1_000))), None),
        (at_once(lambda: gzip.compress(page_of_poison(b'"' + b"\n" * 9_900 + b'",', 1_000))), None),
    ],
)
async def test_when_a_body_is_a_bomb_then_memory_and_time_are_bounded(
    behavior: Behavior, code: str | None
) -> None:
    """Gigabytes out of megabytes, and pages out of kilobytes that would take gigabytes to hold."""
    report = await read_once(behavior)

    assert code == report["code"], report
    assert report["peak_mib"] < PEAK_MIB, report
    assert report["cpu_seconds"] < CPU_SECONDS, report


async def test_when_a_bomb_drips_then_the_deadline_ends_it() -> None:
    """A byte at a time does not add up to an answer."""
    started = time.perf_counter()

    report = await read_once(in_chunks(bomb, 1, 0.01), seconds=2.0)

    assert "deadline_exceeded" == report["code"]
    assert report["peak_mib"] < PEAK_MIB
    assert time.perf_counter() - started < 10
