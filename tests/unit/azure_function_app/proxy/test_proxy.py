"""The proxy: what gets through to the API, what comes back, and what neither does."""

import logging
from http import HTTPStatus

import pytest

from azure_function_app.aws_api.client import MAX_BODY
from azure_function_app.errors import (
    BackendContractError,
    BackendUnavailable,
    CircuitOpen,
    DeadlineExceeded,
    Overloaded,
    TokenAcquisitionError,
)
from shared.log import JsonLines
from shared.routes import PROTECTED_ROUTES, Route
from tests.support.fake_api import FakeApi
from tests.support.proxy_calls import (
    HOST,
    RECORDS,
    answer_of,
    caller,
    fields_of,
    problem_of,
    refusal,
)

HOST_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLER_SPAN = "00-11111111111111111111111111111111-2222222222222222-01"


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
    api = FakeApi()

    answer = await answer_of(api, caller(method, url, body=b"{}"))

    assert (405, "request_method_not_allowed") == (answer.status, problem_of(answer)["code"])
    assert allow == fields_of(answer)["allow"]
    assert [] == api.requests


async def test_when_head_is_asked_for_then_the_answer_is_gets_without_a_body() -> None:
    """API Gateway has no HEAD where the API declares GET, so GET is asked for."""
    api = FakeApi(b'{"items":[]}', headers=[("ETag", '"1"'), ("Content-Length", "12")])

    answer = await answer_of(api, caller("HEAD"))

    assert ("GET", 200, b"", '"1"') == (
        api.request.method,
        answer.status,
        answer.body,
        fields_of(answer)["etag"],
    )


async def test_when_options_is_asked_for_then_the_proxy_answers_by_itself() -> None:
    """The methods of a path are known here; no token is spent on the question."""
    api = FakeApi()

    answer = await answer_of(api, caller("OPTIONS", f"{RECORDS}/EDDF"))

    assert (204, b"") == (answer.status, answer.body)
    assert "DELETE, GET, HEAD, OPTIONS, PUT" == fields_of(answer)["allow"]
    assert [] == api.requests


@pytest.mark.parametrize("status", [-1, 0, 100, 101, 103, 199, 600, 999, 1000])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_when_the_apis_status_is_none_then_that_is_said(status: int, method: str) -> None:
    """The host can send only 200 to 599, and would fail with an empty 500."""
    api = FakeApi(b"{}", status=status)

    answer = await answer_of(
        api, caller(method, f"{RECORDS}/a", body=b"{}" if method == "PUT" else b"")
    )

    assert (502, "backend_answer_invalid", "invocation-1") == (
        answer.status,
        problem_of(answer)["code"],
        problem_of(answer)["request_id"],
    )
    assert str(status) in problem_of(answer)["detail"]


@pytest.mark.parametrize(("status", "body"), [(204, b""), (205, b""), (304, b""), (599, b"{}")])
async def test_when_a_status_has_no_body_then_none_is_passed_on(status: int, body: bytes) -> None:
    """The host fails where a body comes with one of those (RFC 9110 sections 15.3.5 and 15.3.6)."""
    answer = await answer_of(FakeApi(b"{}", status=status), caller())

    assert (status, body) == (answer.status, answer.body)


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
    api = FakeApi(b"{}", headers=[("X-Request-Id", "theirs")])

    answer = await answer_of(api, caller(headers={"x-request-id": given_id}))

    assert sent == api.request_headers["x-request-id"]
    assert [sent] == [value for name, value in answer.headers if name.lower() == "x-request-id"]


@pytest.mark.parametrize(
    ("host", "theirs", "sent"),
    [
        ((HOST_SPAN, "h=1"), (CALLER_SPAN, "c=1"), (HOST_SPAN, "h=1")),
        (("", ""), (CALLER_SPAN, "c=1"), (CALLER_SPAN, "c=1")),
        (("nonsense", "h=1"), (CALLER_SPAN, "c=1"), (CALLER_SPAN, "c=1")),
        ((HOST_SPAN, ""), (CALLER_SPAN, "c=1"), (HOST_SPAN, None)),
        ((HOST_SPAN, "no state"), ("", ""), (HOST_SPAN, None)),
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
    """The host's trace goes on, else the caller's, else a new one; the state fits it.

    The call to the API is a span of its own, and AWS's header says the same as W3C's.
    """
    api = FakeApi(b"{}")
    headers = {"traceparent": theirs[0], "tracestate": theirs[1]}

    await answer_of(api, caller(headers=headers, trace_parent=host[0], trace_state=host[1]))

    _, trace_id, _, flags = (sent[0] or f"00-{'ab' * 16}-none-00").split("-")
    assert (
        f"00-{trace_id}-{'ab' * 8}-{flags}",
        f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={'ab' * 8};Sampled={flags[1]}",
        sent[1],
    ) == (
        api.request_headers["traceparent"],
        api.request_headers["x-amzn-trace-id"],
        api.request_headers.get("tracestate"),
    )


async def test_when_a_body_is_binary_then_it_arrives_byte_for_byte() -> None:
    """Every byte value passes, both ways."""
    every_byte = bytes(range(256)) * 3
    api = FakeApi(every_byte, headers=[("Content-Encoding", "gzip")])

    answer = await answer_of(api, caller("PUT", f"{RECORDS}/a", body=every_byte))

    assert every_byte == api.request.content == answer.body
    assert "gzip" == fields_of(answer)["content-encoding"]


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 200), (MAX_BODY + 1, 413)])
async def test_when_a_body_is_too_large_then_it_is_413(size: int, status: int) -> None:
    """API Gateway takes 10 MiB; one byte more is refused here."""
    api = FakeApi(b"{}")

    answer = await answer_of(api, caller("PUT", f"{RECORDS}/a", body=bytes(size)))

    assert status == answer.status
    assert bool(api.requests) == (status == HTTPStatus.OK)


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
    api = FakeApi(b"{}")

    answer = await answer_of(api, caller("PUT", f"{RECORDS}/a", headers={"content-length": "0"}))

    assert (200, b"") == (answer.status, api.request.content)


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


