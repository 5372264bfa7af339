"""Lets MiniStack's gateway name each request as API Gateway does: trace, IDs, access log.

Runs in MiniStack's process (see `launcher.py`). MiniStack gives the functions no trace, a backend's
event another request ID than the answer, and a stage no access log.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import Any, Final
from uuid import uuid4

from emulator.aws.access_log import AccessLog, GatewayRequest, render
from shared.clock import SystemClock
from shared.trace_context import TraceContext, parse_amzn_trace_id, to_amzn_trace_id

_CLOCK: Final = SystemClock()
_current: ContextVar[GatewayRequest | None] = ContextVar("gateway_request", default=None)

type _Answer = tuple[int, dict[str, Any], bytes]


def keep_access_log_settings() -> None:
    """Give a stage that CloudFormation makes or changes the access log that its resource names."""
    from ministack.services import apigateway_v1  # noqa: PLC0415 - only MiniStack's Python has it
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415

    handler: dict[str, Any] = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::Stage"]  # noqa: SLF001
    create: Callable[..., object] = handler["create"]
    update: Callable[..., object] = handler["update"]
    stages: Mapping[str, Mapping[str, dict[str, Any]]] = apigateway_v1._stages_v1  # noqa: SLF001

    def keep(properties: Mapping[str, Any]) -> None:
        stage = stages.get(properties.get("RestApiId", ""), {}).get(properties.get("StageName", ""))
        setting = properties.get("AccessLogSetting")
        if stage is None:
            return
        stage["accessLogSettings"] = {}
        if isinstance(setting, Mapping):
            stage["accessLogSettings"] = {
                "destinationArn": str(setting.get("DestinationArn", "")),
                "format": str(setting.get("Format", "")),
            }

    def create_and_keep(logical_id: str, properties: Mapping[str, Any], *rest: object) -> object:
        created = create(logical_id, properties, *rest)
        keep(properties)
        return created

    def update_and_keep(
        physical_id: str, before: Mapping[str, Any], after: Mapping[str, Any], *rest: object
    ) -> object:
        updated = update(physical_id, before, after, *rest)
        keep(after)
        return updated

    handler["create"], handler["update"] = create_and_keep, update_and_keep


def name_requests() -> None:
    """Give each request one ID, for its answer, its event and the log, and a trace.

    The trace is the caller's `X-Amzn-Trace-Id`, or a new one; the authorizer and the backend get it
    as the runtime's header for it.
    """
    from ministack.services import apigateway_v1, lambda_svc  # noqa: PLC0415 - as above

    handle: Callable[..., Awaitable[_Answer]] = apigateway_v1.handle_execute
    build_event: Callable[..., dict[str, Any]] = apigateway_v1._build_lambda_event_v1  # noqa: SLF001
    answer_error: Callable[..., _Answer] = apigateway_v1._gateway_error_response  # noqa: SLF001
    trace_of: Callable[..., str | None] = lambda_svc._xray_trace_id_for_invocation  # noqa: SLF001

    async def handle_named(
        api_id: str,
        stage_name: str,
        method: str,
        path: str,
        headers: Mapping[str, Any],
        *rest: object,
    ) -> _Answer:
        request = _begin(method, headers)
        token = _current.set(request)
        # The backend's event has the trace too, as API Gateway's has.
        headers = {**headers, "x-amzn-trace-id": request.trace_header}
        try:
            status, answer_headers, body = await handle(
                api_id, stage_name, method, path, headers, *rest
            )
            request.status = int(status)
        finally:
            _current.reset(token)
            _finish(request, _access_log_format(apigateway_v1, api_id, stage_name))
        kept = {name: v for name, v in answer_headers.items() if name.lower() != _REQUEST_ID}
        return status, {**kept, _REQUEST_ID: request.id}, body

    def build_named(*call: object, **options: object) -> dict[str, Any]:
        event = build_event(*call, **options)
        request = _current.get()
        if request is not None:
            event["requestContext"]["requestId"] = request.id
            event["requestContext"]["extendedRequestId"] = request.id
        return event

    def answer_named(error: Any, told: dict[str, Any]) -> _Answer:  # noqa: ANN401 - MiniStack's own
        request = _current.get()
        if request is not None:
            told["request_id"] = request.id
            request.error_type = error.response_type
            request.route = told["resource_path"] or None
        return answer_error(error, told)

    def trace_named(*call: object, **options: object) -> str | None:
        request = _current.get()
        return trace_of(*call, **options) if request is None else request.trace_header

    apigateway_v1.handle_execute = handle_named
    apigateway_v1._build_lambda_event_v1 = build_named  # noqa: SLF001
    apigateway_v1._gateway_error_response = answer_named  # noqa: SLF001
    lambda_svc._xray_trace_id_for_invocation = trace_named  # noqa: SLF001


def watch_policies() -> None:
    """Note which policy decides on a request, new or kept, and how, for its access log."""
    from ministack.services import apigateway_v1  # noqa: PLC0415 - as above

    authorize: Callable[..., Awaitable[object]] = apigateway_v1._authorize_request_v1  # noqa: SLF001
    read_context: Callable[..., dict[str, Any]] = apigateway_v1._stringify_context  # noqa: SLF001
    evaluate: Callable[..., str] = apigateway_v1._evaluate_policy  # noqa: SLF001
    kept: dict[Any, Any] = apigateway_v1._authorizer_cache  # noqa: SLF001

    class WatchedCache(dict[Any, Any]):
        """The authorizer's kept answers; one that is used is noted."""

        def get(self, key: object, default: object = None) -> Any:  # noqa: ANN401 - MiniStack's own
            hit = super().get(key, default)
            request = _current.get()
            if request is not None and hit and hit[0] > _CLOCK.now():
                request.authorizer_context = hit[2]
            return hit

    async def authorize_watched(*call: Any, **options: object) -> object:  # noqa: ANN401 - MiniStack's own
        request = _current.get()
        if request is not None:
            request.route = call[5]["path"]
        return await authorize(*call, **options)

    def read_watched(context: object) -> dict[str, Any]:
        read = read_context(context)
        request = _current.get()
        if request is not None:
            # MiniStack adds the principal's ID to the same object.
            request.authorizer_context = read
        return read

    def evaluate_watched(*call: object) -> str:
        effect = evaluate(*call)
        request = _current.get()
        if request is not None:
            is_allowed = effect == "Allow"
            request.policy_status = HTTPStatus.OK if is_allowed else HTTPStatus.FORBIDDEN
        return effect

    apigateway_v1._authorizer_cache = WatchedCache(kept)  # noqa: SLF001
    apigateway_v1._authorize_request_v1 = authorize_watched  # noqa: SLF001
    apigateway_v1._stringify_context = read_watched  # noqa: SLF001
    apigateway_v1._evaluate_policy = evaluate_watched  # noqa: SLF001


