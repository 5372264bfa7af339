"""Log lines of a local stack's parts, as they write them."""

import json
from pathlib import Path
from typing import Any

TRACE = "0af7651916cd43dd8448eb211c80319c"
BEGAN = 1_795_322_307_000


def proxy_line(
    request_id: str, /, *, at: int = 30, trace_id: str = TRACE, **changes: object
) -> str:
    """The Function App's line of a proxied call that ended `at` milliseconds after it began."""
    members = {
        "time": BEGAN + at,
        "level": "INFO",
        "logger": "azure_function_app.proxy.proxy",
        "event": "proxy_call",
        "trace_id": trace_id,
        "request_id": request_id,
        "method": "GET",
        "route": "/v1/records",
        "status": 200,
        "code": None,
        "milliseconds": 30.0,
        "aws_request_id": f"gw-{request_id}",
    }
    return json.dumps(members | changes)


def access_line(
    request_id: str, /, *, at: int = 5, trace_id: str = TRACE, **changes: object
) -> str:
    """The gateway's line of a request that the authorizer `au-<request ID>` let in."""
    members = {
        "time": BEGAN + at,
        "request_id": request_id,
        "trace": f"Root=1-{trace_id[:8]}-{trace_id[8:]}",
        "method": "GET",
        "route": "/v1/records",
        "status": "200",
        "latency_ms": "20",
        "integration_latency_ms": "10",
        "integration_status": "200",
        "gateway_error": "-",
        "policy_status": "200",
        "authorizer_status": "200",
        "authorizer_latency_ms": "8",
        "authorizer_request_id": f"au-{request_id}",
        "decision_id": f"au-{request_id}",
        "principal_id": "person",
        "object_id": "person",
        "client_id": "client",
        "roles": "Records.Read",
        "token_id": "uti",
        "source_ip": "203.0.113.9",
    }
    return json.dumps(members | changes)


def kept_line(request_id: str, decision_id: str, /, **changes: Any) -> str:
    """The gateway's line of a request for which it had the authorizer's answer already."""
    not_asked = dict.fromkeys(
        ("authorizer_status", "authorizer_latency_ms", "authorizer_request_id"), "-"
    )
    return access_line(request_id, **{**not_asked, "decision_id": decision_id, **changes})


def decision_line(
    request_id: str, /, *, at: int = 13, trace_id: str = TRACE, **changes: object
) -> str:
    """The authorizer's line of a decision."""
    members = {
        "time": BEGAN + at,
        "_aws": {"Timestamp": BEGAN + at},
        "event": "decision",
        "outcome": "allowed",
        "reason": "allowed",
        "trace_id": trace_id,
        "request_id": request_id,
        "object_id": "person",
        "client_id": "client",
    }
    return json.dumps(members | changes)


def backend_line(
    request_id: str,
    caller_id: str = "",
    /,
    *,
    at: int = 24,
    trace_id: str = TRACE,
    **changes: object,
) -> str:
    """The backend's line of a request."""
    members = {
        "time": BEGAN + at,
        "level": "INFO",
        "logger": "aws_backend.dispatch",
        "event": "request",
        "trace_id": trace_id,
        "request_id": request_id,
        "caller_request_id": caller_id or None,
        "status": 200,
        "milliseconds": 9.0,
        "method": "GET",
        "route": "/v1/records",
        "object_id": "person",
    }
    return json.dumps(members | changes)


def write_logs(
    folder: Path,
    *,
    function_app: tuple[str, ...] = (),
    access: tuple[str, ...] = (),
    lambdas: tuple[str, ...] = (),
) -> Path:
    """Append the lines to the folder's logs."""
    files = {"function-app.log": function_app, "access.log": access, "lambda.log": lambdas}
    for name, lines in files.items():
        with (folder / name).open("a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in lines)
    return folder


def write_call(folder: Path, request_id: str, **named: Any) -> Path:
    """Append the lines of one proxied call for which the authorizer was asked."""
    gateways = f"gw-{request_id}"
    return write_logs(
        folder,
        function_app=(proxy_line(request_id, **named),),
        access=(access_line(gateways, **named),),
        lambdas=(
            decision_line(f"au-{gateways}", **named),
            backend_line(gateways, request_id, **named),
        ),
    )
