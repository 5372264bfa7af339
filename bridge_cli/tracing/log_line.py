"""A line of one of the logs as a value: who wrote it, about which call, and what may be shown.

What stands in a log can come from a caller, so nothing in it is trusted: every text is bounded,
without control characters and without tokens, and only fields that are listed here get through.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard

from bridge_cli.tracing.traced_call import Actor
from shared.log import redacted
from shared.trace_context import parse_amzn_trace_id

_LONGEST_TEXT: Final = 300
_LONGEST_ID: Final = 128
_MOST_ITEMS: Final = 20
_LARGEST: Final = 1e15
_LATEST: Final = 253_000_000_000_000
"""Milliseconds since 1970, in the last year that Python can write."""
_CUT_WORD: Final = re.compile(r"(?<![\w.~+/=-])[\w.~+/=-]++\Z", re.ASCII)
_STATUS: Final = re.compile(r"[0-9]{3}")
_ABSENT: Final = "-"
"""What API Gateway writes where it has no value."""

_SHOWN: Final = frozenset(
    {
        "advice",
        "attempt",
        "authorizer_status",
        "aws_request_id",
        "caller_request_id",
        "caller_roles",
        "client_id",
        "code",
        "decision_id",
        "detail",
        "error_code",
        "error_type",
        "gateway_error",
        "integration_status",
        "KeySetAgeSeconds",
        "KeySetFetchSeconds",
        "message",
        "method",
        "needed_role",
        "outcome",
        "pages",
        "pause_seconds",
        "policy_status",
        "reason",
        "records_changed",
        "records_read",
        "refused_by",
        "request_id",
        "result",
        "roles",
        "route",
        "run_id",
        "shard",
        "status",
        "token_has_role",
        "token_roles",
        "trouble",
        "what_to_change",
        "why",
    }
)
"""Neither whose token it was (`object_id`, `caller`, `token_id`) nor from where it came."""
_AUTHORIZER_EVENTS: Final = frozenset({"decision", "key_set_fetch", "settings_invalid"})


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a line says of a call."""

    actor: Actor
    event: str
    trace_id: str
    written: float
    """Seconds since 1970; for the gateway's line, when the request came."""
    milliseconds: float | None
    fields: Mapping[str, object]
    own_id: str
    """The part's own ID of the call; empty where the line names none."""
    authorizer_id: str = ""
    """Of the gateway's line: the authorizer's call that it made."""
    authorizer_milliseconds: float | None = None

    @property
    def began(self) -> float:
        """Return when what the line tells of began."""
        if self.actor is Actor.GATEWAY or self.milliseconds is None:
            return self.written
        # Whatever a line says, no call began before there was time to write.
        return max(0.0, self.written - self.milliseconds / 1_000)

    def text(self, name: str) -> str:
        """Return the field if it is a text, else an empty one."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""


def parse_function_app_line(text: str) -> LogLine | None:
    """Return what a line of the Function App's log says, or None if it is about no call of ours."""
    members = _members(text)
    # The host's own lines are not ours to read, and it may put a time before each.
    if members is None or not str(members.get("logger")).startswith("azure_function_app"):
        return None
    return _line(Actor.FUNCTION_APP, members)


def parse_lambda_line(text: str) -> LogLine | None:
    """Return what a line of the Lambdas' log says, or None if it is about no call."""
    members = _members(text)
    if members is None:
        return None
    is_authorizers = members.get("event") in _AUTHORIZER_EVENTS
    return _line(Actor.AUTHORIZER if is_authorizers else Actor.BACKEND, members)


def parse_access_line(text: str) -> LogLine | None:
    """Return what a line of the gateway's access log says, or None if it is none."""
    members = _members(text)
    if members is None:
        return None
    # The format writes its numbers as texts, since any of them can be a dash.
    given = {
        name: int(value) if name.endswith("status") and _is_status(value) else value
        for name, value in members.items()
        if value != _ABSENT
    }
    trace = str(given.get("trace", ""))
    # `Root=1-...` or, as other versions of the variable have it, without its name.
    context = parse_amzn_trace_id(trace if trace.startswith("Root=") else f"Root={trace}")
    return _line(
        Actor.GATEWAY,
        {
            **given,
            "event": "request",
            "trace_id": "" if context is None else context.trace_id,
            "milliseconds": given.get("latency_ms"),
        },
        authorizer_id=_id(given.get("authorizer_request_id")),
        authorizer_milliseconds=_number(given.get("authorizer_latency_ms")),
    )


type ParseLine = Callable[[str], LogLine | None]


def _members(text: str) -> dict[str, object] | None:
    _, brace, rest = text.partition("{")
    try:
        members = json.loads(brace + rest)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _line(
    actor: Actor,
    members: Mapping[str, object],
    *,
    authorizer_id: str = "",
    authorizer_milliseconds: float | None = None,
) -> LogLine | None:
    trace_id, event = members.get("trace_id"), members.get("event")
    time = _number(members.get("time"), _LATEST)
    if not isinstance(trace_id, str) or not isinstance(event, str) or time is None:
        return None
    if parse_amzn_trace_id(f"Root=1-{trace_id[:8]}-{trace_id[8:]}") is None:
        return None
    return LogLine(
        actor=actor,
        event=harmless(event),
        trace_id=trace_id,
        written=time / 1_000,
        milliseconds=_number(members.get("milliseconds")),
        fields={
            name: _shown(value)
            for name, value in members.items()
            if name in _SHOWN and value is not None and value != ""
        },
        own_id=_id(members.get("request_id")),
        authorizer_id=authorizer_id,
        authorizer_milliseconds=authorizer_milliseconds,
    )


def harmless(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return the text without tokens, bounded, its control characters made visible."""
    # Cut first, so that no more than that is looked at. The cut can leave of a token too little to
    # know it by, and what stands before it becomes shorter: a word that was cut is left out.
    head = text[: 4 * longest]
    if len(text) > len(head):
        head = _CUT_WORD.sub("", head)
    short = redacted(head)[:longest]
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in short
    )


def _shown(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < _LARGEST):
        return value
    if isinstance(value, list):
        return [harmless(str(item)) for item in value[:_MOST_ITEMS]]
    return harmless(str(value))


def _is_status(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _STATUS.fullmatch(value) is not None


def _id(value: object) -> str:
    return harmless(value, _LONGEST_ID) if isinstance(value, str) else ""


def _number(value: object, largest: float = _LARGEST) -> float | None:
    # The access log writes its numbers as texts.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < largest else None
