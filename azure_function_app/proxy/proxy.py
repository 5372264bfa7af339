"""Passes a caller's request on to the API in AWS, and the API's response back.

Only what `shared.routes` lists gets through, only from whom `permissions` admits, and only headers
that mean something to the API. All of a request is checked before anything is sent, and before any
token is asked for. What Azure puts on a request for its own use (function keys, `x-ms-*`,
`x-arr-*`) never leaves Azure.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import httpx

from azure_function_app.aws_api.client import MAX_BODY, ApiRequest, ApiResponse, problem_code
from azure_function_app.aws_api.token_refusal import REFUSALS, explain_refusal
from azure_function_app.call_trace import TraceHeaders, Tracer
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError, RequestRefused, TokenRefused
from azure_function_app.http_response import HttpResponse
from azure_function_app.problem_details import problem_of
from azure_function_app.proxy.header_fields import (
    answer_invalid,
    forwarded_headers,
    returned_headers,
)
from azure_function_app.proxy.permissions import SignIn, check_forwarded
from azure_function_app.proxy.request_target import parse_request_target
from azure_function_app.proxy.signed_in_caller import SignedInCaller
from azure_function_app.telemetry.spans import NO_SPANS, Span, SpanRecorder
from shared.clock import Clock
from shared.log import log_event
from shared.routes import Route

_logger = logging.getLogger(__name__)

_BODYLESS_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_METHODS: Final = frozenset({"PATCH", "POST", "PUT"})
_FINAL_STATUSES: Final = range(200, 600)
_BODYLESS_STATUSES: Final = frozenset({204, 205, 304})
"""The host fails where a body comes with one of these."""
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# More digits than any body needs, and fewer than Python refuses to read.
_LENGTH: Final = re.compile(r"[0-9]{1,18}")


class Api(Protocol):
    """Makes a request with this app's token on it, retries included."""

    async def fetch(self, request: ApiRequest, *, deadline: Deadline) -> ApiResponse:
        """Return the API's whole response, whatever its status.

        Raises:
            BridgeError: there is no response by the deadline.

        """


@dataclass(frozen=True, slots=True)
class CallerRequest:
    """A request as the Functions host hands it over."""

    method: str
    url: str
    """As it came: the host drops empty values and joins repeats in what it parses from it."""
    headers: Mapping[str, str]
    """Names in lower case, repeats joined by a comma."""
    body: bytes
    invocation_id: str
    trace_parent: str = ""
    """The host's own span, where it has one."""
    trace_state: str = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy, ready for any number of callers at once; it keeps nothing of any of them."""

    api: Api
    routes: tuple[Route, ...]
    clock: Clock
    call_seconds: float
    tracer: Tracer
    spans: SpanRecorder = NO_SPANS
    forwards_writes: bool = False
    """Whether more is forwarded than what only reads."""
    sign_in: SignIn | None = None
    """Whom App Service must have signed in; without it the host has checked the caller's key."""

    async def answer(self, caller: CallerRequest) -> HttpResponse:
        """Return the API's response, or a problem document; raises nothing but cancellation."""
        request_id = _request_id(caller)
        # The host's span is the nearer parent.
        parents = (
            TraceHeaders(caller.trace_parent, caller.trace_state),
            TraceHeaders(
                caller.headers.get("traceparent", ""), caller.headers.get("tracestate", "")
            ),
        )
        with (
            self.tracer.serving(request_id, *parents),
            self.spans.span("proxy_call", {"request_id": request_id}) as span,
        ):
            return await self._answer(caller, request_id, span)

    async def _answer(self, caller: CallerRequest, request_id: str, span: Span) -> HttpResponse:
        started = self.clock.monotonic()
        code = None
        signed_in = None
        found: dict[str, object] = {"route": None, "aws_request_id": None}
        try:
            signed_in = self._identify(caller)
            response = await self._forward(caller, request_id, signed_in, found)
        except Exception as error:
            problem = problem_of(error)
            code = problem.code
            if not isinstance(error, BridgeError):
                _logger.exception("proxy_failed")
            elif not isinstance(error, RequestRefused):
                _log_cause(error)
            headers = error.headers if isinstance(error, _RefusedWithHeaders) else ()
            response = problem.response(request_id, *headers)
        log_event(
            _logger,
            logging.INFO,
            "proxy_call",
            method=caller.method,
            status=response.status,
            code=code,
            milliseconds=round((self.clock.monotonic() - started) * 1000, 1),
            **found,
            **self._caller_fields(signed_in),
        )
        if span.context is not None:
            route = found["route"]
            span.set(
                {
                    "method": caller.method,
                    "route": route if isinstance(route, str) else None,
                    "status": response.status,
                }
            )
            if code is not None:
                span.fail(code)
        return response

    def _identify(self, caller: CallerRequest) -> SignedInCaller | None:
        if self.sign_in is None:
            return None
        try:
            return self.sign_in.identify(caller.headers)
        except RequestRefused as refused:
            raise _RefusedWithHeaders(
                str(refused), ("WWW-Authenticate", "Bearer"), code=refused.code
            ) from None

    def _caller_fields(self, signed_in: SignedInCaller | None) -> dict[str, object]:
        """Return who called and with which roles, without a name or an address of a person."""
        if self.sign_in is None or signed_in is None:
            return {}
        known = signed_in.roles & self.sign_in.caller_roles.keys()
        return {"caller": signed_in.object_id, "caller_roles": sorted(known)}

    async def _forward(
        self,
        caller: CallerRequest,
        request_id: str,
        signed_in: SignedInCaller | None,
        found: dict[str, object],
    ) -> HttpResponse:
        if self.sign_in is not None and signed_in is not None:
            self.sign_in.check_member(signed_in)
        target = parse_request_target(caller.url, self.routes)
        # Not the path itself: the ID in it can be nobody's business.
        found["route"] = target.routes[0].path
        if caller.method == "OPTIONS":
            allow = (("Allow", target.allow), ("X-Request-Id", request_id))
            return HttpResponse(HTTPStatus.NO_CONTENT, allow, b"")
        # API Gateway has no HEAD where the API declares only GET, so we ask for the whole response.
        method = "GET" if caller.method == "HEAD" else caller.method
        route = next((route for route in target.routes if route.method == method), None)
        if route is None:
            raise _RefusedWithHeaders(
                f"This path answers only to {target.allow}.",
                ("Allow", target.allow),
                code="request_method_not_allowed",
            )
        check_forwarded(route, forwards_writes=self.forwards_writes)
        if self.sign_in is not None and signed_in is not None:
            self.sign_in.check_route(signed_in, route)
        check_body(caller)
        headers = dict(forwarded_headers(caller.headers))
        headers |= self.tracer.outgoing_headers()
        headers["x-request-id"] = request_id
        request = ApiRequest(
            method, target.path, target.query, tuple(headers.items()), caller.body, route.path
        )
        response = await self.api.fetch(
            request, deadline=Deadline.after(self.call_seconds, self.clock)
        )
        found["aws_request_id"] = _aws_request_id(response.headers)
        if response.status_code in REFUSALS:
            # We have let the caller in, so this is about our token, not about the caller's.
            raise explain_refusal(response, problem_code(response), route)
        return _passed_on(response, request_id, with_body=caller.method != "HEAD")


