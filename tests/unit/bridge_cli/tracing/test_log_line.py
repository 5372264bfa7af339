"""A line of a log as a value."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge_cli.tracing.log_line import (
    LogLine,
    parse_access_line,
    parse_function_app_line,
    parse_lambda_line,
)
from bridge_cli.tracing.traced_call import Actor
from tests.support.traced_logs import (
    BEGAN,
    TRACE,
    access_line,
    backend_line,
    decision_line,
    proxy_line,
)

PARSERS: dict[str, tuple[Callable[[str], LogLine | None], Callable[..., str]]] = {
    "proxy": (parse_function_app_line, proxy_line),
    "access": (parse_access_line, access_line),
    "decision": (parse_lambda_line, decision_line),
    "backend": (parse_lambda_line, backend_line),
}
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln"


def parsed(kind: str, **changes: object) -> LogLine:
    """The line of that kind, with these members changed."""
    parse, write = PARSERS[kind]
    line = parse(write("r1", **changes))
    assert line is not None
    return line


@pytest.mark.parametrize(
    ("kind", "actor", "event", "began"),
    [
        ("proxy", Actor.FUNCTION_APP, "proxy_call", 0),
        ("access", Actor.GATEWAY, "request", 5),
        ("decision", Actor.AUTHORIZER, "decision", 13),
        ("backend", Actor.BACKEND, "request", 15),
    ],
)
def test_when_a_line_is_about_a_call_then_it_says_who_when_and_in_which_trace(
    kind: str, actor: Actor, event: str, began: int
) -> None:
    """The gateway's line has the time of its beginning, the others that of their end."""
    line = parsed(kind)

    assert (actor, event, TRACE, "r1") == (line.actor, line.event, line.trace_id, line.own_id)
    assert pytest.approx((BEGAN + began) / 1_000, abs=1e-4) == line.began


@pytest.mark.parametrize("kind", PARSERS)
def test_when_a_line_names_a_person_then_that_is_not_shown(kind: str) -> None:
    """Neither whose token it was nor from where it came; what is not listed is left out."""
    line = parsed(kind, caller="person", secret_new_field="person", oid="person")

    assert "person" not in repr(line.fields)
    assert "203.0.113.9" not in repr(line.fields)
    assert "uti" not in repr(line.fields)


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2Jgone",
        "a\rb\nc",
        "\u202etxt.exe",
        "\x9b31m",
        f"Bearer {JWT}",
        JWT,
        "x-api-key: 0123456789abcdef0123",
        "x" * 100_000,
        ["\x1b]0;title\x07"] * 100,
        {"nested": "\x1b[31m"},
        "\ud800",
    ],
)
def test_when_a_value_is_hostile_then_what_is_shown_is_harmless(kind: str, evil: object) -> None:
    """Printable, bounded, and without a token, whichever field and ID it stands in."""
    line = parsed(kind, route=evil, request_id=evil, event=str(evil), message=evil, roles=evil)

    for text in (line.own_id, line.event, *map(str, line.fields.values())):
        assert text.isprintable()
        assert len(text) < 8_000
        assert "eyJhbGciOiJSUzI1NiJ9" not in text
        assert "0123456789abcdef" not in text


def test_when_a_token_is_cut_by_the_bound_then_none_of_it_is_left() -> None:
    """Its beginning only would no longer look like one."""
    line = parsed("proxy", message="x" * 250 + " Bearer " + JWT * 40)

    assert "eyJ" not in str(line.fields["message"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        "null",
        '{"event": 5}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        json.dumps(json.loads(proxy_line("a")) | {"time": "soon"}),
        json.dumps(json.loads(proxy_line("a")) | {"time": float("inf")}),
        json.dumps(json.loads(proxy_line("a")) | {"time": -1}),
        json.dumps(json.loads(proxy_line("a")) | {"time": True}),
        json.dumps(json.loads(proxy_line("a")) | {"trace_id": ""}),
        json.dumps(json.loads(proxy_line("a")) | {"trace_id": "0" * 32}),
        json.dumps(json.loads(proxy_line("a")) | {"trace_id": TRACE.upper()}),
        json.dumps(json.loads(proxy_line("a")) | {"trace_id": ["x"]}),
        access_line("a", trace="-"),
        access_line("a", trace="1-2-3"),
    ],
)
def test_when_a_line_is_about_no_call_then_it_is_left_out(text: str) -> None:
    """Nothing raises."""
    assert parse_access_line(text) is None
    assert parse_function_app_line(text) is None
    assert parse_lambda_line(text) is None


@given(st.text() | st.dictionaries(st.text(), st.none() | st.text() | st.floats()).map(json.dumps))
def test_when_any_text_comes_then_nothing_raises(text: str) -> None:
    """It is a line or none."""
    for parse, _ in PARSERS.values():
        parse(text)


def test_when_the_host_puts_a_time_before_a_line_then_it_is_read_all_the_same() -> None:
    """As Core Tools do."""
    line = parse_function_app_line(f"[2026-11-22T04:38:27.891Z] {proxy_line('r1')}")

    assert line is not None
    assert "r1" == line.own_id


@pytest.mark.parametrize("logger", ["host", "azure.core", None])
def test_when_a_line_is_not_our_packages_then_it_is_left_out(logger: str | None) -> None:
    """The host writes lines of its own."""
    assert parse_function_app_line(proxy_line("r1", logger=logger)) is None


@pytest.mark.parametrize("trace", [f"Root=1-{TRACE[:8]}-{TRACE[8:]}", f"1-{TRACE[:8]}-{TRACE[8:]}"])
def test_when_the_gateway_writes_its_trace_in_either_form_then_it_is_the_same(trace: str) -> None:
    """AWS's pages show both."""
    assert TRACE == parsed("access", trace=trace).trace_id


@pytest.mark.parametrize("before", [f"{JWT[:20]}{'a' * 400}.bbb.ccc ", "x" * 100 + " ", ""])
@pytest.mark.parametrize("scheme", ["", "Bearer ", "Basic ", "token=", "'"])
def test_when_a_token_after_others_is_cut_then_none_of_it_is_left(before: str, scheme: str) -> None:
    """What is redacted before it becomes shorter, and moves the cut word to where it is shown."""
    token = "eyJhbGciOi" + "c" * 1_500 + ".eyJ" + "d" * 300 + ".sig"

    shown = str(parsed("proxy", message=before * 3 + scheme + token).fields["message"])

    assert "cccc" not in shown
    assert "eyJ" not in shown
