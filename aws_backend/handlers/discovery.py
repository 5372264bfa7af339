"""Lambda entry of the API's public metadata. It needs no third party."""

from collections.abc import Mapping
from functools import cache

from aws_backend.dispatch import Operation, configure_logging, dispatch_event
from aws_backend.protected_resource import ProtectedResourceApi
from aws_backend.settings import load_discovery_settings, load_trace_id
from shared.clock import SystemClock

configure_logging()


@cache
def _operations() -> Mapping[tuple[str, str], Operation]:
    settings = load_discovery_settings()
    return ProtectedResourceApi(settings.identity, settings.public_url).operations()


def handler(event: Mapping[str, object], _context: object) -> dict[str, object]:
    """Return the response to one API Gateway event."""
    return dispatch_event(event, _operations, SystemClock(), load_trace_id())
