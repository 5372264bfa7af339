"""Sends spans to Application Insights, by Microsoft's exporter, and says when it cannot.

The exporter is imported and built by the thread that sends the first batch, so no call waits for
it. It keeps nothing on disk, sends Microsoft no reports about itself, and writes no log lines: it
would write one for each batch that is refused, with what the endpoint answered in it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from azure_function_app.telemetry.open_telemetry import OpenTelemetrySpans
from azure_function_app.telemetry.telemetry_settings import TelemetrySettings
from shared.clock import Clock
from shared.log import log_event

_logger = logging.getLogger(__name__)

REPORT_SECONDS: Final = 300.0
"""Seconds between two lines about spans that were lost."""
_LIBRARIES: Final = ("azure.monitor.opentelemetry", "opentelemetry")


class ReportedExporter(SpanExporter):
    """Builds the exporter at the first batch, and reports what it loses, now and then."""

    def __init__(
        self, build: Callable[[Callable[[int], None]], SpanExporter], clock: Clock
    ) -> None:
        """Send through what `build` returns, which may raise anything, each time anew.

        Args:
            build: is handed whom to tell the status of each answer.
            clock: spaces out the reports.

        """
        self._build = build
        self._clock = clock
        self._exporter: SpanExporter | None = None
        self._lost = 0
        self._reported_at: float | None = None
        self._status: int | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Return whether the spans were taken; raises nothing."""
        self._status = None
        try:
            if self._exporter is None:
                self._exporter = self._build(self._note_status)
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - telemetry must not become anybody's failure
            result = SpanExportResult.FAILURE
            cause = type(error).__name__
        else:
            # Microsoft's exporter tells only its log, which is silent, what went wrong.
            cause = self._told_by_status()
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            self._report(cause)
        return result

    def shutdown(self) -> None:
        """Close the exporter, if one was built."""
        if self._exporter is not None:
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - OpenTelemetry's
        """Do nothing: nothing waits here."""
        return True

    def _told_by_status(self) -> str:
        return "no_answer" if self._status is None else f"status_{self._status}"

    def _note_status(self, status: int) -> None:
        self._status = status

    def _report(self, cause: str) -> None:
        now = self._clock.monotonic()
        if self._reported_at is not None and now < self._reported_at + REPORT_SECONDS:
            return
        self._reported_at = now
        log_event(_logger, logging.WARNING, "telemetry_lost", spans=self._lost, cause=cause)
        self._lost = 0


def build_spans(
    settings: TelemetrySettings,
    *,
    clock: Clock,
    version: str,
    build_credential: Callable[[str | None], TokenCredential],
    build_transport: Callable[[], RequestsTransport],
) -> OpenTelemetrySpans:
    """Return what records spans and sends them to Application Insights.

    Args:
        settings: which spans, and where to.
        clock: spaces out the lines about what was lost.
        version: of the app.
        build_credential: signs in a managed identity by its client ID; called by the thread that
            sends, if Application Insights wants to see one.
        build_transport: carries the spans, within a limit of its own; called there too.

    """

    def build(on_status: Callable[[int], None]) -> SpanExporter:
        sign_in = settings.sign_in
        return build_exporter(
            settings.connection_string or "",
            credential=None if sign_in is None else build_credential(sign_in.client_id),
            transport=build_transport(),
            on_status=on_status,
        )

    resource = {"service.name": settings.app, "service.version": version}
    if settings.instance:
        resource["service.instance.id"] = settings.instance
    return OpenTelemetrySpans(
        ReportedExporter(build, clock),
        sampled_share=settings.sampled_share,
        resource=resource,
    )


def build_exporter(
    connection_string: str,
    *,
    credential: TokenCredential | None,
    transport: RequestsTransport,
    on_status: Callable[[int], None],
) -> SpanExporter:
    """Return Microsoft's exporter of spans. Slow: it imports what nothing else here needs.

    Args:
        connection_string: of the Application Insights resource.
        credential: signs the app in there; None where the connection string suffices.
        transport: carries the spans, within a limit of its own.
        on_status: is told the status of each answer.

    Raises:
        ValueError: the connection string is none.

    """
    from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter  # noqa: PLC0415

    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.CRITICAL)
    return AzureMonitorTraceExporter(
        connection_string=connection_string,
        # Given, even if None: else it reads a variable and brings a credential of its own.
        credential=credential,
        transport=transport,
        raw_response_hook=lambda response: on_status(response.http_response.status_code),
        disable_offline_storage=True,
        # The transport tries again by itself, within its limit.
        retry_total=0,
    )
