"""AWS Lambda's runtime API, as far as one invocation needs it.

The client of the runtime that is measured asks for an event and posts what its handler made of it
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html). Here it gets one event, and its
post is not answered: so the process stands still while its figures are read.
"""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple

_INVOCATION: Final = "/2018-06-01/runtime/invocation/"
_REQUEST_ID: Final = "8c5e7f0a-0000-4000-8000-000000000001"
_SECONDS_PER_REQUEST: Final = 30.0


class Posted(NamedTuple):
    """What a runtime client posted."""

    path: str
    body: bytes

    @property
    def is_response(self) -> bool:
        """Whether the handler returned, and did not raise."""
        return self.path == f"{_INVOCATION}{_REQUEST_ID}/response"


class RuntimeApi(ThreadingHTTPServer):
    """Hands out one event and takes what comes of it.

    Each connection has a thread: Node.js's client reports an error on a second one.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, event: bytes, deadline_ms: int, on_post: Callable[[Posted], None]) -> None:
        """Listen on a free port of the loopback interface.

        `on_post` is called by the connection's thread as soon as the whole answer is here.
        """
        super().__init__(("127.0.0.1", 0), _Connection)
        self.event, self.deadline_ms, self.on_post = event, deadline_ms, on_post

    @property
    def address(self) -> str:
        """What belongs into `AWS_LAMBDA_RUNTIME_API`."""
        return f"127.0.0.1:{self.server_port}"


class _Connection(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS_PER_REQUEST
    # One packet for each answer, at once: a delayed acknowledgement would count as a slow start.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path != f"{_INVOCATION}next":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.event)))
        self.send_header("Lambda-Runtime-Aws-Request-Id", _REQUEST_ID)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(self.server.deadline_ms))
        self.end_headers()
        self.wfile.write(self.server.event)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.on_post(Posted(self.path, body))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
