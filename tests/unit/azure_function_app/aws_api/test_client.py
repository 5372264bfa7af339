"""The API as the rest of the Function App sees it, over answers made up here."""

import base64
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import httpx
import pytest

from azure_function_app.aws_api.aiohttp_transport import CertificateError
from azure_function_app.aws_api.circuit_breaker import FAILURES_IN_A_ROW, OPEN_SECONDS
from azure_function_app.aws_api.client import (
    MAX_BODY,
    ApiRequest,
    AwsApi,
    backend_error,
    build_aws_api,
    error_for_status,
)
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import (
    BackendContractError,
    BackendError,
    BackendRejected,
    BackendUnavailable,
    CircuitOpen,
    DeadlineExceeded,
    RequestRefused,
    TokenRefused,
)
from azure_function_app.settings import load_settings
from shared.clock import SystemClock
from tests.support.calling import TOKEN, build_api, build_token_provider, token_source
from tests.support.fake_clock import FakeClock

GZIP = ("content-encoding", "gzip")
PAGE = {"items": [], "next_cursor": "c1", "has_more": False}


class Body(httpx.AsyncByteStream):
    """A body that comes in two pieces, as a real one may."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        half = len(self.content) // 2
        yield self.content[:half]
        yield self.content[half:]


@dataclass
class Answer:
    """What the API answers."""

    status: int = 200
    content: bytes = b""
    headers: Sequence[tuple[str, str]] = ()

    def __call__(self, _: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, headers=list(self.headers), stream=Body(self.content))


type Handler = Callable[[httpx.Request], httpx.Response]


class Api:
    """The API client over a handler, on a clock that pauses move."""

    def __init__(self, handle: Handler, token: str = TOKEN) -> None:
        self.clock = FakeClock()
        self.requests: list[httpx.Request] = []
        self.handle = handle
        self.api: AwsApi = build_api(
            "https://api.example/prod",
            httpx.AsyncClient(transport=httpx.MockTransport(self.receive)),
            clock=self.clock,
            tokens=build_token_provider(token_source(self.clock, token), self.clock),
            sleep=self.sleep,
        )

    def receive(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.handle(request)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def deadline(self, seconds: float = 30.0) -> Deadline:
        return Deadline.after(seconds, self.clock)


def answering(status: int = 200, content: bytes = b"", *headers: tuple[str, str]) -> Api:
    """An API that always gives that answer."""
    return Api(Answer(status, content, headers))


def raising(error: Exception) -> Api:
    """An API that always fails in that way."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return Api(fail)


def problem(status: int, code: object) -> Api:
    """An API that answers with a problem document."""
    content_type = ("content-type", "application/problem+json; charset=utf-8")
    return answering(status, json.dumps({"code": code}).encode(), content_type)


@pytest.mark.parametrize(
    ("cursor", "query"),
    [(None, "limit=500"), ("", "limit=500"), ("a b/+=&c", "cursor=a%20b%2F%2B%3D%26c&limit=500")],
)
async def test_when_changes_are_asked_for_then_cursor_and_limit_are_in_the_query(
    cursor: str | None, query: str
) -> None:
    """Encoded, so that any cursor comes back as it was; none is sent for the beginning."""
    api = answering(200, json.dumps(PAGE).encode())

    await api.api.changes(cursor, limit=500, deadline=api.deadline())

    (request,) = api.requests
    decoded = httpx.QueryParams(request.url.query.decode())
    assert f"https://api.example/prod/v1/records?{query}".split("?")[0] == str(
        request.url.copy_with(query=None)
    )
    assert decoded == httpx.QueryParams(query)
    assert f"Bearer {TOKEN}" == request.headers["authorization"]


