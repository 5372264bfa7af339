"""Every refusal and failure as a problem document (RFC 9457) with a stable code."""

import json
import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from azure_function_app.errors import (
    BackendError,
    BridgeError,
    CircuitOpen,
    DeadlineExceeded,
    Overloaded,
    RequestRefused,
    StoreUnavailable,
    TokenAcquisitionError,
)
from azure_function_app.http_response import RETRY_AFTER_SECONDS, HttpResponse
from shared import problem
from shared.settings_reader import SettingsError

# The first class that fits wins, so the more exact ones stand first.
_STATUS_BY_CLASS: Final = (
    (TokenAcquisitionError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CircuitOpen, HTTPStatus.SERVICE_UNAVAILABLE),
    (Overloaded, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (BackendError, HTTPStatus.BAD_GATEWAY),
    (DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT),
    (RequestRefused, HTTPStatus.BAD_REQUEST),
)
# A refused request is a 400 unless HTTP has a word of its own for what is wrong with it.
_STATUS_BY_CODE: Final = {
    "request_caller_unknown": HTTPStatus.UNAUTHORIZED,
    "request_caller_forbidden": HTTPStatus.FORBIDDEN,
    "request_write_not_forwarded": HTTPStatus.FORBIDDEN,
    "request_route_unknown": HTTPStatus.NOT_FOUND,
    "request_method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "request_length_required": HTTPStatus.LENGTH_REQUIRED,
    "request_body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "request_headers_too_large": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in the words that a caller may read."""

    status: HTTPStatus
    code: str
    detail: str
    retry_after_seconds: int | None = None
    """Seconds; given with every 503."""

    def response(self, request_id: str, *headers: tuple[str, str]) -> HttpResponse:
        """Return the problem as a response. The request ID finds it in our log."""
        document = {
            "type": problem.TYPE,
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        fields = [
            ("Content-Type", problem.MEDIA_TYPE),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", request_id),
            *headers,
        ]
        if self.retry_after_seconds is not None:
            fields.append(("Retry-After", str(self.retry_after_seconds)))
        return HttpResponse(self.status, tuple(fields), json.dumps(document).encode())


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error is to a caller.

    An error that nobody foresaw tells nothing of itself: what it says may be only for our log.
    """
    if isinstance(error, SettingsError):
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            error.code,
            "The Function App's settings are not valid; its log names every one that is wrong.",
        )
    if not isinstance(error, BridgeError):
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "The Function App failed; its log has the reason under this request ID.",
        )
    status = _STATUS_BY_CODE.get(error.code) or next(
        (status for kind, status in _STATUS_BY_CLASS if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    retry_after_seconds = None
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        # Retry-After is whole seconds (RFC 9110 section 10.2.3), and 0 would invite a rush.
        seconds = (
            RETRY_AFTER_SECONDS if error.retry_after_seconds is None else error.retry_after_seconds
        )
        retry_after_seconds = max(1, math.ceil(seconds))
    return Problem(status, error.code, str(error), retry_after_seconds)
