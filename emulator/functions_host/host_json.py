"""The part of host.json that this host obeys."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulator.functions_host.errors import FunctionsHostError

_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):([0-5]\d):([0-5]\d)")
_DEFAULT_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class HostJson:
    """The app's own settings of its host."""

    route_prefix: str = "api"
    function_timeout: float | None = _DEFAULT_TIMEOUT
    """Seconds that an invocation may take; None is without end."""
    functions: frozenset[str] | None = None
    """The only functions to load, in lower case; None loads all."""
    custom_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that every function's response gets."""
    max_outstanding_requests: int | None = None
    """HTTP requests that may be queued or running; any more get a 429."""
    max_concurrent_requests: int | None = None
    """HTTP functions that run at once; the others queue."""


def load_host_json(app_root: Path) -> HostJson:
    """Return what the app's host.json says.

    Raises:
        FunctionsHostError: it is missing, no JSON, not of version 2.0, or a member is wrong.

    """
    path = app_root / "host.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FunctionsHostError(
            f"{path} is missing; a Function App's root holds a host.json."
        ) from None
    except ValueError as error:
        raise FunctionsHostError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise FunctionsHostError(f'{path} must be an object with "version": "2.0".')
    http = _member(_member(document, "extensions", path), "http", path)
    functions = document.get("functions")
    return HostJson(
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        function_timeout=_parse_timeout(document.get("functionTimeout"), path),
        functions=None if functions is None else frozenset(str(n).lower() for n in functions),
        custom_headers={
            name: str(value) for name, value in _member(http, "customHeaders", path).items()
        },
        max_outstanding_requests=_limit(http, "maxOutstandingRequests", path),
        max_concurrent_requests=_limit(http, "maxConcurrentRequests", path),
    )


def _member(parent: Mapping[str, object], name: str, path: Path) -> dict[str, object]:
    member = parent.get(name, {})
    if not isinstance(member, dict):
        raise FunctionsHostError(f"{path}: {name} must be an object.")
    return member


def _parse_timeout(text: object, path: Path) -> float | None:
    if text is None:
        return _DEFAULT_TIMEOUT
    if text == "-1":
        return None
    match = _TIMESPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise FunctionsHostError(f'{path}: functionTimeout must look like "00:05:00", or be "-1".')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _limit(http: Mapping[str, object], name: str, path: Path) -> int | None:
    limit = http.get(name, -1)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit == 0 or limit < -1:
        raise FunctionsHostError(
            f"{path}: extensions.http.{name} must be a positive number, or -1."
        )
    return None if limit == -1 else limit
