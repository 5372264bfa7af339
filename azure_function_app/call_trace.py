"""The trace of the call that is being served, for the log's lines and for the calls that it makes.

It continues the host's span, or the caller's, and the API in AWS gets it in both clouds' headers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import NamedTuple

from shared.log import log_fields
from shared.trace_context import (
    TraceContext,
    is_tracestate,
    parse_traceparent,
    to_amzn_trace_id,
    to_traceparent,
)


class TraceHeaders(NamedTuple):
    """A `traceparent` header and the `tracestate` beside it, as they came."""

    parent: str
    state: str = ""


class Trace(NamedTuple):
    """A trace that is under way here."""

    context: TraceContext
    """Its span is the one that asked us."""
    state: str = ""
    """What other systems have put beside that span."""


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current_trace() -> Trace | None:
    """Return the trace of what is being done, with the span that it is done in, if there is one."""
    return _current.get()


def enter_span(context: TraceContext) -> Token[Trace | None]:
    """Make the span the current one of this task; what others put beside its parent stays."""
    current = _current.get()
    return _current.set(Trace(context, "" if current is None else current.state))


def leave_span(entered: Token[Trace | None]) -> None:
    """Make the span current again that was so before `enter_span`."""
    _current.reset(entered)


def headers_of(span: TraceContext) -> tuple[tuple[str, str], ...]:
    """Return the headers of a call that this span is, for both clouds."""
    return (
        ("traceparent", to_traceparent(span)),
        # API Gateway takes the trace from this one, and hands it on to the functions.
        ("x-amzn-trace-id", to_amzn_trace_id(span)),
    )


@dataclass(frozen=True, slots=True)
class Tracer:
    """Continues traces, or begins new ones."""

    random_hex: Callable[[int], str]
    """So many random bytes, as hex digits."""

    def continued(self, *parents: TraceHeaders) -> Trace:
        """Return the trace of the first parent that is valid, else the current one, else a new one.

        Args:
            parents: the nearest first; a state belongs to the parent beside it.

        """
        for parent, state in parents:
            context = parse_traceparent(parent)
            if context is not None:
                return Trace(context, state if is_tracestate(state) else "")
        current = _current.get()
        if current is not None:
            return current
        return Trace(TraceContext(self.random_hex(16), self.random_hex(8), is_sampled=False))

    @contextmanager
    def serving(self, request_id: str, *parents: TraceHeaders) -> Iterator[Trace]:
        """Make the trace the current one of the block, and name it on each line logged in it.

        Args:
            request_id: stands on those lines too.
            parents: as for `continued`.

        """
        trace = self.continued(*parents)
        token = _current.set(trace)
        try:
            with log_fields(trace_id=trace.context.trace_id, request_id=request_id):
                yield trace
        finally:
            _current.reset(token)

    def outgoing_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers of one call to the API, which is a span of its own in the trace."""
        parent, state = self.continued()
        headers = headers_of(parent.with_span(self.random_hex(8)))
        return (*headers, ("tracestate", state)) if state else headers

    def new_request_id(self) -> str:
        """Return an ID for a call that nobody has named."""
        return self.random_hex(16)
