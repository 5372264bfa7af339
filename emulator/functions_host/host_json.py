"""The part of host.json that this host obeys."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from emulator.functions_host.errors import FunctionsHostError

_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):([0-5]\d):([0-5]\d(?:\.\d{1,7})?)")
_DEFAULT_TIMEOUT = 1800.0
_LARGEST_BATCH: Final = 32
"""Messages that the queue service hands out at once."""
SHORTEST_POLLING_INTERVAL: Final = 0.1
_LONGEST_POLLING_INTERVAL: Final = 2.0
"""The default of the real host where it is started for development; 60 in Azure."""

MessageEncoding = Literal["base64", "none"]


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """What host.json says of queue triggers and queue outputs; here, its defaults."""

    batch_size: int = 16
    """Messages that are taken at once."""
    new_batch_threshold: int = 8
    """The next are taken when no more than these are being processed."""
    max_dequeue_count: int = 5
    """Attempts before a message goes to the poison queue."""
    visibility_timeout: float = 0.0
    """Seconds for which a message that failed stays invisible."""
    max_polling_interval: float = _LONGEST_POLLING_INTERVAL
    """The longest pause in seconds between two looks into an empty queue."""
    message_encoding: MessageEncoding = "base64"


_DEFAULTS: Final = QueueOptions()


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
    queues: QueueOptions = field(default_factory=QueueOptions)


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
    extensions = _member(document, "extensions", path)
    http = _member(extensions, "http", path)
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
        queues=_parse_queues(_member(extensions, "queues", path), path),
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
    seconds = _parse_timespan(text)
    if seconds is None:
        raise FunctionsHostError(f'{path}: functionTimeout must look like "00:05:00", or be "-1".')
    return seconds


def _parse_timespan(text: object) -> float | None:
    match = _TIMESPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
    return float(((days * 24 + hours) * 60 + minutes) * 60) + float(match[4])


def _limit(http: Mapping[str, object], name: str, path: Path) -> int | None:
    limit = http.get(name, -1)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit == 0 or limit < -1:
        raise FunctionsHostError(
            f"{path}: extensions.http.{name} must be a positive number, or -1."
        )
    return None if limit == -1 else limit


def _parse_queues(queues: Mapping[str, object], path: Path) -> QueueOptions:
    batch_size = _count(queues, "batchSize", _DEFAULTS.batch_size, path, least=1)
    if batch_size > _LARGEST_BATCH:
        raise FunctionsHostError(
            f"{path}: extensions.queues.batchSize must be at most {_LARGEST_BATCH}."
        )
    return QueueOptions(
        batch_size=batch_size,
        # Half a batch for each processor; one processor, as on the plans that bill by use.
        new_batch_threshold=_count(queues, "newBatchThreshold", batch_size // 2, path, least=0),
        max_dequeue_count=_count(
            queues, "maxDequeueCount", _DEFAULTS.max_dequeue_count, path, least=1
        ),
        visibility_timeout=_interval(queues, "visibilityTimeout", 0.0, path, least=0.0),
        max_polling_interval=_interval(
            queues,
            "maxPollingInterval",
            _DEFAULTS.max_polling_interval,
            path,
            least=SHORTEST_POLLING_INTERVAL,
        ),
        message_encoding=_encoding(queues, path),
    )


def _count(queues: Mapping[str, object], name: str, default: int, path: Path, *, least: int) -> int:
    count = queues.get(name, default)
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise FunctionsHostError(
            f"{path}: extensions.queues.{name} must be a whole number of at least {least}."
        )
    return count


def _interval(
    queues: Mapping[str, object], name: str, default: float, path: Path, *, least: float
) -> float:
    seconds = default if name not in queues else _parse_timespan(queues[name])
    if seconds is None or seconds < least:
        raise FunctionsHostError(
            f'{path}: extensions.queues.{name} must look like "00:00:05", '
            f"and be at least {least:g} seconds."
        )
    return seconds


def _encoding(queues: Mapping[str, object], path: Path) -> MessageEncoding:
    match str(queues.get("messageEncoding", "base64")).lower():
        case "base64":
            return "base64"
        case "none":
            return "none"
        case _:
            raise FunctionsHostError(
                f'{path}: extensions.queues.messageEncoding must be "base64" or "none".'
            )
