"""The proxy on real sockets, and the whole function in the host that it ships for."""

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from azure_function_app.aws_api.client import MAX_BODY, ApiClient
from azure_function_app.http_response import HttpResponse
from azure_function_app.proxy.proxy import CallerRequest, Proxy
from emulator.functions_host.process import FunctionsHostProcess, start_functions_host
from shared.clock import SystemClock
from shared.routes import ROUTES
from tests.integration.test_transport_faults import closed_port
from tests.support.calling import TOKEN, real_api
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    FaultyServer,
    abort_chunked,
    answer,
    drip_body,
    drip_head,
    faulty_server,
    reset_after_reading,
    say_nothing,
    send_garbage,
    truncate,
)
from tests.support.proxy_calls import TRACER

CHECKOUT = Path(__file__).parents[2]
APP_PYTHON = CHECKOUT / ".tools/function-app/bin/python"
ROOT = "http://localhost:7071/api/aws"
CALL_SECONDS = 1.0


def caller(
    method: str = "GET", path: str = "/v1/records/a", *, body: bytes = b"", **headers: str
) -> CallerRequest:
    """A request as the host hands it over."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        fields["content-length"] = str(len(body))
    return CallerRequest(method, ROOT + path, fields, body, "invocation-1")


def proxy(api: ApiClient) -> Proxy:
    """The proxy over the real calling core."""
    return Proxy(api, ROUTES, SystemClock(), CALL_SECONDS, TRACER, forwards_writes=True)


def code_of(given: HttpResponse) -> str | None:
    """The problem's code, if the answer is one of ours."""
    if ("Content-Type", "application/problem+json") not in given.headers:
        return None
    code: str = json.loads(given.body)["code"]
    return code


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (say_nothing, 504, "deadline_exceeded"),
        (drip_head, 504, "deadline_exceeded"),
        (drip_body, 504, "deadline_exceeded"),
        (reset_after_reading, 502, "backend_protocol"),
        (truncate, 502, "backend_protocol"),
        (abort_chunked, 502, "backend_protocol"),
        (send_garbage, 502, "backend_protocol"),
        (answer(200, bytes(MAX_BODY + 1)), 502, "backend_too_large"),
        (answer(401, b"{}"), 502, "backend_refused_token"),
        (answer(403, b"{}"), 502, "backend_forbidden"),
        (
            answer(403, b"{}", ("x-amzn-errortype", "AccessDeniedException")),
            502,
            "backend_refused_token",
        ),
        (answer(500, b"{}"), 500, None),
        (answer(404, b"{}"), 404, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_when_the_api_misbehaves_then_the_caller_has_an_answer_in_time(
    fault: Behavior, status: int, code: str | None, method: str
) -> None:
    """Each fault has its status and code, and none takes longer than the call may."""
    body = b"{}" if method == "PUT" else b""
    started = time.perf_counter()
    async with faulty_server(fault) as server, real_api(f"http://127.0.0.1:{server.port}/p") as api:
        given = await proxy(api).answer(caller(method, body=body))

    assert (status, code) == (given.status, code_of(given))
    assert time.perf_counter() - started < CALL_SECONDS * 1.1 + 0.2


async def test_when_nobody_listens_then_it_is_502() -> None:
    """A refused connection is tried again and then said."""
    with closed_port() as port:
        async with real_api(f"http://127.0.0.1:{port}/p") as api:
            given = await proxy(api).answer(caller())

    assert (502, "backend_unreachable") == (given.status, code_of(given))


async def test_when_too_many_call_at_once_then_the_rest_is_told_to_come_back() -> None:
    """Beyond what may be under way and waiting, callers get 503 and Retry-After at once."""
    async with (
        faulty_server(say_nothing) as server,
        real_api(f"http://127.0.0.1:{server.port}/p", connections=1, waiting=1) as api,
    ):
        subject = proxy(api)
        answers = await asyncio.gather(*(subject.answer(caller()) for _ in range(5)))

    outcomes = sorted((int(given.status), code_of(given)) for given in answers)
    # The one that waited in vain was never sent, so it too may come back.
    assert [(503, "overloaded")] * 4 + [(504, "deadline_exceeded")] == outcomes
    assert all("Retry-After" in dict(given.headers) for given in answers if given.status == 503)


async def test_when_the_api_stays_down_then_it_is_left_alone_for_a_while() -> None:
    """After failures in a row callers get 503 and Retry-After without a request being sent."""
    async with (
        faulty_server(reset_after_reading) as server,
        real_api(f"http://127.0.0.1:{server.port}/p") as api,
    ):
        subject = proxy(api)
        answers = [await subject.answer(caller()) for _ in range(30)]
        sent = len(server.requests)
        last = await subject.answer(caller())

        assert (503, "circuit_open") == (last.status, code_of(last))
        assert int(dict(last.headers)["Retry-After"]) >= 1
        assert sent == len(server.requests)
        assert 502 == answers[0].status


async def test_when_a_request_is_refused_then_not_even_a_connection_is_opened() -> None:
    """Everything is checked before anything happens."""
    async with (
        faulty_server(answer()) as server,
        real_api(f"http://127.0.0.1:{server.port}/p") as api,
    ):
        subject = proxy(api)
        for path in ("/v1/../admin", "/https://evil.example", "/v1/records/a%5cb", "/nowhere"):
            given = await subject.answer(caller(path=path))
            assert given.status in {400, 404}

        assert 0 == server.connections


# --- callers among themselves ---------------------------------------------------------------------


async def echo(exchange: Exchange) -> None:
    """Say what was received, and set a cookie and headers of this request's own."""
    request = exchange.request
    await asyncio.sleep(0.001 * (len(request.target) % 7))
    body = json.dumps(
        {"target": request.target, "headers": request.headers, "body": request.body.hex()}
    ).encode()
    mark = request.target.rpartition("=")[2]
    await answer(
        200,
        body,
        ("Set-Cookie", f"session={mark}; Path=/"),
        ("X-Mark", mark),
        ("Content-Type", "application/json"),
    )(exchange)


async def test_when_callers_interleave_then_nothing_of_one_reaches_another() -> None:
    """Cookies, credentials, headers, bodies and IDs: each caller has its own and no other's."""
    count = 200

    def one(number: int) -> CallerRequest:
        mark = "x" * (number % 50) + f"mark{number}"
        return caller(
            "PUT",
            f"/v1/records/{mark}?only={mark}",
            body=mark.encode(),
            cookie=f"session={mark}",
            authorization=f"Bearer {mark}",
            if_match=f'"{mark}"',
            x_request_id=mark,
            x_functions_key=mark,
        )

    async with (
        faulty_server(echo) as server,
        real_api(f"http://127.0.0.1:{server.port}/p", connections=8, waiting=count) as api,
    ):
        subject = proxy(api)
        answers = await asyncio.gather(*(subject.answer(one(number)) for number in range(count)))
        assert server.connections <= 8

    for number, given in enumerate(answers):
        mark = "x" * (number % 50) + f"mark{number}"
        received = json.loads(given.body)
        sent = {name.lower(): value for name, value in received["headers"]}
        assert f"/p/v1/records/{mark}?only={mark}" == received["target"]
        assert mark == bytes.fromhex(received["body"]).decode()
        assert (f'"{mark}"', mark, f"Bearer {TOKEN}") == (
            sent["if-match"],
            sent["x-request-id"],
            sent["authorization"],
        )
        assert not {"cookie", "x-functions-key"} & sent.keys()
        returned = [(name.lower(), value) for name, value in given.headers]
        assert ("set-cookie", f"session={mark}; Path=/") in returned
        assert ("x-mark", mark) in returned
        assert 1 == sum(name == "set-cookie" for name, _ in returned)


# --- in the host that it ships for ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunningApp:
    """The Function App in a host, with what stands in for AWS and the identity endpoint."""

    host: FunctionsHostProcess
    api: FaultyServer
    identity: FaultyServer

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, headers and body; the path goes out exactly as it is given."""
        address = urlsplit(self.host.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        try:
            connection.request(
                method,
                path,
                body=iter([body]) if chunked and body is not None else body,
                headers=headers or {},
                encode_chunked=chunked,
            )
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()


async def two_cookies(exchange: Exchange) -> None:
    """Answer with what a careless proxy would break."""
    await answer(
        200,
        bytes(range(256)),
        ("Set-Cookie", "a=1; Path=/; HttpOnly; Expires=Sat, 21-Nov-2026 05:47:00 GMT"),
        ("Set-Cookie", "b=2; Secure; Partitioned"),
        ("Vary", "Accept"),
        ("Vary", "Origin"),
        ("Content-Type", "application/octet-stream"),
        ("ETag", '"7"'),
        ("X-Ms-Secret", "1"),
    )(exchange)


ODD_ANSWERS = {
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "status-600": b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "status-999": b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}",
    "status-000": b"HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n",
    "status-1000": b"HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n",
    "control": b"HTTP/1.1 200 OK\r\nX-Odd: a\x01b\r\nContent-Length: 2\r\n\r\n{}",
    "nul": b"HTTP/1.1 200 OK\r\nX-Odd: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
    "delete": b"HTTP/1.1 200 OK\r\nX-Odd: a\x7fb\r\nContent-Length: 2\r\n\r\n{}",
    "latin-1": b"HTTP/1.1 200 OK\r\nX-Odd: na\xefve\r\nContent-Length: 2\r\n\r\n{}",
    "utf-8": "HTTP/1.1 200 OK\r\nX-Odd: naïve\r\nContent-Length: 2\r\n\r\n{}".encode(),
    "media-type": b"HTTP/1.1 200 OK\r\nContent-Type: \xe9/x\r\nContent-Length: 2\r\n\r\n{}",
    "cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=\xe9\r\nContent-Length: 2\r\n\r\n{}",
    "name": b"HTTP/1.1 200 OK\r\nX Odd: a\r\nContent-Length: 2\r\n\r\n{}",
    "name-utf-8": "HTTP/1.1 200 OK\r\nX-É: a\r\nContent-Length: 2\r\n\r\n{}".encode(),
}
"""By the record that is asked for; the host carries none of them."""
CARRIED_ANSWERS = {
    "tab": b"HTTP/1.1 200 OK\r\nX-Odd: a\tb\r\nContent-Length: 2\r\n\r\n{}",
    "max-age": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Max-Age=x\r\nContent-Length: 2\r\n\r\n{}",
    "year-1": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Mon, 01 Jan 0001 00:00:00 GMT\r\n"
    b"Content-Length: 2\r\n\r\n{}",
}
"""The same, where a careful app makes one of it that the host carries."""


async def odd_or_two_cookies(exchange: Exchange) -> None:
    """What the record's name says, byte for byte, or else an answer as it should be."""
    record = exchange.request.target.rpartition("/")[2]
    odd = (ODD_ANSWERS | CARRIED_ANSWERS).get(record)
    if odd is None:
        await two_cookies(exchange)
    else:
        await exchange.send(odd)
        exchange.close()


@asynccontextmanager
async def running_app(folder: Path, **settings: str) -> AsyncIterator[RunningApp]:
    """This checkout's function_app.py in Microsoft's worker library, in the shipped environment."""
    token = {
        "access_token": "made-up.access.token",
        "expires_on": str(int(SystemClock().now()) + 3600),
        "resource": "api://bridge",
        "token_type": "Bearer",
    }
    async with (
        faulty_server(odd_or_two_cookies) as api,
        faulty_server(
            answer(200, json.dumps(token).encode(), ("Content-Type", "application/json"))
        ) as identity,
    ):
        host = await start_functions_host(
            CHECKOUT,
            APP_PYTHON,
            0,
            {
                "AWS_API_BASE_URL": f"http://127.0.0.1:{api.port}/local",
                "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
                "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
                "API_APP_ID_URI": "api://bridge",
                "SYNC_SCHEDULE": "0 0 0 1 1 *",
                "SQLITE_PATH": str(folder / "records.sqlite3"),
                "IDENTITY_ENDPOINT": f"http://127.0.0.1:{identity.port}/token",
                "IDENTITY_HEADER": "made-up",
            }
            | settings,
            folder / "host.log",
            kind="emulated",
        )
        try:
            yield RunningApp(host, api, identity)
        finally:
            await asyncio.to_thread(host.stop, 5)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """One app for the tests of this module, which also writes."""
    async with running_app(
        tmp_path_factory.mktemp("app"), PROXY_FORWARDS="read_and_write"
    ) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
async def test_when_the_app_runs_in_the_worker_then_an_answer_survives_whole(
    app: RunningApp,
) -> None:
    """Bytes, cookies, repeated headers and ETag come through the pinned worker library."""
    status, headers, body = await asyncio.to_thread(
        app.call, "GET", "/api/aws/v1/records/a?x=&x=1&code=KEY"
    )

    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(value)
    assert (200, bytes(range(256))) == (status, body)
    assert "/local/v1/records/a?x=&x=1" == app.api.requests[-1].target
    assert (["Accept, Origin"], ['"7"'], ["application/octet-stream"]) == (
        named["vary"],
        named["etag"],
        named["content-type"],
    )
    assert "x-ms-secret" not in named
    assert ["a=1", "b=2"] == sorted(cookie.partition(";")[0] for cookie in named["set-cookie"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "status", "upstream"), [("HEAD", 200, "GET"), ("OPTIONS", 204, None)]
)
async def test_when_a_method_has_no_body_then_the_host_sends_none(
    app: RunningApp, method: str, status: int, upstream: str | None
) -> None:
    """HEAD is a GET without its body, OPTIONS is answered here."""
    before = len(app.api.requests)

    given, headers, body = await asyncio.to_thread(app.call, method, "/api/aws/v1/records/a")

    assert (status, b"") == (given, body)
    assert [upstream] * (upstream is not None) == [
        request.method for request in app.api.requests[before:]
    ]
    if upstream is None:
        assert ("allow", "DELETE, GET, HEAD, OPTIONS, PUT") in [
            (name.lower(), value) for name, value in headers
        ]


@pytest.mark.asyncio(loop_scope="module")
async def test_when_every_byte_value_is_written_then_it_arrives(app: RunningApp) -> None:
    """A body that is no text, and as large as it may be."""
    body = bytes(range(256)) * (MAX_BODY // 256)

    status, _, _ = await asyncio.to_thread(app.call, "PUT", "/api/aws/v1/records/a", body=body)

    assert 200 == status
    assert body == app.api.requests[-1].body


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        # The host resolves dot segments before anybody sees them.
        ("GET", "/api/aws/v1/%2e%2e/admin", 404, "request_route_unknown"),
        ("GET", "/api/aws/v1/%252e%252e/admin", 400, "request_path_invalid"),
        ("GET", "/api/aws/v1/records/..%2f..%2fadmin", 400, "request_path_invalid"),
        ("GET", "/api/aws/v1/records/a%5Cb", 400, "request_path_invalid"),
        ("GET", "/api/aws/v1/records/a%01b", 400, "request_path_invalid"),
        ("GET", "/api/aws/https%3A%2F%2Fevil.example", 400, "request_path_invalid"),
        ("GET", "/api/aws/v1/nowhere", 404, "request_route_unknown"),
        ("GET", "/api/aws/", 404, "request_route_unknown"),
        ("PATCH", "/api/aws/v1/records/a", 405, "request_method_not_allowed"),
    ],
)
async def test_when_a_raw_path_leads_elsewhere_then_the_app_refuses_it(
    app: RunningApp, method: str, path: str, status: int, code: str
) -> None:
    """As it comes off the wire, past every client that would have tidied it up."""
    before = len(app.api.requests)

    given, _, body = await asyncio.to_thread(app.call, method, path)

    assert status == given, body
    assert code == json.loads(body)["code"]
    assert before == len(app.api.requests)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"body": b"{}", "chunked": True}, 411, "request_length_required"),
        ({"body": bytes(MAX_BODY + 1)}, 413, "request_body_too_large"),
        (
            {"body": b"{}", "headers": {"X-One": "a" * 6_000, "X-Two": "a" * 6_000}},
            431,
            "request_headers_too_large",
        ),
    ],
)
async def test_when_a_request_is_too_much_then_the_app_says_so(
    app: RunningApp, options: dict[str, object], status: int, code: str
) -> None:
    """Chunked, too long, too many headers: each has its status, and nothing is sent."""
    before = len(app.api.requests)

    given, _, body = await asyncio.to_thread(
        lambda: app.call("PUT", "/api/aws/v1/records/a", **options)  # type: ignore[arg-type] # a row's own options
    )

    assert status == given, body
    assert code == json.loads(body)["code"]
    assert before == len(app.api.requests)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_when_the_host_cannot_carry_an_answer_then_it_is_a_problem(
    app: RunningApp, odd: str, method: str
) -> None:
    """Never an empty 500, also where a write has been carried out; the next caller has its own."""
    body = b"{}" if method == "PUT" else None

    status, headers, answered = await asyncio.to_thread(
        app.call, method, f"/api/aws/v1/records/{odd}", body=body, headers={"X-Request-Id": "mine"}
    )
    after, _, _ = await asyncio.to_thread(app.call, "GET", "/api/aws/v1/records/a")

    document = json.loads(answered)
    assert (502, "mine") == (status, document["request_id"])
    assert document["code"] in {"backend_answer_invalid", "backend_protocol"}
    assert "mine" in [value for name, value in headers if name.lower() == "x-request-id"]
    assert 200 == after


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("odd", CARRIED_ANSWERS)
async def test_when_an_odd_answer_can_be_carried_then_it_arrives(app: RunningApp, odd: str) -> None:
    """What the worker or the host would trip over is put into words that they know."""
    status, _, body = await asyncio.to_thread(app.call, "GET", f"/api/aws/v1/records/{odd}")

    assert (200, b"{}") == (status, body)


@pytest.mark.asyncio(loop_scope="module")
async def test_when_many_calls_are_made_then_one_token_serves_them(app: RunningApp) -> None:
    """All of the calls of this module went out with the one token that was asked for."""
    answers = await asyncio.gather(
        *(asyncio.to_thread(app.call, "GET", f"/api/aws/v1/records/{n}") for n in range(20))
    )

    assert [200] * 20 == [status for status, _, _ in answers]
    assert 1 == len(app.identity.requests)
