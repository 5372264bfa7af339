"""Answers, put so that the worker keeps what they say."""

import logging
import math
from datetime import UTC
from email.utils import format_datetime
from http.cookies import SimpleCookie
from types import SimpleNamespace

import azure.functions as func
import pytest
from azure.functions.http import HttpResponseConverter
from azure_functions_runtime.bindings.datumdef import (
    parse_cookie_attr_expires,
    parse_to_rpc_http_cookie_list,
)
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.http_response import HttpResponse, portable_cookie, to_functions_response


def test_when_an_answer_is_converted_then_status_headers_and_body_are_kept() -> None:
    """Nothing is added but what the worker insists on."""
    response = to_functions_response(
        HttpResponse(201, (("Content-Type", "application/json"), ("ETag", '"1"')), b"\x00\xff")
    )

    assert (201, b"\x00\xff") == (response.status_code, response.get_body())
    assert [("Content-Type", "application/json"), ("ETag", '"1"')] == list(response.headers)


def test_when_an_answer_has_no_content_type_then_the_worker_is_not_left_to_guess() -> None:
    """The worker would call it text/plain; octets are all that is known."""
    response = to_functions_response(HttpResponse(200, (), b"x"))

    encoded = HttpResponseConverter.encode(response, expected_type=None)
    assert "application/octet-stream" == encoded.value["headers"]["content-type"].value


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ((), "5"),
        ((("Retry-After", "17"),), "17"),
        ((("retry-after", "Sat, 21 Nov 2026 05:47:00 GMT"),), "Sat, 21 Nov 2026 05:47:00 GMT"),
    ],
)
def test_when_an_answer_says_busy_then_it_says_when_to_come_again(
    status: int, given: tuple[tuple[str, str], ...], sent: str
) -> None:
    """Whoever it came from: our own code, or the API through the proxy."""
    response = to_functions_response(HttpResponse(status, given, b""))

    assert [sent] == [
        value for name, value in response.headers.items() if name.lower() == "retry-after"
    ]


@pytest.mark.parametrize("status", [200, 404, 500, 502, 504])
def test_when_an_answer_does_not_say_busy_then_nothing_is_added(status: int) -> None:
    """Nobody knows that a second try would fare better."""
    response = to_functions_response(HttpResponse(status, (), b""))

    assert "Retry-After" not in response.headers


def test_when_an_answer_sets_cookies_then_the_worker_carries_each() -> None:
    """Several cookies stay several, with their attributes, in the worker's own encoder."""
    response = to_functions_response(
        HttpResponse(
            200,
            (
                ("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax; Max-Age=5"),
                ("Content-Type", "text/plain"),
                ("set-cookie", "b=2; Expires=Sat, 21-Nov-2026 05:47:00 GMT; Partitioned"),
            ),
            b"",
        )
    )

    cookies = HttpResponseConverter.encode(response, expected_type=None).value["cookies"]
    morsels = {name: morsel for cookie in cookies for name, morsel in cookie.items()}
    assert {"a": "1", "b": "2"} == {name: morsel.value for name, morsel in morsels.items()}
    assert ("/", True, "Lax", "5") == (
        morsels["a"]["path"],
        morsels["a"]["httponly"],
        morsels["a"]["samesite"],
        morsels["a"]["max-age"],
    )
    assert "Sat, 21 Nov 2026 05:47:00 GMT" == morsels["b"]["expires"]


