"""What the host does to requests and responses on their way."""

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from emulator.functions_host.errors import FunctionsHostError
from emulator.functions_host.host_json import HostJson
from emulator.functions_host.http_front import (
    Admission,
    build_response,
    build_routes,
    continue_trace,
    decode_path,
    encode_path,
    merge_headers,
    merge_query,
)
from emulator.functions_host.worker import HttpResult, IndexedFunction, InvocationFailed

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("/", "/"),
        ("/api/a%20b", "/api/a b"),
        ("/api/%C3%BC", "/api/ü"),
        ("/api/a%2Fb", "/api/a%2Fb"),
        ("/api/a%2fb", "/api/a%2fb"),
        ("/api/100%", "/api/100%"),
        ("/api/%zz", "/api/%zz"),
        ("/api/./a/../b", "/api/b"),
        ("/api/%2e%2E/b", "/b"),
        ("/api/..%2Fb", "/api/..%2Fb"),
        ("/../../b", "/b"),
        ("/api/a/..", "/api/"),
        ("/api/a/.", "/api/a/"),
        ("/api//a/", "/api//a/"),
        ("/api/a;b=c", "/api/a;b=c"),
    ],
)
def test_when_a_path_is_decoded_then_it_is_as_kestrel_decodes_it(raw: str, decoded: str) -> None:
    """An encoded slash stays, dot segments go, encoded ones as well."""
    assert decoded == decode_path(raw)


@pytest.mark.parametrize("raw", ["/a%00b", "/%ff", "/%C3"])
def test_when_a_path_cannot_be_decoded_then_it_is_refused(raw: str) -> None:
    """Null characters and broken UTF-8 never reach a function."""
    with pytest.raises(ValueError, match=r"null character|codec can't decode"):
        decode_path(raw)


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("/api/a b", "/api/a%20b"),
        ("/api/ü", "/api/%C3%BC"),
        ("/api/a%2Fb", "/api/a%2Fb"),
        ("/api/100%", "/api/100%25"),
        ("/api/a?b#c", "/api/a%3Fb%23c"),
    ],
)
def test_when_a_path_is_shown_in_a_url_then_it_is_escaped_again(path: str, encoded: str) -> None:
    """The function sees the decoded path, escaped anew; what looks like an escape stays."""
    assert encoded == encode_path(path)


@given(st.text(st.characters(exclude_characters="%", exclude_categories=["Cs", "Cc"])))
def test_when_a_path_is_escaped_then_decoding_gives_it_back(text: str) -> None:
    """Escaping loses nothing where nothing looks like an escape already."""
    path = decode_path("/" + text)

    assert path == decode_path(encode_path(path))


def test_when_headers_repeat_then_they_are_joined_in_lower_case() -> None:
    """Empty values are kept."""
    headers = CIMultiDict([("X-A", "1"), ("x-b", ""), ("x-a", "2")])

    assert {"x-a": "1,2", "x-b": ""} == merge_headers(headers)


@pytest.mark.parametrize(
    ("query", "merged"),
    [
        ("", {}),
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": "1,2"}),
        ("A=1&a=2", {"A": "1,2"}),
        ("a=&b", {}),
        ("a=&a=1", {"a": ",1"}),
        ("a=%C3%BC+x", {"a": "ü x"}),
    ],
)
def test_when_a_query_is_read_then_repeats_join_and_empty_ones_go(
    query: str, merged: dict[str, str]
) -> None:
    """The dictionary that the worker is given loses what the URL still has."""
    assert merged == merge_query(query)


def test_when_the_caller_traces_then_the_trace_goes_on() -> None:
    """The trace ID and the flags stay, the span is the host's own, the state is passed on."""
    trace = continue_trace({"traceparent": TRACEPARENT, "tracestate": "a=1"})

    version, trace_id, span_id, flags = trace.parent.split("-")
    assert ("00", TRACE_ID, "01") == (version, trace_id, flags)
    assert "b7ad6b7169203331" != span_id
    assert "a=1" == trace.state


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        TRACEPARENT.upper(),
        TRACEPARENT + "-x",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-b7ad6b7169203331-01",
    ],
)
def test_when_the_callers_trace_is_not_valid_then_a_new_one_begins(traceparent: str) -> None:
    """And the state, which belongs to the old one, is not looked at."""
    trace = continue_trace({"traceparent": traceparent, "tracestate": "a=1"})

    assert TRACE_ID not in trace.parent
    assert 55 == len(trace.parent)
    assert not trace.state


