"""Every reader of what others send, outside the authorizer, takes time in proportion to its length.

A pattern that starts over, or a tuple that is copied for each element, lets a few kilobytes cost
seconds. What a reader raises beside its own refusals fails too.
"""

import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws_backend.cursor import parse_cursor
from aws_backend.errors import ApiError
from aws_backend.preconditions import parse_preconditions
from aws_backend.proxy_event import ProxyEventError, parse_proxy_event
from aws_backend.record import check_media_type, parse_record_data, parse_record_id
from azure_function_app.aws_api.client import ApiResponse, problem_code
from azure_function_app.aws_api.destination import Destination, check_path, check_query
from azure_function_app.aws_api.retry_after import parse_retry_after
from azure_function_app.aws_api.token_refusal import explain_refusal
from azure_function_app.declared_settings import SYNC_SCHEDULE
from azure_function_app.errors import BackendContractError, RequestRefused
from azure_function_app.http_response import HttpResponse, portable_cookie, to_functions_response
from azure_function_app.identity.entra_errors import aadsts_code
from azure_function_app.identity.token_diagnosis import unverified_claims, unverified_roles
from azure_function_app.proxy.proxy import CallerRequest, Proxy
from azure_function_app.sync.change_feed import parse_change_page
from bridge_cli.authorizer_log import AuthorizerLog, reason_in
from shared.formats.ncrontab import Ncrontab
from shared.log import redacted
from shared.principal import PrincipalMissingError, parse_context
from shared.routes import ROUTES
from tests.support.fake_api import FakeApi
from tests.support.fake_clock import FakeClock
from tests.support.keys import base64url
from tests.support.proxy_calls import TRACER
from tests.support.work import Repetition, assert_linear, repetitions

JSON = ["{", "}", "[", "]", '"', "\\", "\\u00e9", "\\ud800", ",", ":", "0", "1", ".", "e", "-", " "]
JSON_FAMILIES = {
    "nested lists": Repetition("", "["),
    "nested objects": Repetition("", '{"a":'),
    "escaped quotes": Repetition('"', '\\"', '"'),
    "lists, then escaped quotes": Repetition('{"a":' + "[" * 17 + '"', '\\"'),
    "a string without an end": Repetition('"', "a"),
    "surrogates": Repetition('"', "\\ud800", '"'),
    "a number of many digits": Repetition("", "9"),
    "many long numbers": Repetition("[1", "," + "9" * 4_000, "]"),
    "a fraction of many digits": Repetition("0.", "1"),
    "a fraction that is nearly nothing": Repetition("0.", "0", "1"),
    "an exponent of many digits": Repetition("1e", "9"),
    "one member many times": Repetition('{"a":0', ',"a":0', "}"),
    "blanks": Repetition("", " "),
    "an error on the last line": Repetition("[0\n", ",0\n", "x"),
}
PATH = ["/", ".", "..", ";", "%", "%2f", "%25", "%252e", "%5c", "%c3%a9", "%ff", "a", ":", "@", "~"]
QUERY = ["&", "=", "code", "%63ode", "%", "%25", "+", "a", "?", "%c3", "[", "]"]
DATE = ["Mon", ",", " ", "01", "Jan", "9", "2026", ":", "-", "+", "GMT", "(", ")", "/", "."]
FIELD = [",", " ", "\t", "a", '"', "=", ";", "\\", "é", "if-match"]


def _no_families() -> dict[str, Callable[[int], str]]:
    return {}


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader of text, the tokens that mean something to it, and families made for it."""

    read: Callable[[str], object]
    tokens: list[str]
    families: dict[str, Callable[[int], str]] = field(default_factory=_no_families)
    refusals: tuple[type[Exception], ...] = ()
    size: int = 4_000
    """Where it reads no more than so much, a quarter of that."""


def _run[T](work: Coroutine[Any, Any, T]) -> T:
    """The outcome of what never waits, without the cost of an event loop."""
    try:
        work.send(None)
    except StopIteration as ended:
        outcome: T = ended.value
        return outcome
    raise AssertionError("it waits")


def _proxy(api: FakeApi) -> Proxy:
    return Proxy(api, ROUTES, FakeClock(), 30.0, TRACER)


def _caller(url: str = "/v1/records", **headers: str) -> CallerRequest:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return CallerRequest("GET", f"http://localhost/api/aws{url}", fields, b"", "invocation-1")


def _proxied(request: CallerRequest, api: FakeApi | None = None) -> HttpResponse:
    """The proxy's answer, which a bug would make a 500."""
    answer = _run(_proxy(api or FakeApi(b"{}")).answer(request))
    assert answer.status != 500, answer.body
    return answer


