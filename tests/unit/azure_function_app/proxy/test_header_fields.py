"""Which header fields pass the proxy."""

from dataclasses import replace

import httpx
import pytest

from azure_function_app.proxy.header_fields import FORWARDED_HEADERS, MAX_HEADER_BYTES
from tests.support.fake_api import FakeApi
from tests.support.proxy_calls import (
    RECORDS,
    answer_of,
    caller,
    fields_of,
    problem_of,
    refusal,
)


async def test_when_headers_mean_something_to_the_api_then_they_go_along() -> None:
    """Every header of the allow-list arrives as it was."""
    api = FakeApi(b"{}")
    headers = {name: f"value of {name}" for name in FORWARDED_HEADERS}

    await answer_of(api, caller(headers=headers))

    assert headers == {
        name: value
        for name, value in api.request_headers.items()
        if name not in {"traceparent", "x-amzn-trace-id", "x-request-id"}
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
        "x-api-key",
        "x-apigw-api-id",
        "x-arr-ssl",
        "x-client-ip",
        "x-forwarded-for",
        "x-functions-key",
        "x-http-method-override",
        "x-ms-client-principal",
        "x-ms-token-aad-access-token",
        "x-original-url",
        "x-waws-unencoded-url",
        "x-amzn-requestid",
        "x-amzn-trace-id",
        "x-anything-else",
    ],
)
async def test_when_a_header_is_not_for_the_api_then_it_does_not_go_along(name: str) -> None:
    """Credentials, cookies, hop-by-hop fields, and what Azure added stay behind."""
    api = FakeApi(b"{}")

    await answer_of(api, caller(headers={name: "1", "Accept": "text/plain"}))

    assert {
        "accept": "text/plain",
        "accept-encoding": "identity",
        "traceparent": f"00-{'ab' * 16}-{'ab' * 8}-00",
        "x-amzn-trace-id": f"Root=1-{'ab' * 4}-{'ab' * 12};Parent={'ab' * 8};Sampled=0",
        "x-request-id": "invocation-1",
    } == api.request_headers


async def test_when_connection_names_a_header_then_that_is_hop_by_hop_too() -> None:
    """RFC 9110 section 7.6.1."""
    api = FakeApi(b"{}")

    await answer_of(
        api, caller(headers={"connection": "close, If-Match", "if-match": '"1"', "prefer": "x"})
    )

    assert "if-match" not in api.request_headers
    assert "x" == api.request_headers["prefer"]


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\0", "a\x7f", "\u00fc", "\ud800"])
async def test_when_a_header_cannot_be_sent_then_the_request_is_refused(value: str) -> None:
    """A header with a line break in it would be two."""
    assert (400, "request_header_invalid") == await refusal(caller(headers={"if-match": value}))


@pytest.mark.parametrize(
    ("size", "is_sent"), [(MAX_HEADER_BYTES, True), (MAX_HEADER_BYTES + 1, False)]
)
async def test_when_headers_are_too_large_then_it_is_431(size: int, *, is_sent: bool) -> None:
    """API Gateway takes 10,240 bytes of headers; one more is refused here."""
    api = FakeApi(b"{}")
    headers = {"accept": "a" * (size - len("accept"))}

    answer = await answer_of(api, caller(headers=headers))

    assert is_sent == bool(api.requests)
    if not is_sent:
        assert (431, "request_headers_too_large") == (answer.status, problem_of(answer)["code"])


@pytest.mark.parametrize("name", ["cookie", "x-ms-client-principal", "x-arr-log-id"])
async def test_when_azures_own_headers_are_large_then_they_do_not_count(name: str) -> None:
    """What the API never sees cannot be too much for it."""
    api = FakeApi(b"{}")

    answer = await answer_of(api, caller(headers={name: "a" * (MAX_HEADER_BYTES + 1)}))

    assert 200 == answer.status


async def test_when_the_api_answers_then_hop_by_hop_headers_end_here() -> None:
    """What is between the API and us, and what the host does by itself, is not passed on."""
    api = FakeApi(
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
            ("X-Api-Key", "echoed"),
            ("X-Ms-Anything", "1"),
            ("X-Arr-Anything", "1"),
            ("Content-Type", "application/json"),
            ("ETag", '"3"'),
            ("X-Amzn-RequestId", "r"),
        ],
    )

    answer = await answer_of(api, caller())

    assert {
        "content-type": "application/json",
        "etag": '"3"',
        "x-amzn-requestid": "r",
        "x-request-id": "invocation-1",
    } == fields_of(answer)


async def test_when_the_api_repeats_a_header_then_it_is_joined_but_cookies_are_not() -> None:
    """The worker keeps the last of repeated fields, so we join them; a cookie cannot be joined."""
    api = FakeApi(
        b"{}",
        headers=[
            ("Set-Cookie", "a=1; Expires=Sat, 21 Nov 2026 05:47:00 GMT"),
            ("Vary", "Accept"),
            ("Set-Cookie", "b=2"),
            ("vary", "Origin"),
        ],
    )

    answer = await answer_of(api, caller())

    assert ["a=1; Expires=Sat, 21 Nov 2026 05:47:00 GMT", "b=2"] == [
        value for name, value in answer.headers if name == "Set-Cookie"
    ]
    assert "Accept, Origin" == fields_of(answer)["vary"]


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X-Odd", b"a\x00b"),
        (b"X-Odd", b"a\r\nSet-Cookie: b=1"),
        (b"X-Odd", b"a\x0bb"),
        (b"X-Odd", b"a\x7fb"),
        (b"X-Odd", "é".encode()),
        (b"X-Odd", b"\xe9"),
        (b"X-Odd", b"\xff" * 1000),
        (b"Set-Cookie", "a=é".encode()),
        (b"Content-Type", "text/é".encode()),
        (b"X Odd", b"a"),
        (b"X-Odd:", b"a"),
        (b"X-Odd\n", b"a"),
        ("X-É".encode(), b"a"),
        (b"", b"a"),
        (b"X\x00", b"a"),
    ],
)
async def test_when_the_apis_header_cannot_be_passed_on_then_that_is_said(
    method: str, name: bytes, value: bytes
) -> None:
    """The host would fail with an empty 500, also where a write has been carried out."""
    api = FakeApi(b"{}")
    api.response = replace(api.response, headers=httpx.Headers([(name, value)]))
    body = b"{}" if method == "PUT" else b""

    answer = await answer_of(api, caller(method, f"{RECORDS}/a", body=body))

    document = problem_of(answer)
    assert (502, "backend_answer_invalid", "invocation-1") == (
        answer.status,
        document["code"],
        document["request_id"],
    )
    assert "may have been carried out" in document["detail"]


async def test_when_a_header_that_stays_here_is_odd_then_nobody_is_the_worse_for_it() -> None:
    """What is not passed on cannot break what is."""
    api = FakeApi(b"{}")
    api.response = replace(api.response, headers=httpx.Headers([(b"Server", b"\xff")]))

    assert 200 == (await answer_of(api, caller())).status


async def test_when_a_value_holds_a_tab_then_it_is_a_blank() -> None:
    """They mean the same there (RFC 9110 section 5.6.3), and the host carries only one of them."""
    api = FakeApi(b"{}", headers=[("X-Odd", "a\tb")])

    answer = await answer_of(api, caller())

    assert "a b" == fields_of(answer)["x-odd"]
