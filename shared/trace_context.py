"""The trace that a call belongs to, as W3C Trace Context and as AWS X-Ray write it.

Both have a trace ID of 32 hexadecimal digits; X-Ray cuts it in two and puts a version before it.
https://www.w3.org/TR/trace-context/
https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
"""

import re
from typing import Final, NamedTuple, Self

# Version 00 ends after the flags; a later version may go on behind another dash.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<later>-[!-~]*)?"
)
_LONGEST_TRACEPARENT: Final = 512
_ROOT: Final = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
# As Lambda writes it.
_ROOT_FIRST: Final = re.compile(r"Root=1-(?!0{8}-0{24})([0-9a-f]{8})-([0-9a-f]{24})(?:;|\Z)")
_SPAN: Final = re.compile(r"[0-9a-f]{16}")
_LONGEST_AMZN: Final = 1_024
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 0x01

LAMBDA_TRACE: Final = "_X_AMZN_TRACE_ID"
"""The variable in which Lambda's runtime client keeps the trace of the invocation under way."""

_STATE_KEY: Final = re.compile(
    r"[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
)
_STATE_VALUE: Final = re.compile(r"[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_MOST_STATE_MEMBERS: Final = 32
_LONGEST_STATE: Final = 4_096


# Not a data class: the authorizer parses one for each call, and starts with what it imports.
class TraceContext(NamedTuple):
    """A trace, and the span in it that asked for what is done now."""

    trace_id: str
    """32 lower-case hexadecimal digits, not all zero."""
    span_id: str
    """16 of them; empty where X-Ray's header names none."""
    is_sampled: bool
    """Whether who began the trace records it."""

    def with_span(self, span_id: str) -> Self:
        """Return the same trace, asked on by another span."""
        return self._replace(span_id=span_id)


def parse_traceparent(text: str) -> TraceContext | None:
    """Return what a `traceparent` header says, or None if it is not valid and plays no part.

    Of a later version than 00 only what version 00 has is read. A `tracestate` beside a header
    that is not valid must be left unread (section 3.3 of the recommendation).
    """
    if len(text) > _LONGEST_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(text)
    if match is None or (match["later"] is not None and match["version"] == "00"):
        return None
    return TraceContext(match["trace"], match["span"], bool(int(match["flags"], 16) & _SAMPLED))


def to_traceparent(context: TraceContext) -> str:
    """Return the context as a `traceparent` header.

    Raises:
        ValueError: it names no span, which this header must.

    """
    if not context.span_id:
        raise ValueError("a traceparent names a span")
    return f"00-{context.trace_id}-{context.span_id}-{context.is_sampled:02x}"


def parse_amzn_trace_id(text: str) -> TraceContext | None:
    """Return what an `X-Amzn-Trace-Id` header says, or None if it names no trace.

    The same text stands in `LAMBDA_TRACE`. Members that are not known play no part, and
    neither does a `Parent` or `Sampled` that is none; a `Root` that is there twice makes it void.
    """
    if len(text) > _LONGEST_AMZN:
        return None
    trace_id = span_id = ""
    is_sampled = False
    for member in text.split(";"):
        name, _, value = member.strip(" ").partition("=")
        if name == "Root":
            root = _ROOT.fullmatch(value)
            if root is None or trace_id:
                return None
            trace_id = root[1] + root[2]
        elif name == "Parent":
            span_id = value if _SPAN.fullmatch(value) and value != _NO_SPAN else ""
        elif name == "Sampled":
            is_sampled = value == "1"
    if not trace_id or trace_id == _NO_TRACE:
        return None
    return TraceContext(trace_id, span_id, is_sampled)


def find_trace_id(text: str) -> str:
    """Return the trace ID that `parse_amzn_trace_id` finds, or an empty text; in less time.

    The authorizer has some ten microseconds for a call, and a line to write in them.
    """
    match = _ROOT_FIRST.match(text)
    if match is not None and text.count("Root") == 1 and len(text) <= _LONGEST_AMZN:
        return match[1] + match[2]
    context = parse_amzn_trace_id(text)
    return "" if context is None else context.trace_id


def to_amzn_trace_id(context: TraceContext) -> str:
    """Return the context as an `X-Amzn-Trace-Id` header, without a parent where it has no span."""
    trace_id = context.trace_id
    parent = f";Parent={context.span_id}" if context.span_id else ""
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]}{parent};Sampled={context.is_sampled:d}"


def is_tracestate(text: str) -> bool:
    """Return whether a `tracestate` header is one that may be passed on (section 3.3.1)."""
    if len(text) > _LONGEST_STATE:
        return False
    members = [member.strip(" \t") for member in text.split(",")]
    named = [member.partition("=") for member in members if member]
    if not 0 < len(named) <= _MOST_STATE_MEMBERS or len({key for key, _, _ in named}) < len(named):
        return False
    return all(
        _STATE_KEY.fullmatch(key) and _STATE_VALUE.fullmatch(value) for key, _, value in named
    )