def _page(items: str) -> object:
    body = f'{{"items":[{items}],"next_cursor":"c","has_more":false}}'
    return parse_change_page(body.encode())


def _refusal(body: str) -> object:
    problem = httpx.Headers({"content-type": "application/problem+json"})
    answer = ApiResponse(403, problem, body.encode())
    return explain_refusal(answer, problem_code(answer), ROUTES[-1])


API = Destination.parse("https://api.example/prod")
READERS = {
    "log redaction": Reader(
        redacted,
        ["eyJ", "eyJhbGci", ".", "-", "a", "Bearer", "bearer ", " ", "\n", "=", "/", "é"],
        {
            "tokens that never end": Repetition("", "eyJ"),
            "a token that never ends": Repetition("eyJhbGci", "a"),
            "tokens of many parts": Repetition("eyJhbGci", "."),
            "schemes without a credential": Repetition("", "bearer "),
            "a scheme and blanks": Repetition("Bearer", " "),
            "schemes and blanks": Repetition("", "bearer" + " " * 50),
            "credentials as short as may be": Repetition("", "bearer a/"),
            "headers without a value": Repetition("", "x-api-key:"),
            "a header and blanks": Repetition("x-api-key", " "),
            "headers of bytes": Repetition("", "x-api-key', b'"),
        },
    ),
    "path": Reader(
        check_path,
        PATH,
        {
            "plain, then one that is not": Repetition("", "/a", "%"),
            "one long segment": Repetition("/", "a", "%"),
            "encoded over and over": Repetition("/%", "25"),
            "stray percent signs": Repetition("/", "%"),
            "parameters": Repetition("/a", ";"),
        },
        (RequestRefused,),
    ),
    "query": Reader(check_query, QUERY, refusals=(RequestRefused,)),
    "URL of the API": Reader(
        lambda text: API.url("/v1/" + text, text), [*PATH, "é"], refusals=(RequestRefused,)
    ),
    "proxy's URL path": Reader(
        lambda text: _proxied(_caller(f"/v1/records/{text}")),
        PATH,
        {
            "many segments": Repetition("", "/a"),
            "mounts in mounts": Repetition("", "/api/aws"),
            "encoded over and over": Repetition("%", "25"),
        },
    ),
    "proxy's URL query": Reader(
        lambda text: _proxied(_caller(f"/v1/records?{text}")),
        QUERY,
        {
            "function keys": Repetition("", "code=a&"),
            "function keys, encoded": Repetition("", "%63%6f%64%65&"),
            "empty parameters": Repetition("", "&"),
        },
    ),
    "proxy's Connection header": Reader(
        lambda text: _proxied(_caller(connection=text)), FIELD, size=2_000
    ),
    "proxy's forwarded header": Reader(
        lambda text: _proxied(_caller(if_match=text)), FIELD, size=2_000
    ),
    "proxy's trace headers": Reader(
        lambda text: _proxied(_caller(traceparent=text, tracestate=text)),
        ["00-", "0", "f", "-", "=", ",", "é"],
        size=1_200,
    ),
    "proxy's request ID": Reader(
        lambda text: _proxied(_caller(x_request_id=text)), ["a", ".", " "]
    ),
    "proxy's Content-Length": Reader(
        lambda text: _proxied(_caller(content_length=text)),
        ["0", "9", "-", " ", "\u0663"],
        {"digits": Repetition("", "9"), "zeros": Repetition("", "0")},
    ),
    "Set-Cookie": Reader(
        portable_cookie,
        ["a", "=", ";", " ", '"', "\\", "\\1", "\\012", "Path", "Expires=", "$", ",", "[", "é"],
        {
            "blanks": Repetition("a", " ", "b"),
            "blanks before the value": Repetition("a", " ", "=b"),
            "escapes": Repetition('a="', "\\1", '"'),
            "quotes without an end": Repetition('a="', "\\"),
            "attributes": Repetition("a=b", ";Path=/"),
        },
    ),
    "a cookie's date": Reader(
        lambda text: portable_cookie(f"a=b; Expires={text}"),
        DATE,
        {
            "a year beyond years": Repetition("Mon, 01 Jan 9999", "9", " 00:00:00 GMT"),
            "an hour beyond hours": Repetition("Mon, 01 Jan 2026 9", "9", ":00:00 GMT"),
            "comments": Repetition("", "("),
        },
    ),
    "Retry-After": Reader(
        lambda text: parse_retry_after(text, 0.0),
        DATE,
        {"digits": Repetition("", "9"), "blanks": Repetition("1", " ", "1")},
    ),
    "a token of our own": Reader(
        lambda text: unverified_claims(f"e30.{base64url(text.encode())}.c2ln"),
        JSON,
        {**JSON_FAMILIES},
    ),
    "a token of our own, not encoded": Reader(unverified_roles, ["a", ".", "=", "-", "%", "é"]),
    "a problem document": Reader(_refusal, JSON, {**JSON_FAMILIES}),
    "what Entra ID said": Reader(
        aadsts_code,
        ["AADSTS", "1", "12345", " ", "a", "_"],
        {"codes that are none": Repetition("", "AADSTS1"), "digits": Repetition("AADSTS", "1")},
    ),
    "a page of changes": Reader(
        _page,
        JSON,
        {
            **JSON_FAMILIES,
            "a record's ID": Repetition('{"id":"', "a", '","version":1}'),
            "a record's time": Repetition(
                '{"id":"a","version":1,"deleted":true,"updated_at":"2026-01-01T00:00:00.',
                "0",
                'Z"}',
            ),
            "items that are none": Repetition("[]", ",[]"),
            "nested, then NaN": Repetition("", '[{"a":', "NaN"),
            "nested and closed": Repetition("[" * 2_000, "[],", "NaN" + "]" * 2_000),
            "shallow, never closed": Repetition("", '[[[["a",'),
            "strings in brackets, never closed": Repetition("", '["aaaaaaaaaaaaaaaaaaaaaaaa",'),
            "bad items": Repetition("NaN", ',{"a":[[1]],"b":NaN}'),
            "a bad item of many members": Repetition("{", '"a":NaN,', '"b":1}'),
        },
        (BackendContractError,),
    ),
    "cursor": Reader(parse_cursor, ["A", "_", "-", "=", "é", "\n"], refusals=(ApiError,)),
    "record ID": Reader(parse_record_id, ["a", ".", "%", "é"], refusals=(ApiError,)),
    "record's data": Reader(
        lambda text: parse_record_data(f'{{"a":{text}}}'.encode()),
        JSON,
        {**JSON_FAMILIES},
        (ApiError,),
    ),
    "media type": Reader(
        lambda text: check_media_type((f"application/json{text}",)),
        [" ", "\t", ";", "charset", "=", '"', "utf-8"],
        {"blanks": Repetition("", " ", ";x"), "blanks in it": Repetition(";charset", " ", "x")},
        (ApiError,),
    ),
    "entity tags": Reader(
        lambda text: parse_preconditions({"if-match": (text,)}),
        ['"', "W/", '"a"', ",", " ", "\t", "a", "*"],
        {
            "tags without a comma": Repetition('"a"', '"a"'),
            "empty elements": Repetition('"a"', " ,\t", "x"),
            "blanks": Repetition('"a"', " ", "x"),
            "tags, then none": Repetition('"a"', ' , , "a"', "x"),
            "a tag without an end": Repetition('"', "a"),
        },
        (ApiError,),
    ),
    "a decision in the log": Reader(reason_in, JSON, {**JSON_FAMILIES}),
    "NCRONTAB": Reader(
        Ncrontab.parse,
        ["*", " ", ",", "/", "-", "0", "59", "a", "january", "é", "0 0 0 1 1 "],
        {
            "digits": Repetition("0 0 0 1 1 ", "1"),
            "a list": Repetition("0 0 0 1 1 1", ",1"),
            "a long step": Repetition("0 0 0 1 1 */", "1"),
        },
        (ValueError,),
    ),
    "the schedule's setting": Reader(
        SYNC_SCHEDULE.parse,
        ["*", " ", ",", "/", "-", "0", "59", "a", "jan", "_", "0 0 0 1 1 "],
        {
            "digits": Repetition("0 0 0 1 1 ", "1"),
            "words": Repetition("0 0 0 1 1 a", "-a"),
            "a long step": Repetition("0 0 0 1 1 */", "1"),
        },
        (ValueError,),
    ),
}


