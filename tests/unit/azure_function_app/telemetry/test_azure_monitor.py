"""What is said of spans that were lost, and what Microsoft's exporter is built with."""

import logging
from collections.abc import Callable, Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from azure_function_app.identity.token_transport import Endpoint, build_transport
from azure_function_app.telemetry.azure_monitor import (
    REPORT_SECONDS,
    ReportedExporter,
    build_exporter,
)
from tests.support.fake_clock import FakeClock

SPANS: Sequence[ReadableSpan] = (ReadableSpan("one"), ReadableSpan("two"))


class FailingExporter(SpanExporter):
    """Fails as it is told."""

    def __init__(self, on_status: Callable[[int], None], outcome: int | Exception | None) -> None:
        self.on_status = on_status
        self.outcome = outcome

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - looked at by nobody
        """Raise, or answer after a status, or without one."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome is not None:
            self.on_status(self.outcome)
        is_good = self.outcome == 200
        return SpanExportResult.SUCCESS if is_good else SpanExportResult.FAILURE


def reports(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """The fields of each line about lost spans."""
    return [record.bridge_fields for record in caplog.records if record.msg == "telemetry_lost"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [(403, "status_403"), (None, "no_answer"), (ValueError("a secret"), "ValueError")],
)
def test_when_spans_are_lost_then_one_line_says_why(
    caplog: pytest.LogCaptureFixture, outcome: int | Exception | None, cause: str
) -> None:
    """Without the error's own words."""
    exporter = ReportedExporter(lambda told: FailingExporter(told, outcome), FakeClock())

    result = exporter.export(SPANS)

    assert SpanExportResult.FAILURE is result
    assert [{"spans": 2, "cause": cause}] == reports(caplog)
    assert "a secret" not in caplog.text


def test_when_spans_go_on_being_lost_then_the_lines_are_minutes_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each counts what was lost since the one before."""
    clock = FakeClock()
    exporter = ReportedExporter(lambda told: FailingExporter(told, 500), clock)
    for _ in range(4):
        exporter.export(SPANS)
    clock.advance(REPORT_SECONDS)
    exporter.export(SPANS)

    assert [2, 8] == [report["spans"] for report in reports(caplog)]


def test_when_the_exporter_cannot_be_built_then_each_batch_tries_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An identity's endpoint may not be up yet when the first batch is."""
    built: Iterator[OSError | int] = iter([OSError("not yet"), 200])

    def build(told: Callable[[int], None]) -> SpanExporter:
        outcome = next(built)
        if isinstance(outcome, OSError):
            raise outcome
        return FailingExporter(told, outcome)

    exporter = ReportedExporter(build, FakeClock())

    assert SpanExportResult.FAILURE is exporter.export(SPANS)
    assert SpanExportResult.SUCCESS is exporter.export(SPANS)
    assert [{"spans": 2, "cause": "OSError"}] == reports(caplog)
    assert exporter.force_flush()
    exporter.shutdown()


def test_when_microsofts_exporter_is_built_then_it_keeps_nothing_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No file, no report to Microsoft, no log line, no credential that nobody asked for."""
    for name in ("STATSBEAT_DISABLED_ALL", "CONTROLPLANE_DISABLED", "SDKSTATS_DISABLED"):
        monkeypatch.setenv(f"APPLICATIONINSIGHTS_{name}", "true")
    monkeypatch.setenv("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD")
    clock = FakeClock()

    exporter = build_exporter(
        "InstrumentationKey=12345678-abcd-4000-8000-1234567890ab",
        credential=None,
        transport=build_transport(Endpoint.APPLICATION_INSIGHTS, clock),
        on_status=lambda _: None,
    )

    assert (None, None) == (exporter.storage, exporter._credential)  # type: ignore[attr-defined]
    assert not logging.getLogger("azure.monitor.opentelemetry.exporter").isEnabledFor(logging.ERROR)
