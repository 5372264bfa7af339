"""The proxy: what gets through to the API, what comes back, and what neither does."""

import json
import logging
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.aws_api.client import MAX_BODY
from azure_function_app.errors import (
    BackendContractError,
    BackendUnavailable,
    CircuitOpen,
    DeadlineExceeded,
    Overloaded,
    TokenAcquisitionError,
)
from azure_function_app.http_response import HttpResponse
from azure_function_app.proxy.proxy import FORWARDED_HEADERS, MAX_HEADER_BYTES, CallerRequest, Proxy
from shared.routes import PROTECTED_ROUTES, ROUTES, Route
from tests.support.fake_backend import FakeBackend
from tests.support.fake_clock import FakeClock

HOST = "https://bridge.azurewebsites.net"
RECORDS = f"{HOST}/api/aws/v1/records"
HOST_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLER_SPAN = "00-11111111111111111111111111111111-2222222222222222-01"


def caller(
    method: str = "GET",
    url: str = RECORDS,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    trace_parent: str = "",
    trace_state: str = "",
) -> CallerRequest:
    """A request that the proxy forwards, unless the test bends it."""
    fields = dict(headers or {})
    if body:
        fields.setdefault("content-length", str(len(body)))
    return CallerRequest(
        method=method,
        url=url,
        headers=fields,
        body=body,
        invocation_id="invocation-1",
        trace_parent=trace_parent,
        trace_state=trace_state,
    )


async def answer_of(backend: FakeBackend, request: CallerRequest) -> HttpResponse:
    """What the proxy in front of the backend answers."""
    proxy = Proxy(
        backend=backend,
        routes=ROUTES,
        clock=FakeClock(),
        call_seconds=30.0,
        random_hex=lambda size: "ab" * size,
    )
    return await proxy.answer(request)


def fields_of(answer: HttpResponse) -> dict[str, str]:
    """The answer's headers by lower-case name."""
    return {name.lower(): value for name, value in answer.headers}


def problem_of(answer: HttpResponse) -> dict[str, Any]:
    """The problem document that the answer is."""
    assert "application/problem+json" == fields_of(answer)["content-type"]
    document: dict[str, Any] = json.loads(answer.body)
    assert int(answer.status) == document["status"]
    return document


async def refusal(request: CallerRequest) -> tuple[int, str]:
    """Status and code of a refusal that nothing was sent for."""
    backend = FakeBackend()
    answer = await answer_of(backend, request)
    assert [] == backend.requests
    return int(answer.status), problem_of(answer)["code"]


# --- where it goes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "url", "path", "query"),
    [
        ("GET", RECORDS, "/v1/records", ""),
        ("GET", f"{RECORDS}?limit=5&cursor=a%2Fb", "/v1/records", "limit=5&cursor=a%2Fb"),
        ("GET", f"{RECORDS}?empty=&x=1&x=2&flag", "/v1/records", "empty=&x=1&x=2&flag"),
        ("GET", f"{RECORDS}/EDDF", "/v1/records/EDDF", ""),
        ("GET", f"{RECORDS}/Z%C3%BCrich", "/v1/records/Z%C3%BCrich", ""),
        ("GET", f"{RECORDS}/a%20b", "/v1/records/a%20b", ""),
        ("GET", f"{RECORDS}/a%41", "/v1/records/aA", ""),
        ("GET", f"{RECORDS}/a;b,c@d:e", "/v1/records/a;b,c@d:e", ""),
        ("GET", f"{RECORDS}/...", "/v1/records/...", ""),
        ("PUT", f"{RECORDS}/EDDF", "/v1/records/EDDF", ""),
        ("DELETE", f"{RECORDS}/EDDF", "/v1/records/EDDF", ""),
        ("GET", f"{HOST}/api/aws/health", "/health", ""),
        ("GET", f"{HOST}/API/Aws/health", "/health", ""),
        (
            "GET",
            f"{HOST}/api/aws/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
            "",
        ),
    ],
)
async def test_when_a_route_is_listed_then_the_request_goes_there(
    method: str, url: str, path: str, query: str
) -> None:
    """Method, path and query arrive as they were meant, within the time for one call."""
    backend = FakeBackend(b"{}")
    body = b"{}" if method == "PUT" else b""

    answer = await answer_of(backend, caller(method, url, body=body))

    assert 200 == answer.status
    assert (method, path, query) == (
        backend.request.method,
        backend.request.path,
        backend.request.query,
    )
    assert [30.0] == backend.deadlines


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/records/",
        "/v1/records/a/b",
        "/v1/Records",
        "/v2/records",
        "/admin",
        "/health/",
        "/%76%31/records/",
    ],
)
async def test_when_a_path_is_not_listed_then_it_is_404(path: str) -> None:
    """What `shared.routes` does not have is not there, whatever the API has."""
    assert (404, "request_route_unknown") == await refusal(caller(url=f"{HOST}/api/aws{path}"))


