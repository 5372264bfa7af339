"""The API as the rest of the Function App sees it, over responses made up here."""

import gzip

import httpx
import pytest
from pytest_httpx import HTTPXMock

from azure_function_app.aws_api.circuit_breaker import FAILURES_IN_A_ROW, OPEN_SECONDS
from azure_function_app.aws_api.client import (
    BUSY_CODES,
    MAX_BODY,
    ApiRequest,
    backend_error,
)
from azure_function_app.call_trace import TraceHeaders, Tracer
from azure_function_app.deadline import DEADLINE_EXTENSION
from azure_function_app.errors import (
    BackendContractError,
    BackendUnavailable,
    CircuitOpen,
    DeadlineExceeded,
    RequestRefused,
)
from azure_function_app.http1.errors import CertificateError
from tests.support.canned_api import (
    Body,
    Canned,
    CannedApi,
    Handler,
    answering,
    problem,
    raising,
)
from tests.support.recorded_spans import recorded_spans

TRACER = Tracer(lambda size: "cd" * size)
GZIP = ("content-encoding", "gzip")
PROBLEM = ("content-type", "application/problem+json")


async def test_when_an_answer_is_no_refusal_then_our_token_is_not_read(api: CannedApi) -> None:
    """Reading it is for diagnosis only."""
    api.handle = answering(404)

    answer = await api.client.fetch(ApiRequest("GET", "/v1/records"), deadline=api.deadline())

    assert answer.token_roles is None


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
    api: CannedApi, error: httpx.TransportError, code: str
) -> None:
    """Each with the httpx error as its cause, and none of that error's words."""
    api.handle = raising(error)

    with pytest.raises(type(backend_error(error))) as caught:
        await api.client.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert code == caught.value.code
    assert error is caught.value.__cause__


async def test_when_a_path_leads_elsewhere_then_nothing_is_sent(api: CannedApi) -> None:
    """Refused before there is a request at all."""
    with pytest.raises(RequestRefused):
        await api.client.fetch(ApiRequest("GET", "/../dev/v1"), deadline=api.deadline())
    assert [] == api.requests


@pytest.mark.parametrize(
    "headers", [(("host", "evil.example"),), (("Host", "api.example"), ("Host", "evil.example"))]
)
async def test_when_a_caller_sets_the_host_then_nothing_is_sent(
    api: CannedApi, headers: tuple[tuple[str, str], ...]
) -> None:
    """The Host header is not the caller's to choose."""
    with pytest.raises(RequestRefused):
        await api.client.fetch(ApiRequest("GET", "/v1", headers=headers), deadline=api.deadline())
    assert [] == api.requests


async def test_when_a_header_cannot_be_encoded_then_the_request_is_refused(api: CannedApi) -> None:
    """Names and values go out as ASCII."""
    with pytest.raises(RequestRefused):
        await api.client.fetch(
            ApiRequest("GET", "/v1", headers=(("x-a", "€"),)), deadline=api.deadline()
        )


async def test_when_a_request_is_fetched_then_all_of_it_arrives(api: CannedApi) -> None:
    """Method, path, query, repeated headers and body."""
    api.handle = answering(201, b"made", ("set-cookie", "a=1"), ("set-cookie", "b=2"))

    response = await api.client.fetch(
        ApiRequest("POST", "/v1/a%20b", "x=1&x=2", (("x-a", "1"), ("x-a", "2")), b"body"),
        deadline=api.deadline(),
    )

    (request,) = api.requests
    assert ("POST", b"/prod/v1/a%20b?x=1&x=2") == (request.method, request.url.raw_path)
    assert ["1", "2"] == request.headers.get_list("x-a")
    assert b"body" == request.content
    assert (201, b"made") == (response.status_code, response.content)
    assert ["a=1", "b=2"] == response.headers.get_list("set-cookie")


async def test_when_an_answer_is_fetched_then_its_body_is_not_decoded(api: CannedApi) -> None:
    """A proxy hands on what came, with the header that says how it is coded."""
    coded = gzip.compress(b"text")
    api.handle = answering(200, coded, GZIP)

    response = await api.client.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert coded == response.content


async def test_when_an_answer_is_read_then_it_is_asked_for_in_what_we_undo(api: CannedApi) -> None:
    """One coding is offered, and undone."""
    api.handle = answering(200, gzip.compress(b"text"), GZIP)

    response = await api.client.read(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert ["gzip"] == api.requests[0].headers.get_list("accept-encoding")
    assert b"text" == response.content


@pytest.mark.parametrize(
    ("coding", "content", "code"),
    [
        ("gzip", b"text", "backend_contract"),
        ("br", b"text", "backend_contract"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"text", mtime=0), mtime=0), "backend_contract"),
        ("gzip", gzip.compress(bytes(MAX_BODY + 1)), "backend_too_large"),
    ],
)
async def test_when_an_answer_cannot_be_decoded_then_that_is_a_broken_promise(
    api: CannedApi, coding: str, content: bytes, code: str
) -> None:
    """What comes out is the body that was meant, or nothing; it is asked for once."""
    api.handle = answering(200, content, ("content-encoding", coding))

    with pytest.raises(BackendContractError) as caught:
        await api.client.read(ApiRequest("GET", "/v1"), deadline=api.deadline())
    assert code == caught.value.code
    assert 1 == len(api.requests)


