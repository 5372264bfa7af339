"""The records API as a process of its own, which serves its feed from memory over a real socket.

`python -m benchmarks.sync.source RECORDS SHARDS SECONDS` prints its port, and does what is asked on
its standard input, a command a line, until that closes; so it never outlives whoever started it. It
reads GET requests only, and turns those without a bearer token away. Each answer takes so many
seconds; those to different connections take them at the same time.
"""

import asyncio
import gc
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, Final, Self

from benchmarks.sync.feed import Feed, make_records
from emulator.airports import load_airports

_REPO_ROOT: Final = Path(__file__).resolve().parents[2]
_END_OF_HEAD: Final = b"\r\n\r\n"
_UNAUTHORIZED: Final = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
_BEARER: Final = b"\r\nauthorization: bearer "


@dataclass(slots=True)
class _Served:
    feed: Feed
    page_seconds: float
    requests: int = 0
    cpu_seconds: float = 0.0
    """Of this process, when the count began."""


class _Connection(asyncio.Protocol):
    _transport: asyncio.Transport
    _unread: bytes = b""

    def __init__(self, served: _Served) -> None:
        self._served = served

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server hands over
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(_END_OF_HEAD)
        for head in heads:
            self._served.requests += 1
            if self._served.page_seconds:
                loop = asyncio.get_running_loop()
                loop.call_later(self._served.page_seconds, self._answer, head)
            else:
                self._answer(head)

    def _answer(self, head: bytes) -> None:
        if self._transport.is_closing():
            return
        if _BEARER not in head.lower():
            self._transport.write(_UNAUTHORIZED)
            return
        status, body = self._served.feed.answer(head.split(b" ", 2)[1].decode())
        self._transport.writelines(
            (
                b"HTTP/1.1 %d %b\r\n"
                b"Date: Sat, 21 Nov 2026 06:00:00 GMT\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: %d\r\n"
                b"Cache-Control: no-store\r\n"
                b"x-amzn-RequestId: 6a4a7c2e-5d0b-4c39-9d4e-0f4b4c1f7a11\r\n"
                b"\r\n" % (status, status.phrase.encode(), len(body)),
                body,
            )
        )


def _do(command: str, served: _Served) -> object:
    match command.split():
        case ["change", count]:
            served.feed.change(int(count))
            return {}
        case ["undo"]:
            served.feed.undo()
            return {}
        case ["digest"]:
            return {"digest": served.feed.digest.text}
        case ["count"]:
            took = process_time() - served.cpu_seconds
            counted = {"requests": served.requests, "cpu_seconds": took}
            served.requests, served.cpu_seconds = 0, process_time()
            return counted
        case _:
            raise ValueError(command)


async def _serve(records: int, shards: int, page_seconds: float) -> None:
    airports = list(load_airports())

    def new_feed() -> Feed:
        return Feed(make_records(airports, records), shards=shards)

    served = _Served(new_feed(), page_seconds)
    # Millions of objects that stay: to look through them again and again would slow the answers.
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(served), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while command := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(_do(command, served)), flush=True)
    server.close()


@dataclass(frozen=True, slots=True)
class Counted:
    """What the source has had to do."""

    requests: int
    cpu_seconds: float


class Source:
    """The source's process; use it as a context manager."""

    def __init__(self, records: int, *, shards: int = 1, page_seconds: float = 0.0) -> None:
        """Start it, and wait until it serves."""
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.sync.source",
                str(records),
                str(shards),
                str(page_seconds),
            ],
            cwd=_REPO_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.origin = f"http://127.0.0.1:{int(self._read_line())}"

    def __enter__(self) -> Self:
        """Return the source."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its process."""
        # Closes its standard input, at which it ends, and its pipes.
        self._process.communicate(timeout=10)

    def change(self, count: int) -> None:
        """Change so many records."""
        self._ask(f"change {count}")

    def undo(self) -> None:
        """Take all changes back, for the next one who reads from the beginning."""
        self._ask("undo")

    def digest(self) -> str:
        """Return the digest of all records as they are now."""
        return str(self._ask("digest")["digest"])

    def count(self) -> Counted:
        """Return what was served since this was last asked."""
        counted = self._ask("count")
        return Counted(int(counted["requests"]), float(counted["cpu_seconds"]))

    def _ask(self, command: str) -> dict[str, Any]:
        if self._process.stdin is None:
            raise RuntimeError("the source's pipes are missing")
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read_line())
        return answer

    def _read_line(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("the source's pipes are missing")
        line: str = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the source has ended")
        return line


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