@pytest.mark.parametrize("path", ["/aws/v1/records", "/api/awsx/v1/records", "/api", "/x/api/aws/"])
async def test_when_the_request_is_not_below_the_mount_then_it_is_404(path: str) -> None:
    """The proxy answers below /api/aws/ alone."""
    assert (404, "request_route_unknown") == await refusal(caller(url=HOST + path))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/records/..",
        "/v1/../admin",
        "/v1/records/.",
        "/../../etc",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/admin",
        "/v1/%252e%252e/admin",
        "/v1/records/..;x",
        "/v1/records/a%2Fb",
        "/v1/records/a%2fb",
        "/v1/records/%252F",
        "/v1/records/..%2f..%2fadmin",
        "/v1/records/a%5Cb",
        "/v1/records/a%255Cb",
        "/v1//records",
        "//evil.example/x",
        "/https://evil.example/",
        "/https:%2F%2Fevil.example",
        "/v1/records/a%00",
        "/v1/records/a%0d%0aHost:x",
        "/v1/records/a%7f",
        "/v1/records/%ff",
        "/v1/records/%zz",
    ],
)
async def test_when_a_path_could_lead_elsewhere_then_it_is_400(path: str) -> None:
    """Dot segments, separators and control characters, plain or encoded: nothing is asked for."""
    assert (400, "request_path_invalid") == await refusal(caller(url=f"{HOST}/api/aws{path}"))


@pytest.mark.parametrize(
    "url",
    [
        f"{RECORDS}\\x",
        f"{RECORDS}/a b",
        f"{RECORDS}\n",
        f"{RECORDS}?x=\r\nHost:evil",
        f"{RECORDS}#fragment",
        f"{RECORDS}?x=%00",
        f"{RECORDS}?x=%0D%0AHost:evil",
        f"{RECORDS}/\u00fc",
    ],
)
async def test_when_a_url_holds_what_no_url_can_then_it_is_400(url: str) -> None:
    """Backslashes, spaces, line breaks, fragments and bare Unicode are refused, not repaired."""
    assert (400, "request_url_invalid") == await refusal(caller(url=url))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
async def test_when_a_path_holds_anything_then_what_is_sent_is_a_listed_route(path: str) -> None:
    """Whatever comes, what goes out is the path of one of the routes, in one right encoding."""
    backend = FakeBackend(b"{}")

    answer = await answer_of(backend, caller(url=f"{HOST}/api/aws/{path}"))

    assert answer.status in {200, 400, 404}
    for request in backend.requests:
        assert request.path.isascii()
        assert request.path.split("/")[1] in {"v1", "health", ".well-known"}
        assert len(request.path.split("/")) <= 4
        assert not {".", "..", ""} & set(request.path.split("/")[1:])


