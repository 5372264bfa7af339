"""An API in a process of its own that says what it was asked, so that a mixed-up answer shows.

`python -m benchmarks.client.echo_api 0` prints its port and serves until its standard input closes.
It reads requests without a body, and answers each with its target, its request ID and as many bytes
more as the query says, after up to ten milliseconds, so that answers overtake each other.
"""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

PADDING: Final = "padding"
"""The query parameter that says how long the answer is."""
_REPO_ROOT: Final = Path(__file__).resolve().parents[2]
_END_OF_HEAD: Final = b"\r\n\r\n"
_DELAYS_MS: Final = 11


def _answer(head: bytes) -> bytes:
    request_line, *fields = head.decode("latin-1").split("\r\n")
    target = request_line.split(" ")[1]
    named = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    padding = int(parse_qs(urlsplit(target).query)[PADDING][0])
    document = {"target": target, "request_id": named.get("x-request-id"), PADDING: "." * padding}
    body = json.dumps(document).encode()
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class _Connection(asyncio.Protocol):
    _transport: asyncio.Transport
    _unread: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server hands over
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(_END_OF_HEAD)
        loop = asyncio.get_running_loop()
        for head in heads:
            milliseconds = hash(head) % _DELAYS_MS
            loop.call_later(milliseconds / 1000, self._transport.write, _answer(head))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        _Connection, "127.0.0.1", port, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


@dataclass(frozen=True, slots=True)
class EchoApi:
    """The running API."""

    port: int
    _process: subprocess.Popen[str]

    @classmethod
    def start(cls, port: int = 0) -> Self:
        """Return the API once it listens; on a free port, if none is named."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client.echo_api", str(port)],
            cwd=_REPO_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 - asked for above
        return cls(int(process.stdout.readline()), process)

    def kill(self) -> None:
        """End it in the middle of whatever it is at. Killing twice is harmless."""
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
