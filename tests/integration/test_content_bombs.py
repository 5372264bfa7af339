"""Bodies that are small on the wire and huge behind it, read by a process that measures itself."""

import asyncio
import gzip
import json
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_server import Behavior, Exchange, answer, faulty_server

CHECKOUT = Path(__file__).parents[2]
PEAK_MIB = 150
CPU_SECONDS = 1.5
GIBIBYTE = 1024**3


def bomb(size: int) -> bytes:
    """The beginning of a gzip body that `size` bytes of zeros would come out of."""
    block = 1024 * 1024
    coder = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A fully flushed block stands by itself, so that it may be repeated.
    coded = coder.compress(bytes(block)) + coder.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"")[:10] + coded * (size // block)


BOMB = bomb(9 * GIBIBYTE)


def in_chunks(body: bytes, size: int, pause: float = 0.0) -> Behavior:
    """The body as a gzip, in chunks of that size."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(pause)
        await exchange.send(b"0\r\n\r\n")

    return behave


def at_once(body: bytes, coding: str = "gzip") -> Behavior:
    """The body in one piece, of announced length."""
    return answer(200, body, ("Content-Encoding", coding))


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
        (at_once(BOMB), "backend_too_large"),
        (in_chunks(BOMB, len(BOMB)), "backend_too_large"),
        (in_chunks(BOMB, 1024), "backend_too_large"),
        (at_once(gzip.compress(gzip.compress(BOMB)), "gzip, gzip"), "backend_contract"),
        (at_once(BOMB, ", ".join(["gzip"] * 100)), "backend_contract"),
        (at_once(BOMB, "br"), "backend_contract"),
        (at_once(gzip.compress(b"") * 500_000), "backend_contract"),
        (at_once(gzip.compress(bytes(10 * 1024 * 1024))), None),
    ],
)
async def test_when_a_body_is_a_bomb_then_memory_and_time_are_bounded(
    behavior: Behavior, code: str | None
) -> None:
    """Nine gigabytes out of nine megabytes; the last one is as large as an answer may be."""
    report = await read_once(behavior)

    assert code == report["code"], report
    assert report["peak_mib"] < PEAK_MIB, report
    assert report["cpu_seconds"] < CPU_SECONDS, report


async def test_when_a_bomb_drips_then_the_deadline_ends_it() -> None:
    """A byte at a time does not add up to an answer."""
    started = time.perf_counter()

    report = await read_once(in_chunks(BOMB, 1, 0.01), seconds=2.0)

    assert "deadline_exceeded" == report["code"]
    assert report["peak_mib"] < PEAK_MIB
    assert time.perf_counter() - started < 10