@pytest.mark.parametrize(
    ("given_query", "sent"),
    [
        ("code=KEY", ""),
        ("code=KEY&limit=5", "limit=5"),
        ("limit=5&code=KEY", "limit=5"),
        ("CODE=KEY&limit=5", "limit=5"),
        ("%63ode=KEY&limit=5", "limit=5"),
        ("code=a&code=b&codex=c", "codex=c"),
    ],
)
async def test_when_the_function_key_is_in_the_query_then_it_stays_in_azure(
    given_query: str, sent: str
) -> None:
    """Azure takes the key from the parameter `code` in any spelling, so none goes on."""
    backend = FakeBackend(b"{}")

    await answer_of(backend, caller(url=f"{RECORDS}?{given_query}"))

    assert sent == backend.request.query


@pytest.mark.parametrize(("principal", "status"), [("", 401), ("an object ID", 200)])
async def test_when_callers_must_sign_in_then_nobody_else_gets_through(
    principal: str, status: int
) -> None:
    """Without the principal that App Service vouches for, a caller is a stranger."""
    backend = FakeBackend(b"{}")
    proxy = Proxy(
        backend=backend,
        routes=ROUTES,
        clock=FakeClock(),
        call_seconds=30.0,
        random_hex=lambda size: "ab" * size,
        needs_sign_in=True,
    )

    answer = await proxy.answer(caller(headers={"x-ms-client-principal-id": principal}))

    assert status == answer.status
    assert bool(backend.requests) == (status == HTTPStatus.OK)
    assert ("www-authenticate" in fields_of(answer)) == (status == HTTPStatus.UNAUTHORIZED)


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "url", "allow"),
    [
        ("POST", RECORDS, "GET, HEAD, OPTIONS"),
        ("PUT", RECORDS, "GET, HEAD, OPTIONS"),
        ("PATCH", f"{RECORDS}/EDDF", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("DELETE", f"{HOST}/api/aws/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_when_a_path_has_no_such_method_then_it_is_405_with_those_it_has(
    method: str, url: str, allow: str
) -> None:
    """The answer names the methods that the path answers to (RFC 9110 section 15.5.6)."""
    backend = FakeBackend()

    answer = await answer_of(backend, caller(method, url, body=b"{}"))

    assert (405, "request_method_not_allowed") == (answer.status, problem_of(answer)["code"])
    assert allow == fields_of(answer)["allow"]
    assert [] == backend.requests


async def test_when_head_is_asked_for_then_the_answer_is_gets_without_a_body() -> None:
    """API Gateway has no HEAD where the API declares GET, so GET is asked for."""
    backend = FakeBackend(b'{"items":[]}', headers=[("ETag", '"1"'), ("Content-Length", "12")])

    answer = await answer_of(backend, caller("HEAD"))

    assert ("GET", 200, b"", '"1"') == (
        backend.request.method,
        answer.status,
        answer.body,
        fields_of(answer)["etag"],
    )


async def test_when_options_is_asked_for_then_the_proxy_answers_by_itself() -> None:
    """The methods of a path are known here; no token is spent on the question."""
    backend = FakeBackend()

    answer = await answer_of(backend, caller("OPTIONS", f"{RECORDS}/EDDF"))

    assert (204, b"") == (answer.status, answer.body)
    assert "DELETE, GET, HEAD, OPTIONS, PUT" == fields_of(answer)["allow"]
    assert [] == backend.requests


# --- headers in -----------------------------------------------------------------------------------


async def test_when_headers_mean_something_to_the_api_then_they_go_along() -> None:
    """Every header of the allow-list arrives as it was."""
    backend = FakeBackend(b"{}")
    headers = {name: f"value of {name}" for name in FORWARDED_HEADERS}

    await answer_of(backend, caller(headers=headers))

    assert headers == {
        name: value
        for name, value in backend.request_headers.items()
        if name not in {"traceparent", "x-request-id"}
    }


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "connection",
        "cookie",
        "disguised-host",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "x-arr-ssl",
        "x-client-ip",
        "x-forwarded-for",
        "x-functions-key",
        "x-http-method-override",
        "x-ms-client-principal",
        "x-ms-token-aad-access-token",
        "x-original-url",
        "x-waws-unencoded-url",
        "x-anything-else",
    ],
)
async def test_when_a_header_is_not_for_the_api_then_it_does_not_go_along(name: str) -> None:
    """Credentials, cookies, hop-by-hop fields, and what Azure added stay behind."""
    backend = FakeBackend(b"{}")

    await answer_of(backend, caller(headers={name: "1", "Accept": "text/plain"}))

    assert {
        "accept": "text/plain",
        "accept-encoding": "identity",
        "traceparent": f"00-{'ab' * 16}-{'ab' * 8}-00",
        "x-request-id": "invocation-1",
    } == backend.request_headers


