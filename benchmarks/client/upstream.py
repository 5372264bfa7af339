"""The API as the clients see it, as fast as a loopback server in plain Python can be.

`python -m benchmarks.client.upstream` prints its port and serves until its standard input closes,
so it never outlives whoever started it. It reads GET requests alone, and answers each with the
same kilobyte of JSON and the headers that API Gateway sends: at once, after some milliseconds below
`/slow`, after as many as the path says below `/after`, and never below `/stall`.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BODY_BYTES: Final = 1024
STALL_PATH: Final = "/stall"
SLOW_PATH: Final = "/slow"
SLOW_SECONDS: Final = 0.005
_AFTER_PATH: Final = "/after"
_REPO_ROOT: Final = Path(__file__).resolve().parents[2]
_END_OF_HEAD: Final = b"\r\n\r\n"


def slow_path(quickest_ms: int, slowest_ms: int) -> str:
    """The path whose answers take anything between the two."""
    return f"{_AFTER_PATH}/{quickest_ms}/{slowest_ms}"


def _body() -> bytes:
    document = {
        "items": [
            {"id": f"EG{number:02}", "version": number, "data": {"name": "An airport"}}
            for number in range(14)
        ],
        "padding": "",
    }
    document["padding"] = "." * (BODY_BYTES - len(json.dumps(document)))
    return json.dumps(document).encode()


def _answer() -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Date: Sat, 21 Nov 2026 06:00:00 GMT\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {BODY_BYTES}\r\n"
        "Connection: keep-alive\r\n"
        "x-amzn-RequestId: 6a4a7c2e-5d0b-4c39-9d4e-0f4b4c1f7a11\r\n"
        "x-amz-apigw-id: ABCDEFGHIAMEj4w=\r\n"
        "X-Amzn-Trace-Id: Root=1-6740a0c0-1234567890abcdef12345678\r\n"
        "\r\n"
    )
    return head.encode() + _body()


_ANSWER: Final = _answer()
_STALLED: Final = f"GET {STALL_PATH}".encode()
_SLOW: Final = f"GET {SLOW_PATH}".encode()
_AFTER: Final = f"GET {_AFTER_PATH}/".encode()


class _Connection(asyncio.Protocol):
    _transport: asyncio.Transport
    _unread: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server hands over
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        *heads, self._unread = data.split(_END_OF_HEAD)
        for head in heads:
            if head.startswith(_SLOW):
                loop = asyncio.get_running_loop()
                loop.call_later(SLOW_SECONDS, self._transport.write, _ANSWER)
            elif head.startswith(_AFTER):
                loop = asyncio.get_running_loop()
                quickest, slowest = head.split()[1].split(b"/")[2:]
                milliseconds = random.uniform(int(quickest), int(slowest))  # noqa: S311 - no secret
                loop.call_later(milliseconds / 1000, self._transport.write, _ANSWER)
            elif not head.startswith(_STALLED):
                self._transport.write(_ANSWER)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@contextmanager
def running_upstream() -> Iterator[str]:
    """The origin of a server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client.upstream"],
        cwd=_REPO_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("the server's pipes are missing")
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    asyncio.run(_serve())