async def test_when_a_page_is_compressed_then_it_is_read_all_the_same() -> None:
    """The feed decodes what the gateway coded."""
    api = answering(200, gzip.compress(json.dumps(PAGE).encode()), GZIP)

    page = await api.api.changes(None, limit=1, deadline=api.deadline())

    assert "c1" == page.next_cursor


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, b"not json"), "JSON"),
        (Answer(200, b"zip", [GZIP]), "coded"),
        (
            Answer(200, json.dumps(PAGE | {"has_more": True, "next_cursor": "c0"}).encode()),
            "move on",
        ),
        (Answer(200, bytes(MAX_BODY + 1)), "larger"),
    ],
)
async def test_when_an_answer_is_no_page_then_it_is_a_contract_error(
    answer: Answer, reason: str
) -> None:
    """Not JSON, not coded as it says, a cursor that stands still, more than the gateway allows."""
    api = Api(answer)

    with pytest.raises(BackendContractError, match=reason):
        await api.api.changes("c0", limit=1, deadline=api.deadline())


@pytest.mark.parametrize(
    ("api", "kind", "code"),
    [
        (problem(400, "cursor_invalid"), BackendRejected, "cursor_invalid"),
        (problem(410, "cursor_expired"), BackendRejected, "cursor_expired"),
        (problem(404, "not_found"), BackendRejected, "not_found"),
        (answering(404, b'{"message":"x"}'), BackendRejected, "backend_rejected"),
        (problem(400, "Not A Code\n"), BackendRejected, "backend_rejected"),
        (problem(400, ["x"]), BackendRejected, "backend_rejected"),
        (answering(401, b'{"message":"Unauthorized"}'), BackendRejected, "backend_401"),
        (answering(403, b'{"Message":"User is not"}'), BackendRejected, "backend_403"),
        (problem(403, "role_missing"), BackendRejected, "role_missing"),
        (answering(500, b'{"message":null}'), BackendUnavailable, "backend_500"),
        (answering(503), BackendUnavailable, "backend_503"),
        (answering(302, b"", ("location", "/")), BackendContractError, "backend_contract"),
        (answering(204), BackendContractError, "backend_contract"),
    ],
)
async def test_when_the_status_is_not_200_then_the_error_tells_which_kind(
    api: Api, kind: type[BackendError], code: str
) -> None:
    """The API's own code where it gives one that looks like a code, else ours."""
    with pytest.raises(kind) as caught:
        await api.api.changes(None, limit=1, deadline=api.deadline())

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("claims", "has_role", "held"),
    [
        ({"roles": ["Records.Write", "x"]}, False, ["Records.Write"]),
        ({}, False, []),
        ({"roles": "Records.Read"}, None, None),
        (None, None, None),
    ],
)
async def test_when_the_feed_is_closed_to_us_then_error_and_log_name_the_role(
    claims: dict[str, object] | None,
    has_role: bool | None,  # noqa: FBT001 - a row's own
    held: list[str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The sync job has nobody to show a problem to, so it is all in its log; never the token."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    token = f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"
    api = Api(Answer(403, b"{}", [("x-amzn-errortype", "AccessDeniedException")]), token)

    with caplog.at_level(logging.WARNING), pytest.raises(TokenRefused) as caught:
        await api.api.changes(None, limit=1, deadline=api.deadline())

    assert "GET /v1/records, which needs the app role Records.Read" in str(caught.value)
    (line,) = caplog.records
    fields = vars(line)["bridge_fields"]
    assert "token_refused" == line.getMessage()
    assert ("backend_403", has_role, held) == (
        fields["code"],
        fields["token_has_role"],
        fields["token_roles"],
    )
    assert payload not in repr(fields)


async def test_when_an_answer_is_no_refusal_then_our_token_is_not_read() -> None:
    """Reading it is for diagnosis only."""
    api = answering(404)

    answer = await api.api.fetch(ApiRequest("GET", "/v1/records"), deadline=api.deadline())

    assert answer.token_roles is None


def test_when_the_api_is_busy_then_the_error_says_when_to_come_back() -> None:
    """429 and 503 may carry Retry-After."""
    busy = error_for_status(429, None, 7.0)

    assert ("backend_throttled", 7.0, True) == (busy.code, busy.retry_after, busy.retryable)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ConnectError("x"), "backend_unreachable"),
        (httpx.ConnectTimeout("x"), "backend_unreachable"),
        (CertificateError("x"), "backend_tls"),
        (httpx.ReadTimeout("x"), "backend_timeout"),
        (httpx.RemoteProtocolError("x"), "backend_protocol"),
        (httpx.ReadError("x"), "backend_protocol"),
        (httpx.LocalProtocolError("x"), "request_refused"),
    ],
)
async def test_when_the_way_fails_then_the_error_has_a_code_of_its_own(
    error: httpx.TransportError, code: str
) -> None:
    """Each with the httpx error as its cause, and none of that error's words."""
    api = raising(error)

    with pytest.raises(type(backend_error(error))) as caught:
        await api.api.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert code == caught.value.code
    assert error is caught.value.__cause__