async def test_when_connection_names_a_header_then_that_is_hop_by_hop_too() -> None:
    """RFC 9110 section 7.6.1."""
    backend = FakeBackend(b"{}")

    await answer_of(
        backend, caller(headers={"connection": "close, If-Match", "if-match": '"1"', "prefer": "x"})
    )

    assert "if-match" not in backend.request_headers
    assert "x" == backend.request_headers["prefer"]


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\0", "a\x7f", "\u00fc", "\ud800"])
async def test_when_a_header_cannot_be_sent_then_the_request_is_refused(value: str) -> None:
    """A header with a line break in it would be two."""
    assert (400, "request_header_invalid") == await refusal(caller(headers={"if-match": value}))


@pytest.mark.parametrize(
    ("size", "is_sent"), [(MAX_HEADER_BYTES, True), (MAX_HEADER_BYTES + 1, False)]
)
async def test_when_headers_are_too_large_then_it_is_431(size: int, *, is_sent: bool) -> None:
    """API Gateway takes 10,240 bytes of headers; one more is refused here."""
    backend = FakeBackend(b"{}")
    headers = {"accept": "a" * (size - len("accept"))}

    answer = await answer_of(backend, caller(headers=headers))

    assert is_sent == bool(backend.requests)
    if not is_sent:
        assert (431, "request_headers_too_large") == (answer.status, problem_of(answer)["code"])


@pytest.mark.parametrize("name", ["cookie", "x-ms-client-principal", "x-arr-log-id"])
async def test_when_azures_own_headers_are_large_then_they_do_not_count(name: str) -> None:
    """What the API never sees cannot be too much for it."""
    backend = FakeBackend(b"{}")

    answer = await answer_of(backend, caller(headers={name: "a" * (MAX_HEADER_BYTES + 1)}))

    assert 200 == answer.status


@pytest.mark.parametrize(
    ("given_id", "sent"),
    [
        ("abc-123_4.5:6", "abc-123_4.5:6"),
        ("a" * 128, "a" * 128),
        ("a" * 129, "invocation-1"),
        ("", "invocation-1"),
        ("a b", "invocation-1"),
        ("a\nb", "invocation-1"),
    ],
)
async def test_when_the_caller_names_its_request_then_the_name_goes_all_the_way(
    given_id: str, sent: str
) -> None:
    """A usable request ID goes to the API and back to the caller; else the invocation's does."""
    backend = FakeBackend(b"{}", headers=[("X-Request-Id", "theirs")])

    answer = await answer_of(backend, caller(headers={"x-request-id": given_id}))

    assert sent == backend.request_headers["x-request-id"]
    assert [sent] == [value for name, value in answer.headers if name.lower() == "x-request-id"]


