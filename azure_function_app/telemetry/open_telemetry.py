"""Spans by OpenTelemetry's SDK: made here, sent in batches by a thread, dropped where that fails.

Imported only where telemetry is on, because it costs a cold start its import. OpenTelemetry's
context and its global provider are not used: which span is the current one `call_trace` knows, for
log lines and headers too.
"""

import asyncio
import atexit
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import (
    Decision,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util.types import Attributes

from azure_function_app.call_trace import Trace, current_trace, enter_span, leave_span
from azure_function_app.telemetry.spans import NO_SPAN, FieldValue, Span
from shared.log import redacted
from shared.trace_context import TraceContext

if TYPE_CHECKING:
    from contextvars import Token

MOST_WAITING_SPANS: Final = 2_048
"""Spans that wait to be sent; of any more the oldest are dropped."""
BATCH_SPANS: Final = 512
BATCH_MILLISECONDS: Final = 2_000
"""How long a span waits at most for others: what a killed instance loses."""
FLUSH_SECONDS: Final = 3.0
"""How long the end of the process may wait for what is left to be sent."""
LONGEST_FIELD: Final = 256
SAMPLE_RATE: Final = "_MS.sampleRate"
"""In percent: by how much Application Insights multiplies what it counts."""
_MOST_FIELDS: Final = 32
_ASKED_FOR: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_ASKED_FOR: Final = TraceFlags(TraceFlags.DEFAULT)


class ParentOrShare(Sampler):
    """Records what the parent records, and of the rest a share of the traces, each as a whole.

    OpenTelemetry's `ParentBased` would record nothing of a trace whose parent does not, and the
    Functions host says so of every call unless its caller asked for a record.
    """

    def __init__(self, share: float) -> None:
        """Record this share of the traces that nobody asked to record."""
        self._share = TraceIdRatioBased(share)
        self._percent = 100 * share

    def should_sample(  # noqa: PLR0913, PLR0917 - OpenTelemetry's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: tuple[Link, ...] | None = None,  # type: ignore[override] # it is never looked at
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return whether the span is recorded."""
        chosen = self._share.should_sample(parent_context, trace_id, name, kind, attributes, links)
        parent = trace.get_current_span(parent_context).get_span_context()
        if chosen.decision is Decision.RECORD_AND_SAMPLE:
            return SamplingResult(
                chosen.decision, {**(attributes or {}), SAMPLE_RATE: self._percent}, trace_state
            )
        if parent.trace_flags.sampled:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return SamplingResult(Decision.DROP, None, trace_state)

    def is_unwanted(self, parent: TraceContext) -> bool:
        """Return whether no child of this parent is recorded, which is quicker to ask first."""
        return not parent.is_sampled and int(parent.trace_id[16:], 16) >= self._share.bound

    def get_description(self) -> str:
        """Return the sampler's name."""
        return f"ParentOrShare{{{self._percent}}}"


class _RecordedSpan:
    """A span that is recorded, and the current one of its block."""

    def __init__(self, span: trace.Span) -> None:
        context = span.get_span_context()
        self.context = TraceContext(
            f"{context.trace_id:032x}", f"{context.span_id:016x}", is_sampled=True
        )
        self._span = span
        self._entered: Token[Trace | None] | None = None

    def set(self, fields: Mapping[str, FieldValue]) -> None:
        self._span.set_attributes(_attributes(fields))

    def fail(self, code: str) -> None:
        self._span.set_attribute("error.type", code)
        self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> Self:
        self._entered = enter_span(self.context)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            leave_span(self._entered)
        if kind is not None:
            # Neither its message nor its traceback: nobody knows what is in them.
            code = getattr(error, "code", None)
            self.fail(code if isinstance(code, str) else kind.__name__)
        self._span.end()


class OpenTelemetrySpans:
    """Records spans and hands them to an exporter, from a thread of its own."""

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        sampled_share: float,
        resource: Mapping[str, str],
        batch_milliseconds: float = BATCH_MILLISECONDS,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        """Send what is recorded through the exporter, which may block, hang or raise.

        Args:
            exporter: is called by one thread, never by who records.
            sampled_share: of the traces that no caller has asked to record.
            resource: names the app, by OpenTelemetry's names.
            batch_milliseconds: how long a span waits for others.
            flush_seconds: how long `aclose` may take.

        """
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=MOST_WAITING_SPANS,
            schedule_delay_millis=batch_milliseconds,
            max_export_batch_size=BATCH_SPANS,
        )
        self._flush_seconds = flush_seconds
        # Not `Resource.create`, which runs whatever detector is installed.
        self._sampler = ParentOrShare(sampled_share)
        provider = TracerProvider(
            sampler=self._sampler,
            resource=Resource(dict(resource)),
            shutdown_on_exit=False,
            span_limits=SpanLimits(
                max_attributes=_MOST_FIELDS, max_attribute_length=LONGEST_FIELD, max_events=0
            ),
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("azure_function_app")
        atexit.register(self.close)

    def span(
        self, name: str, fields: Mapping[str, FieldValue] | None = None, *, calls: str = ""
    ) -> AbstractContextManager[Span]:
        """Return a block that is a span of the current trace, recorded if the trace is."""
        parent = current_trace()
        if parent is not None and self._sampler.is_unwanted(parent.context):
            return NO_SPAN
        span = self._tracer.start_span(
            name,
            context=_otel_context(parent),
            kind=SpanKind.CLIENT if calls else SpanKind.INTERNAL,
            attributes=_attributes({**(fields or {}), "url.full": calls or None}),
            record_exception=False,
            set_status_on_exception=False,
        )
        return _RecordedSpan(span) if span.is_recording() else NO_SPAN

    async def aclose(self) -> None:
        """Send what is left, for as long as that may take, and stop."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Send what is left, for as long as that may take, and stop. Blocks meanwhile."""
        atexit.unregister(self.close)
        # The processor's own patience is half a minute, and no public method says otherwise.
        ending = threading.Thread(target=self._processor.shutdown, name="spans-flush", daemon=True)
        ending.start()
        ending.join(self._flush_seconds)


def _otel_context(parent: Trace | None) -> Context:
    if parent is None or not parent.context.span_id:
        return Context()
    asked_by = SpanContext(
        int(parent.context.trace_id, 16),
        int(parent.context.span_id, 16),
        is_remote=True,
        trace_flags=_ASKED_FOR if parent.context.is_sampled else _NOT_ASKED_FOR,
    )
    return trace.set_span_in_context(NonRecordingSpan(asked_by), Context())


def _attributes(fields: Mapping[str, FieldValue]) -> dict[str, str | int | float | bool]:
    return {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }
