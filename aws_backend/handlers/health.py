"""Lambda entry of the health route. It needs no settings and no third party."""

from collections.abc import Mapping

from aws_backend.dispatch import Operation, answer_event, configure_logging
from aws_backend.proxy_event import ApiRequest, ApiResponse, json_response
from shared.clock import SystemClock

configure_logging()


def get_health(_request: ApiRequest) -> ApiResponse:
    """That gateway and Lambda run. The table is not asked: anybody may call this, at our cost."""
    return json_response(200, {"status": "ok"}, {"Cache-Control": "no-store"})


def _operations() -> Mapping[tuple[str, str], Operation]:
    return {("GET", "/health"): get_health}


def handler(event: Mapping[str, object], _context: object) -> dict[str, object]:
    """Answer one API Gateway event."""
    return answer_event(event, _operations, SystemClock())