@pytest.mark.parametrize(
    ("host", "theirs", "sent"),
    [
        ((HOST_SPAN, "h=1"), (CALLER_SPAN, "c=1"), (HOST_SPAN, "h=1")),
        (("", ""), (CALLER_SPAN, "c=1"), (CALLER_SPAN, "c=1")),
        (("nonsense", "h=1"), (CALLER_SPAN, "c=1"), (CALLER_SPAN, "c=1")),
        ((HOST_SPAN, ""), (CALLER_SPAN, "c=1"), (HOST_SPAN, None)),
        (("", ""), (CALLER_SPAN.replace("00-", "ff-"), "c=1"), (None, None)),
        (("", ""), (CALLER_SPAN.upper().replace("00-1", "00-A"), "c=1"), (None, None)),
        (("", ""), (f"00-{'0' * 32}-{'2' * 16}-01", "c=1"), (None, None)),
        (("", ""), (f"00-{'1' * 32}-{'0' * 16}-01", "c=1"), (None, None)),
        (("", ""), (f"{CALLER_SPAN}-more", "c=1"), (None, None)),
        (("", ""), ("", "c=1"), (None, None)),
    ],
)
async def test_when_there_is_a_trace_then_it_goes_on(
    host: tuple[str, str], theirs: tuple[str, str], sent: tuple[str | None, str | None]
) -> None:
    """The host's span is the parent, else the caller's, else a new trace; the state fits it."""
    backend = FakeBackend(b"{}")
    headers = {"traceparent": theirs[0], "tracestate": theirs[1]}

    await answer_of(backend, caller(headers=headers, trace_parent=host[0], trace_state=host[1]))

    expected = sent[0] or f"00-{'ab' * 16}-{'ab' * 8}-00"
    assert (expected, sent[1]) == (
        backend.request_headers["traceparent"],
        backend.request_headers.get("tracestate"),
    )


# --- bodies ---------------------------------------------------------------------------------------


async def test_when_a_body_is_binary_then_it_arrives_byte_for_byte() -> None:
    """Every byte value passes, both ways."""
    every_byte = bytes(range(256)) * 3
    backend = FakeBackend(every_byte, headers=[("Content-Encoding", "gzip")])

    answer = await answer_of(backend, caller("PUT", f"{RECORDS}/a", body=every_byte))

    assert every_byte == backend.request.content == answer.body
    assert "gzip" == fields_of(answer)["content-encoding"]


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 200), (MAX_BODY + 1, 413)])
async def test_when_a_body_is_too_large_then_it_is_413(size: int, status: int) -> None:
    """API Gateway takes 10 MiB; one byte more is refused here."""
    backend = FakeBackend(b"{}")

    answer = await answer_of(backend, caller("PUT", f"{RECORDS}/a", body=bytes(size)))

    assert status == answer.status
    assert bool(backend.requests) == (status == HTTPStatus.OK)


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("PUT", {"transfer-encoding": "chunked"}, b""),
        ("PUT", {"transfer-encoding": "chunked"}, b"{}"),
        ("GET", {"transfer-encoding": "gzip, chunked"}, b""),
        ("PUT", {}, b""),
    ],
)
async def test_when_a_body_came_in_chunks_then_it_is_411(
    method: str, headers: dict[str, str], body: bytes
) -> None:
    """The host drops such a body, so passing the request on would write nothing over something."""
    url = f"{RECORDS}/a" if method == "PUT" else RECORDS

    assert (411, "request_length_required") == await refusal(
        caller(method, url, headers=headers, body=body)
    )


async def test_when_an_empty_body_is_announced_then_it_is_sent() -> None:
    """An empty body with Content-Length 0 is meant to be empty."""
    backend = FakeBackend(b"{}")

    answer = await answer_of(
        backend, caller("PUT", f"{RECORDS}/a", headers={"content-length": "0"})
    )

    assert (200, b"") == (answer.status, backend.request.content)