async def test_when_a_path_leads_elsewhere_then_nothing_is_sent() -> None:
    """Refused before there is a request at all."""
    api = answering()

    with pytest.raises(RequestRefused):
        await api.api.fetch(ApiRequest("GET", "/../dev/v1"), deadline=api.deadline())
    assert [] == api.requests


@pytest.mark.parametrize(
    "headers", [(("host", "evil.example"),), (("Host", "api.example"), ("Host", "evil.example"))]
)
async def test_when_a_caller_sets_the_host_then_nothing_is_sent(
    headers: tuple[tuple[str, str], ...],
) -> None:
    """The Host header is not the caller's to choose."""
    api = answering()

    with pytest.raises(RequestRefused):
        await api.api.fetch(ApiRequest("GET", "/v1", headers=headers), deadline=api.deadline())
    assert [] == api.requests


async def test_when_a_header_cannot_be_encoded_then_the_request_is_refused() -> None:
    """Names and values go out as ASCII."""
    api = answering()

    with pytest.raises(RequestRefused):
        await api.api.fetch(
            ApiRequest("GET", "/v1", headers=(("x-a", "€"),)), deadline=api.deadline()
        )


async def test_when_a_request_is_fetched_then_all_of_it_arrives() -> None:
    """Method, path, query, repeated headers and body."""
    api = answering(201, b"made", ("set-cookie", "a=1"), ("set-cookie", "b=2"))

    response = await api.api.fetch(
        ApiRequest("POST", "/v1/a%20b", "x=1&x=2", (("x-a", "1"), ("x-a", "2")), b"body"),
        deadline=api.deadline(),
    )

    (request,) = api.requests
    assert ("POST", b"/prod/v1/a%20b?x=1&x=2") == (request.method, request.url.raw_path)
    assert ["1", "2"] == request.headers.get_list("x-a")
    assert b"body" == request.content
    assert (201, b"made") == (response.status_code, response.content)
    assert ["a=1", "b=2"] == response.headers.get_list("set-cookie")


async def test_when_an_answer_is_fetched_then_its_body_is_not_decoded() -> None:
    """A proxy hands on what came, with the header that says how it is coded."""
    coded = gzip.compress(b"text")
    api = answering(200, coded, GZIP)

    response = await api.api.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert coded == response.content


async def test_when_a_body_is_at_the_gateways_limit_then_it_is_taken() -> None:
    """Ten megabytes, as API Gateway has it."""
    api = answering(200, bytes(MAX_BODY))

    response = await api.api.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert MAX_BODY == len(response.content)


async def test_when_a_body_is_over_the_gateways_limit_then_it_is_refused() -> None:
    """By one byte."""
    api = answering(200, bytes(MAX_BODY + 1))

    with pytest.raises(BackendContractError) as caught:
        await api.api.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())
    assert "backend_too_large" == caught.value.code


async def test_when_a_request_is_sent_then_its_deadline_goes_with_it() -> None:
    """The transport holds it, for head and body."""
    api = answering()
    deadline = api.deadline()

    await (await api.api.send(ApiRequest("GET", "/v1"), deadline=deadline)).aclose()

    assert deadline is api.requests[0].extensions[DEADLINE_EXTENSION]


