"""How much memory the Function App takes for large bodies: `make bench-memory`.

Callers send bodies as large as API Gateway lets through, and get answers as large, several at once.
The app runs in Microsoft's worker library behind this project's Functions host, both in one
process, whose peak of resident memory the kernel keeps (Linux); each number of callers has its own.
What Azure's own host takes in a process of its own, and the copies that messages between it and the
worker cost, is in none of these figures.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from benchmarks.client.whole_function import PROXY_PREFIX, running_function

BODY_BYTES: Final = 10 * 1024 * 1024
"""The most that API Gateway lets through, and so the proxy, in either direction."""
_CALLERS: Final = (0, 1, 2, 4, 8, 16, 32)
_ROUNDS: Final = 3
"""How often each caller calls, so that what is kept between calls shows."""
_MEBIBYTE: Final = 1024 * 1024
_PATH: Final = "/v1/records/large"
_SETTINGS: Final = {"PROXY_FORWARDS": "read_and_write"}
_BODY: Final = bytes(BODY_BYTES)
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Length: %d\r\n\r\n" % BODY_BYTES
)


@dataclass(frozen=True, slots=True)
class Peak:
    """What so many callers at once took."""

    callers: int
    mebibytes: float
    """The process's highest resident memory."""


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read requests to their end, and answer each with a body of the same size."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(
                line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
            )
            remaining = int(fields.get(b"content-length", b"0"))
            while remaining:
                remaining -= len(await reader.read(min(remaining, _MEBIBYTE)))
            writer.write(_HEAD)
            writer.write(_BODY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def _upstream() -> AsyncIterator[str]:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _call(session: aiohttp.ClientSession, url: str) -> None:
    for _ in range(_ROUNDS):
        async with session.put(url, data=_BODY) as response:
            received = await response.read()
        if response.status != 200 or len(received) != BODY_BYTES:  # noqa: PLR2004
            raise RuntimeError(f"{response.status}: {received[:300]!r}")


def _find_function(pid: int) -> int:
    """Return the process below this one that holds the most memory, which is the function."""
    family, found = [pid], [pid]
    while family:
        children = Path(f"/proc/{family[0]}/task/{family[0]}/children")
        below = [int(child) for child in children.read_text(encoding="ascii").split()]
        family = [*family[1:], *below]
        found += below
    return max(found, key=_read_peak)


def _read_peak(pid: int) -> int:
    """Return the most kibibytes that the process has had in memory (proc(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


async def measure(callers: int, folder: Path) -> Peak:
    """Return the peak of a new function that so many callers call at once."""
    async with (
        _upstream() as origin,
        running_function(origin, folder, **_SETTINGS) as host,
        aiohttp.ClientSession() as session,
    ):
        url = f"{host.url}{PROXY_PREFIX}{_PATH}"
        await asyncio.gather(*(_call(session, url) for _ in range(callers)))
        return Peak(callers, _read_peak(_find_function(host.pid)) / 1024)


def render(peaks: Sequence[Peak]) -> str:
    """Return the peaks as a Markdown table."""
    idle = peaks[0].mebibytes
    lines = [
        "| callers at once, 10 MiB each way | peak, MiB | above idle, MiB | for each caller, MiB |",
        "|---:|---:|---:|---:|",
    ]
    for peak in peaks:
        above = peak.mebibytes - idle
        each = f"{above / peak.callers:.0f}" if peak.callers else ""
        lines.append(f"| {peak.callers} | {peak.mebibytes:.0f} | {above:.0f} | {each} |")
    return "\n".join(lines)


async def _measure_all() -> list[Peak]:
    peaks = []
    for callers in _CALLERS:
        with TemporaryDirectory() as folder:
            peaks.append(await measure(callers, Path(folder)))
    return peaks


def main() -> None:
    """Measure, and print the table."""
    sys.stdout.write(render(asyncio.run(_measure_all())) + "\n")


if __name__ == "__main__":
    main()
