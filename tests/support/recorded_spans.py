"""Spans that a test looks at, as OpenTelemetry's own exporter in memory keeps them."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from azure_function_app.telemetry.open_telemetry import OpenTelemetrySpans


class RecordedSpans(OpenTelemetrySpans):
    """Records into memory."""

    def __init__(self, sampled_share: float = 1.0) -> None:
        """Record that share of the traces."""
        self.memory = InMemorySpanExporter()
        super().__init__(self.memory, sampled_share=sampled_share, resource={})

    def ended(self) -> dict[str, ReadableSpan]:
        """Close, and return what was recorded, by name; the last of each name."""
        self.close()
        return {span.name: span for span in self.memory.get_finished_spans()}


@contextmanager
def recorded_spans(sampled_share: float = 1.0) -> Iterator[RecordedSpans]:
    """A recorder whose thread ends with the block."""
    spans = RecordedSpans(sampled_share)
    try:
        yield spans
    finally:
        spans.close()