@pytest.mark.parametrize(
    "broken",
    [
        answering(503),
        answering(502),
        raising(httpx.ReadTimeout("x")),
        raising(DeadlineExceeded("x")),
    ],
)
async def test_when_the_api_fails_often_in_a_row_then_it_is_left_alone(broken: Api) -> None:
    """Ten attempts; the next call is refused without being sent."""
    for _ in range(FAILURES_IN_A_ROW):
        await _outcome(broken, "POST")

    with pytest.raises(CircuitOpen):
        await broken.api.fetch(ApiRequest("POST", "/v1"), deadline=broken.deadline())
    assert FAILURES_IN_A_ROW == len(broken.requests)


async def test_when_the_api_has_recovered_then_calls_pass_again() -> None:
    """After the pause one call probes, and finds it well."""
    api = answering(503)
    for _ in range(FAILURES_IN_A_ROW):
        await _outcome(api, "POST")
    api.handle = Answer()
    api.clock.advance(OPEN_SECONDS)

    assert [200, 200] == [await _outcome(api, "POST") for _ in range(2)]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_when_the_api_answers_at_all_then_the_circuit_stays_closed(status: int) -> None:
    """A refusal, a throttled call or a bug of the backend is no sign of a broken gateway."""
    api = answering(status)

    outcomes = [await _outcome(api, "POST") for _ in range(3 * FAILURES_IN_A_ROW)]

    assert {status} == set(outcomes)


async def test_when_settings_are_given_then_everything_is_built_from_them() -> None:
    """Nothing is connected to, and no token asked for, until somebody calls."""
    api = build_aws_api(
        load_settings(
            {
                "AWS_API_BASE_URL": "https://api.example/prod",
                "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
                "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
            }
        ),
        SystemClock(),
    )

    with pytest.raises(RequestRefused):
        await api.fetch(ApiRequest("GET", "/../x"), deadline=Deadline.after(1, SystemClock()))
    await api.aclose()


async def _outcome(api: Api, method: str) -> object:
    try:
        response = await api.api.fetch(ApiRequest(method, "/v1"), deadline=api.deadline())
    except (BackendUnavailable, DeadlineExceeded) as error:
        return error.code
    return response.status_code


async def test_when_a_post_has_an_idempotency_key_then_it_is_repeated_with_the_same_one() -> None:
    """The key is made once a call, not once an attempt."""
    api = answering(503)

    await api.api.fetch(
        ApiRequest("POST", "/v1").with_idempotency_key("k1"), deadline=api.deadline()
    )

    assert ['"k1"'] * 3 == [request.headers["idempotency-key"] for request in api.requests]


def test_when_a_request_brings_its_own_key_then_that_one_stays() -> None:
    """Whatever the case of its name."""
    request = ApiRequest("POST", "/v1", headers=(("Idempotency-Key", "theirs"),))

    assert request is request.with_idempotency_key("ours")


async def test_when_no_time_is_left_then_nothing_is_sent_and_the_api_is_not_blamed() -> None:
    """A deadline that had passed before says nothing about the API."""
    api = answering()

    for _ in range(FAILURES_IN_A_ROW + 1):
        with pytest.raises(DeadlineExceeded):
            await api.api.fetch(ApiRequest("POST", "/v1"), deadline=api.deadline(0))
    assert [] == api.requests
    assert 200 == await _outcome(api, "POST")


async def test_when_a_streamed_answer_is_replaced_then_it_is_closed() -> None:
    """A retry leaves no connection behind."""
    api = Api(lambda _: httpx.Response(503 if len(api.requests) < 2 else 200, stream=Body(b"x")))

    response = await api.api.send(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert (200, 2) == (response.status_code, len(api.requests))
    assert b"x" == await response.aread()


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"[]"])
async def test_when_a_problem_document_is_broken_then_our_own_code_serves(content: bytes) -> None:
    """What cannot be read is no code."""
    api = answering(400, content, ("content-type", "application/problem+json"))

    with pytest.raises(BackendRejected) as caught:
        await api.api.changes(None, limit=1, deadline=api.deadline())
    assert "backend_rejected" == caught.value.code