def test_when_a_cookie_cannot_be_carried_then_the_log_says_which(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The answer still arrives, and the log names the cookie without its value."""
    with caplog.at_level(logging.WARNING):
        response = to_functions_response(
            HttpResponse(200, (("Set-Cookie", 'prefs={"a": "secret"}'),), b"x")
        )

    assert "Set-Cookie" not in response.headers
    assert "prefs" == vars(caplog.records[0])["bridge_fields"]["name"]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("set_cookie", "portable"),
    [
        ("a=b", "a=b"),
        ("a=", "a="),
        ("a=b%20c==; Secure", "a=b%20c==; Secure"),
        ("a=b; Domain=x.example; priority=High", "a=b; Domain=x.example"),
        (
            "a=b; EXPIRES=Sat, 21 Nov 2026 06:47:00 +0100",
            "a=b; Expires=Sat, 21 Nov 2026 05:47:00 GMT",
        ),
        ("a=b; Expires=0; Path=/", "a=b; Path=/"),
        ("a=b; Expires=", "a=b"),
        ('a="quoted text"', 'a="quoted text"'),
        ("a=b c", None),
        ('a="b\\"c"', None),
        ("a=b,c", "a=b,c"),
        ("a=b; Path=/ x", None),
        ("a=b; Expires=Mon, 31 Dec 9999 23:59:59 -2359", "a=b"),
        (
            "a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
            "a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
        ),
        ("a=b; Max-Age=abc; Path=/", "a=b; Path=/"),
        ("a=b; Max-Age=nan", "a=b"),
        ("a=b; Max-Age=1e300", "a=b"),
        ("a=b; Max-Age=", "a=b"),
        ("a=b; max-age=-1", "a=b; max-age=-1"),
        ("a=b; Max-Age=9999999999", "a=b; Max-Age=9999999999"),
        ("a=b; Max-Age=10000000000", "a=b; Max-Age=9999999999"),
        ("a", None),
        ("=b", None),
        ("", None),
        ("a b=c", None),
        ("a@b=c", None),
    ],
)
def test_when_a_cookie_is_given_then_it_is_portable_or_nothing(
    set_cookie: str, portable: str | None
) -> None:
    """A cookie arrives as it was meant or not at all, never as half of one."""
    assert portable == portable_cookie(set_cookie)


def test_backstop_when_a_cookie_is_not_made_portable_then_the_worker_loses_it() -> None:
    """What we work around is so in the pinned worker: an unknown attribute loses the cookie."""
    response = func.HttpResponse(b"", headers={"Set-Cookie": "a=b; Path=/; Partitioned"})

    cookies = HttpResponseConverter.encode(response, expected_type=None).value["cookies"]

    assert [{}] == [dict(cookie) for cookie in cookies]


def test_backstop_when_a_date_is_not_made_portable_then_the_worker_fails() -> None:
    """What we work around is so in the pinned worker: another spelling of a date is an error."""
    response = func.HttpResponse(
        b"", headers={"Set-Cookie": "a=b; Expires=Sat, 21-Nov-2026 05:47:00 GMT"}
    )
    (cookie,) = HttpResponseConverter.encode(response, expected_type=None).value["cookies"]

    with pytest.raises(ValueError, match="does not match format"):
        parse_cookie_attr_expires(cookie["a"])


def test_backstop_when_a_header_is_repeated_then_the_worker_keeps_one() -> None:
    """What we work around is so in the pinned worker: repeated headers become the last one."""
    response = func.HttpResponse(b"")
    response.headers.add("Vary", "Accept")
    response.headers.add("Vary", "Origin")

    headers = HttpResponseConverter.encode(response, expected_type=None).value["headers"]

    assert "Origin" == headers["Vary"].value


SAME_SITE = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})
PROTOS = SimpleNamespace(
    NullableBool=SimpleNamespace,
    NullableDouble=SimpleNamespace,
    NullableString=SimpleNamespace,
    NullableTimestamp=SimpleNamespace,
    RpcHttpCookie=type("RpcHttpCookie", (SimpleNamespace,), {"SameSite": SAME_SITE}),
    Timestamp=SimpleNamespace,
)
ATTRIBUTES = st.sampled_from(
    ["Max-Age", "max-age", "Expires", "Path", "Domain", "SameSite", "Secure", "HttpOnly", "X"]
)
VALUES = st.one_of(
    st.from_regex(r"[ -~]{0,12}", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,400}", fullmatch=True),
    st.builds(
        lambda moment: format_datetime(moment, usegmt=True), st.datetimes(timezones=st.just(UTC))
    ),
)


@given(st.lists(st.tuples(ATTRIBUTES, VALUES), max_size=4))
def test_when_a_cookie_is_portable_then_the_worker_carries_it(
    attributes: list[tuple[str, str]],
) -> None:
    """Into the message that the host gets, where a wrong attribute fails the whole response."""
    set_cookie = "; ".join(["a=b", *(f"{name}={value}" for name, value in attributes)])
    cookie = portable_cookie(set_cookie)

    carried = parse_to_rpc_http_cookie_list([SimpleCookie(cookie or "")], PROTOS)

    assert ([] if cookie is None else ["a"]) == [sent.name for sent in carried]
    assert all(math.isfinite(sent.max_age.value) for sent in carried if sent.max_age is not None)