def watch_functions() -> None:
    """Note which function is called for a request, and how long it takes, for its access log."""
    from ministack.services import apigateway_v1, lambda_svc  # noqa: PLC0415 - as above

    ask: Callable[..., Awaitable[object]] = apigateway_v1._invoke_authorizer_lambda  # noqa: SLF001
    integrate: Callable[..., Awaitable[Any]] = apigateway_v1._call_lambda_raw  # noqa: SLF001
    execute: Callable[..., object] = lambda_svc._execute_function_provided_warm  # noqa: SLF001

    async def ask_watched(*call: object, **options: object) -> object:
        request = _current.get()
        if request is None:
            return await ask(*call, **options)
        request.is_authorizing = True
        started = _CLOCK.monotonic()
        try:
            answer = await ask(*call, **options)
        finally:
            request.is_authorizing = False
            request.authorizer_milliseconds = _milliseconds_since(started)
        request.authorizer_status = _authorizer_status(answer)
        return answer

    async def integrate_watched(*call: object, **options: object) -> object:
        started = _CLOCK.monotonic()
        result, problem = await integrate(*call, **options)
        request = _current.get()
        if request is not None:
            request.integration_milliseconds = _milliseconds_since(started)
            # Lambda's own status, which is 200 for a function that has raised too.
            request.integration_status = HTTPStatus.OK if result else None
        return result, problem

    def execute_watched(function: object, event: object, request_id: str) -> object:
        request = _current.get()
        if request is not None and request.is_authorizing:
            request.authorizer_request_id = request_id
        return execute(function, event, request_id)

    apigateway_v1._invoke_authorizer_lambda = ask_watched  # noqa: SLF001
    apigateway_v1._call_lambda_raw = integrate_watched  # noqa: SLF001
    lambda_svc._execute_function_provided_warm = execute_watched  # noqa: SLF001


CHANGES: Final = {
    keep_access_log_settings: "stages have no access log",
    name_requests: "requests have no trace and no access log",
    watch_policies: "access logs do not tell who decided",
    watch_functions: "access logs do not tell which functions were called",
}
"""Each change to MiniStack, and what it means where it cannot be made."""

_REQUEST_ID: Final = "x-amzn-requestid"
_log: AccessLog | None = None


def write_access_logs_to(path: Path) -> None:
    """Write the lines of all stages to this file; before that none are written."""
    global _log  # noqa: PLW0603 - MiniStack's process has one gateway
    _log = AccessLog(path)


def _begin(method: str, headers: Mapping[str, Any]) -> GatewayRequest:
    now = _CLOCK.now()
    given = headers.get("x-amzn-trace-id", "")
    trace = parse_amzn_trace_id(given) if isinstance(given, str) else None
    if trace is None:
        # As X-Ray makes them: the time first. Nobody records this one.
        trace = TraceContext(f"{int(now):08x}{token_hex(12)}", "", is_sampled=False)
    forwarded = headers.get("x-forwarded-for", "")
    source_ip = forwarded.partition(",")[0].strip() if isinstance(forwarded, str) else ""
    return GatewayRequest(
        id=str(uuid4()),
        trace_header=to_amzn_trace_id(trace),
        began=now,
        method=method,
        source_ip=source_ip or "127.0.0.1",
    )


def _finish(request: GatewayRequest, line_format: str) -> None:
    if _log is None or not line_format:
        return
    request.milliseconds = round((_CLOCK.now() - request.began) * 1_000)
    try:
        _log.write(render(line_format, request.variables()))
    except OSError as error:
        # A full disk must not fail the request.
        sys.stderr.write(f"A line of the access log is lost ({error}).\n")


def _access_log_format(gateway: ModuleType, api_id: str, stage_name: str) -> str:
    stage = gateway.stages_for_api(api_id).get(stage_name) or {}
    line_format = (stage.get("accessLogSettings") or {}).get("format", "")
    return line_format if isinstance(line_format, str) else ""


def _authorizer_status(answer: object) -> int:
    if not isinstance(answer, Mapping) or not answer.get("error"):
        return HTTPStatus.OK
    raised = answer.get("body")
    message = raised.get("errorMessage") if isinstance(raised, Mapping) else raised
    if str(message).strip().lower() == "unauthorized":
        return HTTPStatus.UNAUTHORIZED
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _milliseconds_since(started: float) -> int:
    return round((_CLOCK.monotonic() - started) * 1_000)
