"""Spans by OpenTelemetry's SDK, read from its exporter in memory."""

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from azure_function_app.call_trace import TraceHeaders, Tracer, current_trace
from azure_function_app.errors import BackendUnavailable
from azure_function_app.telemetry.open_telemetry import (
    LONGEST_FIELD,
    MOST_WAITING_SPANS,
    SAMPLE_RATE,
    OpenTelemetrySpans,
    ParentOrShare,
)
from shared.trace_context import TraceContext
from tests.support.recorded_spans import recorded_spans

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HOST_SPAN = "00f067aa0ba902b7"
TRACER = Tracer(lambda size: "ab" * size)


def host(*, is_sampled: bool, trace_id: str = TRACE_ID) -> TraceHeaders:
    """The host's span, with the flag that its caller has sent, or none."""
    return TraceHeaders(f"00-{trace_id}-{HOST_SPAN}-0{is_sampled:d}", "vendor=1")


def test_when_spans_are_nested_then_each_is_the_next_ones_parent() -> None:
    """From the host's own span down; after a block the parent is the current span again."""
    with recorded_spans() as spans, TRACER.serving("r", host(is_sampled=True)):
        with spans.span("outer") as outer:
            with spans.span("inner", calls="https://api.example/v1") as inner:
                inside = current_trace()
            after = current_trace()
        ended = spans.ended()

    assert inside is not None
    assert after is not None
    assert inner.context == inside.context
    assert outer.context == after.context
    assert "vendor=1" == inside.state
    parents = {name: span.parent and f"{span.parent.span_id:016x}" for name, span in ended.items()}
    assert {"outer": HOST_SPAN, "inner": after.context.span_id} == parents
    assert {TRACE_ID} == {f"{span.context.trace_id:032x}" for span in ended.values()}
    assert (SpanKind.INTERNAL, SpanKind.CLIENT) == (ended["outer"].kind, ended["inner"].kind)


def test_when_nobody_has_a_trace_then_a_span_begins_one() -> None:
    """With an ID of its own."""
    with recorded_spans() as spans:
        with spans.span("alone") as span:
            pass
        ended = spans.ended()

    assert span.context is not None
    assert ended["alone"].parent is None
    assert span.context.trace_id == f"{ended['alone'].context.trace_id:032x}"


async def test_when_two_tasks_have_spans_then_neither_is_the_others_parent() -> None:
    """Calls that are under way at once share the recorder, and nothing else."""

    async def work(name: str) -> None:
        with TRACER.serving(name, host(is_sampled=True)), spans.span(name):
            await asyncio.sleep(0)

    with recorded_spans() as spans:
        await asyncio.gather(work("one"), work("two"))
        ended = spans.ended()

    assert {HOST_SPAN} == {f"{ended[name].parent.span_id:016x}" for name in ("one", "two")}  # type: ignore[union-attr]


def test_when_the_caller_asks_for_a_record_then_the_share_plays_no_part() -> None:
    """Its trace would have a hole here."""
    with recorded_spans(0.0) as spans:
        with TRACER.serving("r", host(is_sampled=True)), spans.span("asked") as asked:
            pass
        with TRACER.serving("r", host(is_sampled=False)), spans.span("unasked") as unasked:
            pass
        ended = spans.ended()

    assert {"asked"} == ended.keys()
    assert asked.context is not None
    assert unasked.context is None


def test_when_the_host_asks_for_nothing_then_a_share_of_the_traces_is_recorded() -> None:
    """Each as a whole, and with the rate by which Application Insights counts it."""
    trace_ids = [f"{'ab' * 8}{number * 0xA3D70A3D70A3D7:016x}" for number in range(400)]
    with recorded_spans(0.25) as spans:
        for trace_id in trace_ids:
            with (
                TRACER.serving("r", host(is_sampled=False, trace_id=trace_id)),
                spans.span("outer"),
                spans.span("inner"),
            ):
                pass
        spans.close()
        recorded = spans.memory.get_finished_spans()
    by_name = {
        name: {span.context.trace_id for span in recorded if span.name == name}
        for name in ("outer", "inner")
    }

    wanted = ParentOrShare(0.25)
    assert by_name["outer"] == by_name["inner"]
    assert by_name["outer"] == {
        int(trace_id, 16)
        for trace_id in trace_ids
        if not wanted.is_unwanted(TraceContext(trace_id, HOST_SPAN, is_sampled=False))
    }
    assert 60 <= len(by_name["outer"]) <= 140
    assert {25.0} == {(span.attributes or {})[SAMPLE_RATE] for span in recorded}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BackendUnavailable("Ann Smith", code="backend_timeout"), "backend_timeout"),
        (KeyError("Ann Smith"), "KeyError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
)
def test_when_work_fails_then_the_span_says_the_code_and_nothing_else(
    error: BaseException, code: str
) -> None:
    """A message or a traceback may hold whatever a caller has sent."""
    with recorded_spans() as spans:
        with pytest.raises(type(error)), spans.span("work"):
            raise error
        span = spans.ended()["work"]

    assert (StatusCode.ERROR, None) == (span.status.status_code, span.status.description)
    assert code == (span.attributes or {})["error.type"]
    assert "Ann Smith" not in span.to_json()
    assert () == tuple(span.events)


def test_when_a_field_holds_a_token_then_the_span_does_not() -> None:
    """The last line of defense: no caller of ours puts one in."""
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    with recorded_spans() as spans:
        with spans.span("work", {"a": f"Bearer {token}"}) as span:
            span.set({"b": token, "none": None, "long": "x" * 10_000})
        attributes = spans.ended()["work"].attributes or {}

    assert "eyJ" not in str(dict(attributes))
    assert "none" not in attributes
    assert LONGEST_FIELD == len(str(attributes["long"]))


class StuckExporter(SpanExporter):
    """Takes one batch, and then its time, until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Wait."""
        self.go_on.wait(30)
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


def test_when_the_exporter_hangs_then_recording_goes_on_and_memory_is_bounded() -> None:
    """The oldest spans are lost; who records feels nothing, and closing ends in time."""
    exporter = StuckExporter()
    spans = OpenTelemetrySpans(
        exporter, sampled_share=1, resource={}, batch_milliseconds=5, flush_seconds=0.2
    )
    for _ in range(3 * MOST_WAITING_SPANS):
        with spans.span("work"):
            pass
    began = time.perf_counter()
    spans.close()
    took = time.perf_counter() - began
    exporter.go_on.set()

    assert took < 2
    assert exporter.taken <= 2 * MOST_WAITING_SPANS


def test_when_it_is_closed_twice_then_the_second_time_does_nothing() -> None:
    """Once with its event loop, and once more with the process."""
    with recorded_spans() as spans:
        spans.close()
        spans.close()
        with spans.span("late"):
            pass

    assert () == spans.memory.get_finished_spans()