@pytest.mark.parametrize("length", ["1", "3", "-2", "2x", "", "+2"])
async def test_when_a_body_is_not_as_long_as_announced_then_it_is_400(length: str) -> None:
    """Half a record must not be written."""
    assert (400, "request_body_incomplete") == await refusal(
        caller("PUT", f"{RECORDS}/a", headers={"content-length": length}, body=b"{}")
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_when_a_method_takes_no_body_then_one_is_refused(method: str) -> None:
    """Dropping it in silence would not be what the caller meant."""
    assert (400, "request_body_unexpected") == await refusal(caller(method, body=b"{}"))


# --- headers out ----------------------------------------------------------------------------------


async def test_when_the_api_answers_then_hop_by_hop_headers_end_here() -> None:
    """What is between the API and us, and what the host does by itself, is not passed on."""
    backend = FakeBackend(
        b"{}",
        headers=[
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authenticate", "Basic"),
            ("Trailer", "X"),
            ("Upgrade", "h2c"),
            ("Content-Length", "2"),
            ("Date", "Sat, 21 Nov 2026 05:47:00 GMT"),
            ("Server", "x"),
            ("X-Ms-Anything", "1"),
            ("X-Arr-Anything", "1"),
            ("Content-Type", "application/json"),
            ("ETag", '"3"'),
            ("X-Amzn-RequestId", "r"),
        ],
    )

    answer = await answer_of(backend, caller())

    assert {
        "content-type": "application/json",
        "etag": '"3"',
        "x-amzn-requestid": "r",
        "x-request-id": "invocation-1",
    } == fields_of(answer)


async def test_when_the_api_repeats_a_header_then_it_is_joined_but_cookies_are_not() -> None:
    """The worker keeps the last of repeated fields, so we join them; a cookie cannot be joined."""
    backend = FakeBackend(
        b"{}",
        headers=[
            ("Set-Cookie", "a=1; Expires=Sat, 21 Nov 2026 05:47:00 GMT"),
            ("Vary", "Accept"),
            ("Set-Cookie", "b=2"),
            ("vary", "Origin"),
        ],
    )

    answer = await answer_of(backend, caller())

    assert ["a=1; Expires=Sat, 21 Nov 2026 05:47:00 GMT", "b=2"] == [
        value for name, value in answer.headers if name == "Set-Cookie"
    ]
    assert "Accept, Origin" == fields_of(answer)["vary"]


# --- problems -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 404, 409, 410, 412, 429, 500, 503])
async def test_when_the_api_answers_for_itself_then_its_answer_passes_through(status: int) -> None:
    """Status and body are the API's own business, its errors included."""
    backend = FakeBackend(b'{"code":"theirs"}', status=status, headers=[("Retry-After", "7")])

    answer = await answer_of(backend, caller())

    assert (status, b'{"code":"theirs"}', "7") == (
        answer.status,
        answer.body,
        fields_of(answer)["retry-after"],
    )


PROTECTED_PATHS = [
    (method, f"{HOST}/api/aws{route.path.replace('{id}', 'EDDF')}", route)
    for route in PROTECTED_ROUTES
    for method in ([route.method, "HEAD"] if route.method == "GET" else [route.method])
]
BY_POLICY = ("X-Amzn-ErrorType", "AccessDeniedException")


@pytest.mark.parametrize(("method", "url", "route"), PROTECTED_PATHS)
async def test_when_the_policy_closes_a_route_then_problem_and_log_name_its_role(
    method: str, url: str, route: Route, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway itself logs no reason then; HEAD is asked for as GET, so it needs that role."""
    backend = FakeBackend(b"{}", status=403, headers=[BY_POLICY])
    body = b"{}" if method == "PUT" else b""

    with caplog.at_level(logging.WARNING):
        answer = await answer_of(backend, caller(method, url, body=body))

    detail = problem_of(answer)["detail"]
    assert (502, "backend_refused_token") == (answer.status, problem_of(answer)["code"])
    assert f"for {route.method} {route.path}, which needs the app role {route.role};" in detail
    assert "EDDF" not in detail
    (line,) = caplog.records
    fields = vars(line)["bridge_fields"]
    assert ("policy", route.role, f"{route.method} {route.path}", "invocation-1") == (
        fields["refused_by"],
        fields["needed_role"],
        fields["route"],
        fields["request_id"],
    )


async def test_when_the_api_refuses_our_token_then_the_caller_gets_502_and_our_log_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The caller was let in by us: that our own token was refused is nothing that it can mend."""
    backend = FakeBackend(
        b'{"message":"Unauthorized: private reason"}',
        status=401,
        headers=[
            ("X-Amzn-ErrorType", "UnauthorizedException"),
            ("X-Amzn-RequestId", "aws-1"),
            ("WWW-Authenticate", "Bearer x"),
        ],
    )

    with caplog.at_level(logging.WARNING):
        answer = await answer_of(backend, caller())

    document = problem_of(answer)
    assert (502, "backend_refused_token", "invocation-1") == (
        answer.status,
        document["code"],
        document["request_id"],
    )
    assert "private reason" not in answer.body.decode()
    assert "app role" not in document["detail"]
    assert "www-authenticate" not in fields_of(answer)
    (line,) = caplog.records
    fields = vars(line)["bridge_fields"]
    assert (401, "authorizer", "UnauthorizedException", "Bearer x", "aws-1") == (
        fields["status"],
        fields["refused_by"],
        fields["error_type"],
        fields["challenge"],
        fields["aws_request_id"],
    )
    assert "private reason" in fields["answer"]


async def test_when_something_else_answers_403_then_no_role_is_guessed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A firewall's refusal is none of the policy's, and its words stay in our log."""
    backend = FakeBackend(
        b"<html>private page</html>",
        status=403,
        headers=[("X-Amzn-ErrorType", "WafFilteredException")],
    )

    with caplog.at_level(logging.WARNING):
        answer = await answer_of(backend, caller("DELETE", f"{RECORDS}/EDDF"))

    assert (502, "backend_forbidden") == (answer.status, problem_of(answer)["code"])
    assert "Records." not in answer.body.decode()
    assert "private page" not in answer.body.decode()
    (line,) = caplog.records
    fields = vars(line)["bridge_fields"]
    assert ("elsewhere", "a firewall refused the request") == (
        fields["refused_by"],
        fields["advice"],
    )
    assert "private page" in fields["answer"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (TokenAcquisitionError("No token."), 503, "token_unavailable", "5"),
        (TokenAcquisitionError("No token.", retry_after=0.2), 503, "token_unavailable", "1"),
        (CircuitOpen("Left alone.", retry_after=12.1), 503, "circuit_open", "13"),
        (Overloaded("Too much.", retry_after=1.0), 503, "overloaded", "1"),
        (
            BackendUnavailable("No route.", code="backend_unreachable"),
            502,
            "backend_unreachable",
            None,
        ),
        (BackendContractError("Nonsense."), 502, "backend_contract", None),
        (DeadlineExceeded("Too late."), 504, "deadline_exceeded", None),
    ],
)
async def test_when_there_is_no_answer_then_the_problem_says_why(
    error: Exception, status: int, code: str, retry_after: str | None
) -> None:
    """Each kind of failure has one status and a stable code; every 503 says when to come back."""
    answer = await answer_of(FakeBackend(error=error), caller())

    document = problem_of(answer)
    assert (status, code, str(error)) == (answer.status, document["code"], document["detail"])
    assert retry_after == fields_of(answer).get("retry-after")
    assert "no-store" == fields_of(answer)["cache-control"]


async def test_when_something_unexpected_happens_then_the_caller_learns_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug is a 500 with a code; what it says is in our log, under the same request ID."""
    answer = await answer_of(FakeBackend(error=RuntimeError("private detail")), caller())

    assert (500, "internal_error") == (answer.status, problem_of(answer)["code"])
    assert "private" not in answer.body.decode()
    assert "private detail" in caplog.text
    assert "invocation-1" in caplog.text


async def test_when_a_call_ends_then_one_line_says_how(caplog: pytest.LogCaptureFixture) -> None:
    """Method, status, code and time; not the URL, which can hold what is nobody's business."""
    with caplog.at_level(logging.INFO):
        await answer_of(FakeBackend(b"{}"), caller(url=f"{RECORDS}?cursor=secret"))

    (line,) = caplog.records
    assert "proxy_call" == line.getMessage()
    assert {
        "request_id": "invocation-1",
        "method": "GET",
        "status": 200,
        "code": None,
        "milliseconds": 0.0,
    } == vars(line)["bridge_fields"]