def _named() -> Iterator[Any]:
    for name, reader in READERS.items():
        for token in reader.tokens:
            yield pytest.param(
                reader, Repetition("", token), id=f"{name}: {token!r} again and again"
            )
        for family, hostile in reader.families.items():
            yield pytest.param(reader, hostile, id=f"{name}: {family}")


@pytest.mark.parametrize(("reader", "hostile"), [*_named()])
def test_when_a_family_grows_fourfold_then_no_reader_takes_more_than_eight_times_as_long(
    reader: Reader, hostile: Callable[[int], str]
) -> None:
    """Families that were thought up for one reader each."""
    assert_linear(reader.read, hostile, size=reader.size, refusals=reader.refusals)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whatever_is_repeated_then_no_reader_takes_more_than_eight_times_as_long(
    name: str, data: st.DataObject
) -> None:
    """Families that nobody thought up: a beginning, a body again and again, an end."""
    reader = READERS[name]
    hostile = data.draw(repetitions(reader.tokens))

    assert_linear(reader.read, hostile, size=reader.size, refusals=reader.refusals)


# --- many of something ----------------------------------------------------------------------------


def _spellings(count: int) -> dict[str, list[str]]:
    """One header field in so many spellings."""
    name = "abcdefghijklmnop"
    return {
        "".join(
            letter.upper() if number >> place & 1 else letter for place, letter in enumerate(name)
        ): ["x"]
        for number in range(count)
    }