class _RefusedWithHeaders(RequestRefused):
    """A refusal whose status demands a header field of its own."""

    def __init__(self, message: str, *headers: tuple[str, str], code: str) -> None:
        super().__init__(message, code=code)
        self.headers = headers


def _passed_on(response: ApiResponse, request_id: str, *, with_body: bool) -> HttpResponse:
    status = response.status_code
    if status not in _FINAL_STATUSES:
        raise answer_invalid(f"with the status {status}, which is not a final one")
    return HttpResponse(
        status,
        (*returned_headers(response.headers), ("X-Request-Id", request_id)),
        response.content if with_body and status not in _BODYLESS_STATUSES else b"",
    )


def _log_cause(error: BridgeError) -> None:
    log_event(
        _logger,
        logging.WARNING,
        "proxy_failed",
        code=error.code,
        message=str(error),
        cause=repr(error.__cause__) if error.__cause__ else None,
        **({"status": error.status, **error.evidence} if isinstance(error, TokenRefused) else {}),
    )


def _aws_request_id(headers: httpx.Headers) -> str | None:
    given: str = headers.get("x-amzn-requestid", "")
    return given if _REQUEST_ID.fullmatch(given) else None


def _request_id(caller: CallerRequest) -> str:
    given = caller.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else caller.invocation_id


def check_body(caller: CallerRequest) -> None:
    """Refuse a body that would not arrive as the caller meant it.

    The Functions host hands a chunked body over as an empty one (azure-functions-host #7930), so
    a request that says it is chunked, or that should say how long it is and does not, is refused.

    Raises:
        RequestRefused: with 411 or 413, or 400 for a body that the method has no use for or that
            is not as long as announced.

    """
    length = caller.headers.get("content-length")
    if "transfer-encoding" in caller.headers or (
        caller.method in _BODY_METHODS and length is None and not caller.body
    ):
        raise RequestRefused(
            "Send the body with a Content-Length; Azure Functions drops a chunked one.",
            code="request_length_required",
        )
    if len(caller.body) > MAX_BODY:
        raise RequestRefused(
            f"The body is over {MAX_BODY} bytes long.", code="request_body_too_large"
        )
    if caller.body and caller.method in _BODYLESS_METHODS:
        raise RequestRefused(
            f"A {caller.method} request takes no body.", code="request_body_unexpected"
        )
    if length is not None and not (_LENGTH.fullmatch(length) and int(length) == len(caller.body)):
        raise RequestRefused(
            "The body is not as long as its Content-Length.", code="request_body_incomplete"
        )