async def test_when_a_body_is_at_the_gateways_limit_then_it_is_taken(api: CannedApi) -> None:
    """Ten megabytes, as API Gateway has it."""
    api.handle = answering(200, bytes(MAX_BODY))

    response = await api.client.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert MAX_BODY == len(response.content)


async def test_when_a_body_is_over_the_gateways_limit_then_it_is_refused(api: CannedApi) -> None:
    """By one byte."""
    api.handle = answering(200, bytes(MAX_BODY + 1))

    with pytest.raises(BackendContractError) as caught:
        await api.client.fetch(ApiRequest("GET", "/v1"), deadline=api.deadline())
    assert "backend_too_large" == caught.value.code


async def test_when_a_request_is_sent_then_its_deadline_goes_with_it(api: CannedApi) -> None:
    """The transport holds it, for head and body."""
    deadline = api.deadline()

    await (await api.client.send(ApiRequest("GET", "/v1"), deadline=deadline)).aclose()

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
async def test_when_the_api_fails_often_in_a_row_then_it_is_left_alone(
    api: CannedApi, broken: Handler
) -> None:
    """Ten attempts; the next call is refused without being sent."""
    api.handle = broken
    for _ in range(FAILURES_IN_A_ROW):
        await _outcome(api, "POST")

    with pytest.raises(CircuitOpen):
        await api.client.fetch(ApiRequest("POST", "/v1"), deadline=api.deadline())
    assert FAILURES_IN_A_ROW == len(api.requests)


async def test_when_the_api_has_recovered_then_calls_pass_again(api: CannedApi) -> None:
    """After the pause one call probes, and finds it well."""
    api.handle = answering(503)
    for _ in range(FAILURES_IN_A_ROW):
        await _outcome(api, "POST")
    api.handle = Canned()
    api.clock.advance(OPEN_SECONDS)

    assert [200, 200] == [await _outcome(api, "POST") for _ in range(2)]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_when_the_api_answers_at_all_then_the_circuit_stays_closed(
    api: CannedApi, status: int
) -> None:
    """A refusal, a throttled call or a bug of the backend is no sign of a broken gateway."""
    api.handle = answering(status)

    outcomes = [await _outcome(api, "POST") for _ in range(3 * FAILURES_IN_A_ROW)]

    assert {status} == set(outcomes)


@pytest.mark.parametrize("code", sorted(BUSY_CODES))
async def test_when_our_own_api_says_that_it_is_busy_then_the_circuit_stays_closed(
    api: CannedApi, code: str
) -> None:
    """Gateway, authorizer and backend work, or it could not say so."""
    api.handle = problem(503, code)

    outcomes = [await _outcome(api, "POST") for _ in range(3 * FAILURES_IN_A_ROW)]

    assert {503} == set(outcomes)


async def test_when_the_probe_finds_our_api_busy_then_calls_pass_again(api: CannedApi) -> None:
    """It has answered, which is what the probe was to find out."""
    api.handle = answering(503)
    for _ in range(FAILURES_IN_A_ROW):
        await _outcome(api, "POST")
    api.handle = problem(503, "feed_importing")
    api.clock.advance(OPEN_SECONDS)

    assert [503, 503] == [await _outcome(api, "POST") for _ in range(2)]


@pytest.mark.parametrize(
    "broken",
    [
        problem(503, "somebody_elses_code"),
        problem(502, "feed_contended"),
        problem(504, "feed_contended"),
        answering(503, b'{"code": "feed_contended"}', ("content-type", "application/json")),
        answering(503, b'{"code": "feed_contended"', PROBLEM),
        answering(503, b'{"code": "feed_contended"}' + 10_000 * b" ", PROBLEM),
    ],
    ids=["unknown code", "502", "504", "no problem document", "no JSON", "longer than a problem"],
)
async def test_when_what_looks_busy_is_not_our_own_word_then_the_circuit_opens(
    api: CannedApi, broken: Handler
) -> None:
    """Anything else that stands between us and the API may be what has broken."""
    api.handle = broken
    for _ in range(FAILURES_IN_A_ROW):
        await _outcome(api, "POST")

    with pytest.raises(CircuitOpen):
        await api.client.fetch(ApiRequest("POST", "/v1"), deadline=api.deadline())


@pytest.mark.parametrize(
    "unsendable", [httpx.LocalProtocolError("x"), httpx.UnsupportedProtocol("x")]
)
async def test_when_requests_cannot_be_sent_then_the_api_is_not_blamed(
    api: CannedApi, unsendable: Exception
) -> None:
    """One caller's bad header must not shut all the others out."""
    api.handle = raising(unsendable)
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(RequestRefused):
            await api.client.fetch(ApiRequest("POST", "/v1"), deadline=api.deadline())
    api.handle = Canned()

    assert 200 == await _outcome(api, "POST")


