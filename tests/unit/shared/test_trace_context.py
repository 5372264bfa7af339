"""Trace contexts, as W3C's and as AWS's headers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.trace_context import (
    TraceContext,
    find_trace_id,
    is_tracestate,
    parse_amzn_trace_id,
    parse_traceparent,
    to_amzn_trace_id,
    to_traceparent,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
ROOT = "Root=1-0af76519-16cd43dd8448eb211c80319c"
SAMPLED = TraceContext(TRACE, SPAN, is_sampled=True)
UNSAMPLED = TraceContext(TRACE, SPAN, is_sampled=False)
LONGEST_MEMBER = f"{'k' * 256}={'v' * 256}"


def hex_digits(count: int) -> st.SearchStrategy[str]:
    """So many digits, not all zero."""
    digits = st.text("0123456789abcdef", min_size=count, max_size=count)
    return digits.filter(lambda text: text.strip("0") != "")


CONTEXTS = st.builds(TraceContext, hex_digits(32), hex_digits(16), st.booleans())
# Valid headers with a few characters changed, so that most come close.
NEARLY = st.builds(
    lambda text, place, piece: text[:place] + piece + text[place + 1 :],
    CONTEXTS.map(to_traceparent) | CONTEXTS.map(to_amzn_trace_id),
    st.integers(0, 80),
    st.text(max_size=3),
)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (f"00-{TRACE}-{SPAN}-01", SAMPLED),
        (f"00-{TRACE}-{SPAN}-00", UNSAMPLED),
        (f"00-{TRACE}-{SPAN}-02", UNSAMPLED),
        (f"00-{TRACE}-{SPAN}-ff", SAMPLED),
        (f"01-{TRACE}-{SPAN}-01", SAMPLED),
        (f"cc-{TRACE}-{SPAN}-01-what=ever", SAMPLED),
        (f"cc-{TRACE}-{SPAN}-01-", SAMPLED),
    ],
)
def test_when_a_traceparent_is_valid_then_it_is_read(text: str, context: TraceContext) -> None:
    """Of the flags only the lowest bit counts; a later version may say more."""
    assert context == parse_traceparent(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01-a b",
        f"cc-{TRACE}-{SPAN}-01-{'a' * 600}",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-0G",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}\N{ARABIC-INDIC DIGIT ZERO}-{SPAN}-01",
        f"00_{TRACE}_{SPAN}_01",
    ],
)
def test_when_a_traceparent_is_not_valid_then_it_plays_no_part(text: str) -> None:
    """Version ff, zeros, capitals, and anything behind the flags of version 00."""
    assert parse_traceparent(text) is None


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (f"{ROOT};Parent={SPAN};Sampled=1", SAMPLED),
        (f"Sampled=0;Parent={SPAN};{ROOT}", UNSAMPLED),
        (f"{ROOT}; Parent={SPAN}; Sampled=1", SAMPLED),
        (f"{ROOT};Parent={SPAN};Sampled=1;Lineage=25:a87bd80c:0", SAMPLED),
        (f"Self=1-00000000-{'1' * 24};{ROOT};Parent={SPAN}", UNSAMPLED),
        (f"{ROOT};Parent={SPAN};Sampled=?", UNSAMPLED),
        (ROOT, TraceContext(TRACE, "", is_sampled=False)),
        (f"{ROOT};Parent=;Sampled=1", TraceContext(TRACE, "", is_sampled=True)),
        (f"{ROOT};Parent={'0' * 16}", TraceContext(TRACE, "", is_sampled=False)),
    ],
)
def test_when_xrays_header_names_a_trace_then_it_is_read(text: str, context: TraceContext) -> None:
    """The members come in any order, and others than these three play no part."""
    assert context == parse_amzn_trace_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"Parent={SPAN};Sampled=1",
        f"Root=2-{TRACE[:8]}-{TRACE[8:]}",
        f"Root=1-{TRACE}",
        f"Root=1-{TRACE[:8]}-{TRACE[8:]}0",
        f"Root=1-{TRACE[:8].upper()}-{TRACE[8:].upper()}",
        f"Root=1-{'0' * 8}-{'0' * 24}",
        f"root=1-{TRACE[:8]}-{TRACE[8:]}",
        f"{ROOT};{ROOT}",
        f"{ROOT}\n",
        f"{ROOT};{'a' * 2_000}",
    ],
)
def test_when_xrays_header_names_no_trace_then_it_plays_no_part(text: str) -> None:
    """Another version, zeros, capitals, or two of them."""
    assert parse_amzn_trace_id(text) is None


def test_when_a_context_has_no_span_then_it_is_no_traceparent() -> None:
    """That header has no way to leave it out."""
    with pytest.raises(ValueError, match="span"):
        to_traceparent(SAMPLED.with_span(""))


def test_when_a_context_has_no_span_then_xrays_header_has_no_parent() -> None:
    """An empty one would be taken for one."""
    assert f"{ROOT};Sampled=1" == to_amzn_trace_id(SAMPLED.with_span(""))


@given(CONTEXTS)
def test_when_a_context_is_written_then_both_headers_say_the_same(context: TraceContext) -> None:
    """Each is read as what was written."""
    assert context == parse_traceparent(to_traceparent(context))
    assert context == parse_amzn_trace_id(to_amzn_trace_id(context))


@given(st.text() | NEARLY)
def test_when_anything_is_read_then_it_is_nothing_or_can_be_written(text: str) -> None:
    """Nothing raises, and what comes out is a context that both headers take back."""
    for context in (parse_traceparent(text), parse_amzn_trace_id(text)):
        if context is not None:
            assert context == parse_amzn_trace_id(to_amzn_trace_id(context))
            in_span = context.with_span(SPAN)
            assert in_span == parse_traceparent(to_traceparent(in_span))


@given(
    NEARLY
    | st.text()
    | st.lists(
        st.sampled_from(
            [
                ROOT,
                f"Root=1-{'0' * 8}-{'0' * 24}",
                "Root=",
                "Sampled=1",
                f"Parent={SPAN}",
                " ",
                "x" * 999,
            ]
        )
    ).map(";".join)
)
def test_when_only_the_trace_is_looked_for_then_it_is_the_one_that_is_parsed(text: str) -> None:
    """The quick way accepts neither more nor less."""
    context = parse_amzn_trace_id(text)

    assert find_trace_id(text) == ("" if context is None else context.trace_id)


@pytest.mark.parametrize(
    "text",
    [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        "a=1, b=2 ,\tc=3",
        "a=1,,b=2",
        "fw529a3039@dt=FfAAAAg==".replace("==", ""),
        "0tenant@system=a b",
        LONGEST_MEMBER,
        ",".join(f"k{number}=v" for number in range(32)),
    ],
)
def test_when_a_tracestate_is_valid_then_it_may_go_on(text: str) -> None:
    """Blanks around members, and empty members, are allowed."""
    assert is_tracestate(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "a",
        "a=",
        "=a",
        "A=1",
        "a=1,a=2",
        "a=b=c",
        "a=\x01",
        "a=1\r\nx: y",
        "a=ä",
        "a b=c",
        f"{'k' * 257}=v",
        f"k={'v' * 257}",
        ",".join(f"k{number}=v" for number in range(33)),
        ",".join(f"k{number}={'v' * 200}" for number in range(30)),
    ],
)
def test_when_a_tracestate_is_not_valid_then_it_may_not_go_on(text: str) -> None:
    """Too many or too long, a key twice, or a character that it cannot hold."""
    assert not is_tracestate(text)
