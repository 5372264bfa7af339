"""Lambda entry of the health route. It needs no settings and no third party."""

from collections.abc import Mapping

from aws_backend.dispatch import Operation, configure_logging, dispatch_event
from aws_backend.proxy_event import BackendRequest, BackendResponse, json_response
from aws_backend.settings import load_trace_id
from shared.clock import SystemClock

configure_logging()


def get_health(_request: BackendRequest) -> BackendResponse:
    """Say that gateway and Lambda run. The table is not read: anyone may call this, at our cost."""
    return json_response(200, {"status": "ok"}, {"Cache-Control": "no-store"})


def _operations() -> Mapping[tuple[str, str], Operation]:
    return {("GET", "/health"): get_health}


def handler(event: Mapping[str, object], _context: object) -> dict[str, object]:
    """Return the response to one API Gateway event."""
    return dispatch_event(event, _operations, SystemClock(), load_trace_id())