def result(**members: Any) -> HttpResult:
    """A function's result, changed in these members."""
    usual: dict[str, Any] = {
        "status": 200,
        "headers": {"content-type": "text/plain"},
        "cookies": (),
        "body": b"body",
    }
    return HttpResult(**(usual | members))


def test_when_a_function_answers_then_the_hosts_own_headers_join() -> None:
    """The function's header wins over one of host.json."""
    response = build_response("GET", result(headers={"x-a": "app"}), {"X-A": "host", "X-B": "host"})

    assert b"body" == response.body
    assert ["app"] == response.headers.getall("X-A")
    assert "host" == response.headers["X-B"]


def test_when_a_function_sets_cookies_then_each_stays_a_header_of_its_own() -> None:
    """Cookies may not be joined."""
    cookies = tuple(SimpleCookie(text)["k"].OutputString() for text in ("k=1", "k=2; Path=/"))

    response = build_response("GET", result(cookies=cookies), {})

    assert ["k=1", "k=2; Path=/"] == response.headers.getall("Set-Cookie")


@pytest.mark.parametrize("status", [204, 304])
def test_when_the_status_has_no_body_then_none_is_sent(status: int) -> None:
    """RFC 9110 allows none, so a length that the function set is taken out."""
    headers = {"content-length": "4"}

    response = build_response("GET", result(status=status, headers=headers), {})

    assert not response.body
    assert "content-length" not in response.headers


def test_when_head_is_answered_then_the_announced_length_stays() -> None:
    """A proxy can say how long the body would be."""
    response = build_response("HEAD", result(headers={"content-length": "77"}, body=b""), {})

    assert "77" == response.headers["content-length"]


@pytest.mark.parametrize(
    "headers",
    [
        {"transfer-encoding": "chunked"},
        {"content-length": "3"},
        {"x-a": "a\r\nx-b: c"},
        {"x-a": "ü"},
    ],
)
def test_when_a_header_cannot_be_sent_then_the_invocation_failed(headers: dict[str, str]) -> None:
    """The real host breaks off there; a test must see it as well."""
    with pytest.raises(InvocationFailed):
        build_response("GET", result(headers=headers), {})


def function(name: str, **trigger: Any) -> IndexedFunction:
    """An HTTP-triggered function."""
    return IndexedFunction(name, name, {"type": "httpTrigger", "name": "req", **trigger})


def test_when_routes_are_built_then_the_prefix_stands_before_each() -> None:
    """Without a route of its own a function answers under its name; timers have no address."""
    functions = [
        function("a", route="x/{*path}", methods=["GET", "post"]),
        function("B"),
        IndexedFunction("t", "t", {"type": "timerTrigger", "name": "timer"}),
    ]

    routes = build_routes(functions, "api")

    assert [("a", "api/x/{*path}", {"GET", "POST"}), ("B", "api/B", None)] == [
        (route.function_name, route.template.text, route.methods) for route in routes
    ]
    assert ["x/{*path}", "B"] == [route.template.text for route in build_routes(functions, "")]


def test_when_a_route_is_malformed_then_the_message_names_the_function() -> None:
    """The host does not start."""
    with pytest.raises(FunctionsHostError, match=r"the route of a is wrong: '\{id' "):
        build_routes([function("a", route="{id")], "api")


@pytest.mark.parametrize(
    ("host_json", "most_at_once", "refused"),
    [
        (HostJson(), 5, 0),
        (HostJson(max_concurrent_requests=2), 2, 0),
        (HostJson(max_outstanding_requests=3), 3, 2),
        (HostJson(max_outstanding_requests=4, max_concurrent_requests=1), 1, 1),
        (HostJson(max_outstanding_requests=2, max_concurrent_requests=2), 2, 3),
    ],
    ids=["unbounded", "concurrent", "outstanding", "both", "no queue"],
)
async def test_when_five_requests_come_at_once_then_the_limits_hold(
    host_json: HostJson, most_at_once: int, refused: int
) -> None:
    """Beyond the concurrent ones requests wait; beyond the outstanding ones they get 429."""
    admission = Admission.under(host_json)
    running = 0
    peak = 0

    async def invocation() -> web.Response:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        return web.Response()

    answers = await asyncio.gather(*(admission.run(invocation) for _ in range(5)))

    assert most_at_once == peak
    assert refused == answers.count(None)
    assert 0 == admission.outstanding