def _event(count: int) -> dict[str, object]:
    return {"httpMethod": "GET", "resource": "/", "multiValueHeaders": _spellings(count)}


def test_when_a_field_comes_in_many_spellings_then_the_backend_is_linear() -> None:
    """API Gateway hands each spelling over by itself; they are one field."""
    assert_linear(parse_proxy_event, _event, size=4_000, refusals=(ProxyEventError,))


def test_when_a_parameter_comes_many_times_then_the_backend_is_linear() -> None:
    """Repeats are kept, up to the operation that refuses them."""
    assert_linear(
        parse_proxy_event,
        lambda count: {
            "httpMethod": "GET",
            "resource": "/",
            "multiValueQueryStringParameters": {"cursor": ["x"] * count},
        },
        size=4_000,
    )


@pytest.mark.parametrize("line", ["START\n", "{}\n", "\udcff\n", "x" * 5_000 + "\n"])
def test_when_the_log_is_long_then_its_decisions_are_read_in_linear_time(
    line: str, tmp_path: Path
) -> None:
    """Many lines, short, long, and not in UTF-8, before the one that counts."""

    def hostile(size: int) -> Path:
        path = tmp_path / f"{size}.log"
        path.write_bytes(
            Repetition("", line, '{"event":"decision","reason":"expired"}\n')(size).encode(
                errors="surrogateescape"
            )
        )
        return path

    def read(path: Path) -> None:
        assert _run(AuthorizerLog(path).reasons_before("expired")) is not None

    assert_linear(read, hostile, size=20_000)


def test_when_a_caller_has_many_roles_then_the_backend_is_linear() -> None:
    """They arrive as one string."""
    assert_linear(
        lambda roles: parse_context(
            {"object_id": "", "tenant_id": "", "client_id": "", "token_id": "", "roles": roles}
        ),
        Repetition("", "a "),
        size=4_000,
        refusals=(PrincipalMissingError,),
    )


@pytest.mark.parametrize("name", ["X-{}", "Vary", "Set-Cookie", "Connection"])
def test_when_the_api_sends_many_headers_then_the_proxy_is_linear(name: str) -> None:
    """All different, or one again and again; up to the answer as the worker takes it."""

    def hostile(count: int) -> FakeApi:
        return FakeApi(b"", headers=[(name.format(n), f"a{n}=b") for n in range(count)])

    assert_linear(lambda api: to_functions_response(_proxied(_caller(), api)), hostile, size=600)


def test_when_a_caller_sends_many_headers_then_the_proxy_is_linear() -> None:
    """As many as the host lets through."""
    assert_linear(
        lambda headers: _proxied(CallerRequest("GET", _caller().url, headers, b"", "i")),
        lambda count: {f"x-{n}": "" for n in range(count)},
        size=400,
    )


def test_when_the_worst_json_is_shallow_enough_then_it_is_read() -> None:
    """The families are not all refused at the first byte, which would prove nothing."""
    assert json.loads(JSON_FAMILIES["escaped quotes"](1_000))
    assert _page(JSON_FAMILIES["many long numbers"](9_000))
    assert parse_record_data(f'{{"a":{JSON_FAMILIES["a fraction of many digits"](900)}}}'.encode())
