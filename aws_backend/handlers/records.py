"""Lambda entry of the records API."""

from collections.abc import Mapping
from functools import cache

from aws_backend.bootstrap import build_records_api
from aws_backend.dispatch import Operation, configure_logging, dispatch_event
from aws_backend.settings import load_records_settings, load_trace_id
from shared.clock import SystemClock

configure_logging()


@cache
def _operations() -> Mapping[tuple[str, str], Operation]:
    return build_records_api(load_records_settings()).operations()


def handler(event: Mapping[str, object], _context: object) -> dict[str, object]:
    """Return the response to one API Gateway event."""
    return dispatch_event(event, _operations, SystemClock(), load_trace_id())