@pytest.mark.parametrize("status", [200, 201, 400, 404, 409, 410, 412, 429, 500, 503])
async def test_when_the_api_answers_for_itself_then_its_answer_passes_through(status: int) -> None:
    """Status and body are the API's own business, its errors included."""
    api = FakeApi(b'{"code":"theirs"}', status=status, headers=[("Retry-After", "7")])

    answer = await answer_of(api, caller())

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
    api = FakeApi(b"{}", status=403, headers=[BY_POLICY])
    body = b"{}" if method == "PUT" else b""

    with caplog.at_level(logging.WARNING):
        answer = await answer_of(api, caller(method, url, body=body))

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
    api = FakeApi(
        b'{"message":"Unauthorized: private reason"}',
        status=401,
        headers=[
            ("X-Amzn-ErrorType", "UnauthorizedException"),
            ("X-Amzn-RequestId", "aws-1"),
            ("WWW-Authenticate", "Bearer x"),
        ],
    )

    with caplog.at_level(logging.WARNING):
        answer = await answer_of(api, caller())

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


async def test_when_a_firewall_answers_403_then_no_role_is_guessed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A firewall's refusal is none of the policy's, and its words stay in our log."""
    api = FakeApi(
        b"<html>private page</html>",
        status=403,
        headers=[("X-Amzn-ErrorType", "WafFilteredException")],
    )

    with caplog.at_level(logging.WARNING):
        answer = await answer_of(api, caller("DELETE", f"{RECORDS}/EDDF"))

    assert (502, "backend_firewall") == (answer.status, problem_of(answer)["code"])
    assert "Records." not in answer.body.decode()
    assert "private page" not in answer.body.decode()
    (line,) = caplog.records
    fields = vars(line)["bridge_fields"]
    assert "firewall" == fields["refused_by"]
    assert "web ACL" in fields["advice"]
    assert "private page" in fields["answer"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (TokenAcquisitionError("No token."), 503, "token_unavailable", "5"),
        (
            TokenAcquisitionError("No token.", retry_after_seconds=0.2),
            503,
            "token_unavailable",
            "1",
        ),
        (CircuitOpen("Left alone.", retry_after_seconds=12.1), 503, "circuit_open", "13"),
        (Overloaded("Too much.", retry_after_seconds=1.0), 503, "overloaded", "1"),
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
    answer = await answer_of(FakeApi(error=error), caller())

    document = problem_of(answer)
    assert (status, code, str(error)) == (answer.status, document["code"], document["detail"])
    assert retry_after == fields_of(answer).get("retry-after")
    assert "no-store" == fields_of(answer)["cache-control"]


async def test_when_something_unexpected_happens_then_the_caller_learns_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug is a 500 with a code; what it says is in our log, under the same request ID."""
    caplog.handler.setFormatter(JsonLines())

    answer = await answer_of(FakeApi(error=RuntimeError("private detail")), caller())

    assert (500, "internal_error") == (answer.status, problem_of(answer)["code"])
    assert "private" not in answer.body.decode()
    assert "private detail" in caplog.text
    assert '"request_id": "invocation-1"' in caplog.text


async def test_when_a_call_ends_then_one_line_says_how(caplog: pytest.LogCaptureFixture) -> None:
    """Method, status, code and time; not the URL, which can hold what is nobody's business."""
    api = FakeApi(b"{}", headers=[("x-amzn-RequestId", "theirs-1")])

    with caplog.at_level(logging.INFO):
        await answer_of(api, caller(url=f"{RECORDS}/secret?cursor=secret", trace_parent=HOST_SPAN))

    (line,) = caplog.records
    assert "proxy_call" == line.getMessage()
    assert {
        "trace_id": HOST_SPAN[3:35],
        "request_id": "invocation-1",
        "aws_request_id": "theirs-1",
        "method": "GET",
        "route": "/v1/records/{id}",
        "status": 200,
        "code": None,
        "milliseconds": 0.0,
    } == vars(line)["bridge_fields"]
