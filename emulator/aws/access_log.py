"""The access log of a stage: one line a request, in the format that the stage names.

Runs in MiniStack's process (see `launcher.py`), so it has the standard library and nothing else.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

_VARIABLE: Final = re.compile(r"\$context\.([A-Za-z0-9_.]+)")
_ABSENT: Final = "-"
"""What API Gateway writes where a variable has no value."""


@dataclass(slots=True)
class GatewayRequest:
    """One request as the gateway goes along with it; what has not come about stays None."""

    id: str
    trace_header: str
    """The `X-Amzn-Trace-Id` that the functions get."""
    began: float
    """Seconds since 1970."""
    method: str
    source_ip: str
    route: str | None = None
    status: int | None = None
    milliseconds: int | None = None
    error_type: str | None = None
    """Of an answer that the gateway itself gives."""
    is_authorizing: bool = False
    authorizer_request_id: str | None = None
    authorizer_status: int | None = None
    authorizer_milliseconds: int | None = None
    policy_status: int | None = None
    authorizer_context: Mapping[str, object] = field(default_factory=dict)
    """Of the answer that decided, new or kept."""
    integration_status: int | None = None
    integration_milliseconds: int | None = None

    def variables(self) -> dict[str, object]:
        """Return the request's `$context` variables that have a value, without `$context.`."""
        known = {
            "requestTimeEpoch": int(self.began * 1_000),
            "requestId": self.id,
            "extendedRequestId": self.id,
            "xrayTraceId": self.trace_header.partition(";")[0],
            "httpMethod": self.method,
            "resourcePath": self.route,
            "status": self.status,
            "responseLatency": self.milliseconds,
            "integrationLatency": self.integration_milliseconds,
            "integrationStatus": self.integration_status,
            "error.responseType": self.error_type,
            "authorize.status": self.policy_status,
            "authorizer.status": self.authorizer_status,
            "authorizer.latency": self.authorizer_milliseconds,
            "authorizer.requestId": self.authorizer_request_id,
            "identity.sourceIp": self.source_ip,
        }
        context = {f"authorizer.{name}": value for name, value in self.authorizer_context.items()}
        return {name: value for name, value in (context | known).items() if value is not None}


def render(line_format: str, variables: Mapping[str, object]) -> str:
    """Return the line of a request, with a dash for each variable that has no value.

    A value is escaped as in a JSON string, so that none of them can end its own or the line.
    """
    pieces = _split(line_format)
    # Every second piece is a variable's name.
    return "".join(
        _encode(variables.get(piece, _ABSENT)) if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


@lru_cache(maxsize=16)
def _split(line_format: str) -> list[str]:
    return _VARIABLE.split(" ".join(line_format.splitlines()))


def _encode(value: object) -> str:
    return json.dumps(str(value))[1:-1]


class AccessLog:
    """Appends lines to a file; each is written whole, and the file may be emptied meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open the file, and make it where it is not there."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, line: str) -> None:
        """Append the line.

        Raises:
            OSError: there is no room for it.

        """
        os.write(self._descriptor, f"{line}\n".encode())
