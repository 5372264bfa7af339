"""Turns API Gateway's event into a response: checks the caller, runs the operation, maps errors."""

import logging
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from aws_backend.errors import (
    ApiError,
    AuthorizerContextMissing,
    InternalError,
    RoleMissing,
    RouteUnknown,
)
from aws_backend.proxy_event import (
    BackendRequest,
    BackendResponse,
    find_request_ids,
    json_response,
    parse_proxy_event,
)
from shared import problem
from shared.clock import Clock
from shared.log import JsonLines, log_event, log_fields
from shared.principal import DECISION_ID, Principal, PrincipalMissingError, parse_context
from shared.routes import ROUTES, Route

type Operation = Callable[[BackendRequest], BackendResponse]

_logger = logging.getLogger(__name__)
_ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    (route.method, route.path): route for route in ROUTES
}


def configure_logging() -> None:
    """Make every log line of the process a JSON object; libraries log from WARNING on."""
    root = logging.getLogger()
    # The handler that Lambda's runtime client puts there ends no line outside AWS.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("aws_backend").setLevel(logging.INFO)


def dispatch_event(
    event: Mapping[str, object],
    build_operations: Callable[[], Mapping[tuple[str, str], Operation]],
    clock: Clock,
    trace_id: str = "",
) -> dict[str, object]:
    """Return the response to one event, as API Gateway takes it, and log one line. Raise nothing.

    A route that `shared.routes` protects is served only to a caller whom the authorizer has put
    into the request context and whose roles admit it: the gateway has checked that already, and a
    deployment that lost its authorizer must not open the API.

    Args:
        event: what API Gateway hands over.
        build_operations: gives the operation of each route that this function serves.
        clock: measures how long it takes.
        trace_id: the trace that the call belongs to, for each line that is logged meanwhile.

    """
    ids = find_request_ids(event)
    with log_fields(
        trace_id=trace_id, request_id=ids.gateways, caller_request_id=ids.callers or None
    ):
        return _answer(event, build_operations, clock, ids.gateways).to_proxy_response()


def _answer(
    event: Mapping[str, object],
    build_operations: Callable[[], Mapping[tuple[str, str], Operation]],
    clock: Clock,
    request_id: str,
) -> BackendResponse:
    started = clock.monotonic()
    fields: dict[str, object] = {}
    try:
        response = _serve(event, build_operations, fields)
    except ApiError as error:
        response = _problem(error, request_id)
        # The cause may hold what only our log may hold.
        _log_refusal(error)
        fields["code"] = error.code
    except Exception:  # whatever it is, the caller gets an answer that says nothing about it
        _logger.exception("request_failed")
        response = _problem(InternalError("Something went wrong; our log says what."), request_id)
        fields["code"] = InternalError.code
    milliseconds = round((clock.monotonic() - started) * 1000, 1)
    log_event(
        _logger,
        logging.INFO,
        "request",
        status=response.status,
        milliseconds=milliseconds,
        **fields,
    )
    return response


def _serve(
    event: Mapping[str, object],
    build_operations: Callable[[], Mapping[tuple[str, str], Operation]],
    fields: dict[str, object],
) -> BackendResponse:
    request = parse_proxy_event(event)
    fields |= {"method": request.method, "route": request.resource}
    route = _ROUTES.get((request.method, request.resource))
    if route is None:
        raise RouteUnknown("There is no such route.")
    if route.role is not None:
        fields |= {DECISION_ID: (request.authorizer or {}).get(DECISION_ID, "")}
        principal = _parse_principal(request)
        fields |= {"client_id": principal.client_id, "object_id": principal.object_id}
        if not route.admits(principal.roles):
            # The gateway's policy has let it through, so the two were deployed with other routes.
            fields |= {"needed_role": route.role, "roles": sorted(principal.roles)}
            raise RoleMissing(f"This needs the app role {route.role}.")
    operation = build_operations().get((request.method, request.resource))
    if operation is None:
        raise RouteUnknown("There is no such route.")
    return operation(request)


def _parse_principal(request: BackendRequest) -> Principal:
    try:
        return parse_context(request.authorizer or {})
    except PrincipalMissingError as error:
        raise AuthorizerContextMissing("Something went wrong; our log says what.") from error


def _log_refusal(error: ApiError) -> None:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log_event(
            _logger,
            logging.ERROR,
            "request_failed",
            code=error.code,
            reason=str(error.__cause__ or error),
        )


def _problem(error: ApiError, request_id: str) -> BackendResponse:
    """Return the error as problem details (RFC 9457), with the members of the gateway's own."""
    headers = {"Content-Type": problem.MEDIA_TYPE, "Cache-Control": "no-store"}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    document = {
        "type": problem.TYPE,
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": str(error),
        "code": error.code,
        "request_id": request_id,
    }
    return json_response(error.status, document, headers)