async def test_when_the_api_had_hardly_any_time_then_it_is_not_blamed(api: CannedApi) -> None:
    """It takes two seconds, and the calls had one left when they were sent."""

    def answer_after(seconds: float, handler: Handler) -> Handler:
        def handle(request: httpx.Request) -> httpx.Response:
            api.clock.advance(seconds)
            return handler(request)

        return handle

    api.handle = answer_after(2.0, Canned())
    assert 200 == await _outcome(api, "POST")
    api.handle = answer_after(1.0, raising(DeadlineExceeded("x")))
    for _ in range(FAILURES_IN_A_ROW):
        assert "deadline_exceeded" == await _outcome(api, "POST")
    api.handle = Canned()

    assert 200 == await _outcome(api, "POST")


async def _outcome(api: CannedApi, method: str) -> object:
    try:
        response = await api.client.fetch(ApiRequest(method, "/v1"), deadline=api.deadline())
    except (BackendUnavailable, DeadlineExceeded) as error:
        return error.code
    return response.status_code


async def test_when_a_post_has_an_idempotency_key_then_it_is_repeated_with_the_same_one(
    api: CannedApi,
) -> None:
    """The caller's key says that the API may get the request twice."""
    api.handle = answering(503)

    await api.client.fetch(
        ApiRequest("POST", "/v1", headers=(("Idempotency-Key", '"k1"'),)), deadline=api.deadline()
    )

    assert ['"k1"'] * 3 == [request.headers["idempotency-key"] for request in api.requests]


async def test_when_no_time_is_left_then_nothing_is_sent_and_the_api_is_not_blamed(
    api: CannedApi,
) -> None:
    """A deadline that had passed before says nothing about the API."""
    for _ in range(FAILURES_IN_A_ROW + 1):
        with pytest.raises(DeadlineExceeded):
            await api.client.fetch(ApiRequest("POST", "/v1"), deadline=api.deadline(0))
    assert [] == api.requests
    assert 200 == await _outcome(api, "POST")


async def test_when_a_streamed_answer_is_replaced_then_it_is_closed(api: CannedApi) -> None:
    """A retry leaves no connection behind."""
    api.handle = lambda _: httpx.Response(503 if len(api.requests) < 2 else 200, stream=Body(b"x"))

    response = await api.client.send(ApiRequest("GET", "/v1"), deadline=api.deadline())

    assert (200, 2) == (response.status_code, len(api.requests))
    assert b"x" == await response.aread()


async def test_when_an_attempt_is_made_again_then_each_is_a_span_whose_id_goes_out(
    httpx_mock: HTTPXMock,
) -> None:
    """In both clouds' headers, and with the caller's own ones in their place."""
    sent: list[tuple[str, str]] = []

    def fail_once(request: httpx.Request) -> httpx.Response:
        sent.append((request.headers["traceparent"], request.headers["x-amzn-trace-id"]))
        ids = [("x-amzn-requestid", f"aws-{len(sent)}")]
        return httpx.Response(503 if len(sent) == 1 else 200, headers=ids, stream=Body(b""))

    with recorded_spans() as spans:
        api = CannedApi(httpx_mock, spans=spans)
        api.handle = fail_once
        request = ApiRequest(
            "GET",
            "/v1/records/ann-smith",
            "code=secret",
            (("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),),
            route="/v1/records/{id}",
        )
        with TRACER.serving("r", TraceHeaders("00-" + "a" * 32 + "-" + "b" * 16 + "-01")):
            await api.client.fetch(request, deadline=api.deadline())
        spans.close()
        first, second = (
            span for span in spans.memory.get_finished_spans() if span.name != "get_token"
        )

    assert [
        (f"00-{'a' * 32}-{span.context.span_id:016x}-01", f"{span.context.span_id:016x}")
        for span in (first, second)
    ] == [(parent, amzn.partition("Parent=")[2].partition(";")[0]) for parent, amzn in sent]
    assert {"b" * 16} == {f"{span.parent.span_id:016x}" for span in (first, second) if span.parent}
    assert [(1, 503, "aws-1", "503"), (2, 200, "aws-2", None)] == [
        tuple(
            (span.attributes or {}).get(name)
            for name in ("attempt", "http.response.status_code", "aws.request_id", "error.type")
        )
        for span in (first, second)
    ]
    assert not {"ann-smith", "secret"} & set((first.to_json() + second.to_json()).split("/"))


async def test_when_telemetry_is_off_then_the_trace_headers_go_out_as_they_came(
    api: CannedApi,
) -> None:
    """Who made them has given the call a span ID already."""
    headers = (("traceparent", "as-it-came"), ("x-amzn-trace-id", "as-well"))

    await api.client.fetch(ApiRequest("GET", "/v1", headers=headers), deadline=api.deadline())

    (request,) = api.requests
    assert headers == tuple((name, request.headers[name]) for name, _ in headers)
