"""Log lines as JSON objects, one a line, with anything that looks like a token taken out."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

_REDACTED: Final = "[redacted]"
# A compact JWS or JWE begins with the base64url of `{"`; a bearer credential follows its scheme.
# What follows may be none of it: then no later `eyJ` of the same run begins one either, so the run
# is matched all the same and left as it is. To look again from each of them would be quadratic.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}+(?P<rest>(?:\.[A-Za-z0-9_-]*+){1,4}+)?")
_BEARER = re.compile(r"(?i)\b(bearer\s++)[A-Za-z0-9._~+/=-]{8,}+")
# A header or member that holds a secret, however it is written: `x-api-key: ...`, JSON within JSON,
# Python's own spelling of a pair of bytes.
_NAMED = re.compile(
    r"(?i)\b((?:x-api-key|usageIdentifierKey|proxy-authorization)"
    r"[\\'\"]{0,4}+\s{0,4}+[:=,]\s{0,4}+(?:b?[\\'\"]{1,4}+)?+(?:basic\s)?+)[^\s'\"\\,]{8,}+"
)
_FIELDS: Final = "bridge_fields"
_NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})
_surrounding: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default=_NO_FIELDS)


def redacted(text: str) -> str:
    """Return the text with every JWT, bearer credential and API key's header in it replaced."""
    text = _BEARER.sub(rf"\1{_REDACTED}", _JWT.sub(_without_jwt, text))
    return _NAMED.sub(rf"\1{_REDACTED}", text)


def _without_jwt(match: re.Match[str]) -> str:
    return match[0] if match["rest"] is None else _REDACTED


def log_event(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Write one log line: the event's stable name, and its fields as members of the JSON object.

    The fields of the blocks around it (`log_fields`) are members too.
    """
    logger.log(level, event, extra={_FIELDS: {**_surrounding.get(), **fields}})


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Add the fields to every line that is written inside the block, a library's lines included.

    They belong to the task: calls that are under way at once do not see each other's, and a task
    or a thread that one of them starts with its context has its fields too.
    """
    token = _surrounding.set({**_surrounding.get(), **fields})
    try:
        yield
    finally:
        _surrounding.reset(token)


def surrounding_log_fields() -> Mapping[str, object]:
    """Return the fields that a line written now gets from the blocks around it."""
    return _surrounding.get()


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON. The whole line is redacted, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON.

        First `time` in milliseconds since 1970, `level`, `logger` and `event`, then the fields of
        the blocks around it, then the event's own, which win.
        """
        members: dict[str, object] = {
            "time": int(record.created * 1_000),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        # A line that `log_event` has not written, a library's or a traceback, has none of its own.
        members |= getattr(record, _FIELDS, None) or _surrounding.get()
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(members, default=str, ensure_ascii=False))
