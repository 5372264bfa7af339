"""Log lines as JSON objects, one a line, with anything that looks like a token taken out."""

import json
import logging
import re
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


def redacted(text: str) -> str:
    """Return the text with every JWT, bearer credential and API key's header in it replaced."""
    text = _BEARER.sub(rf"\1{_REDACTED}", _JWT.sub(_without_jwt, text))
    return _NAMED.sub(rf"\1{_REDACTED}", text)


def _without_jwt(match: re.Match[str]) -> str:
    return match[0] if match["rest"] is None else _REDACTED


def log_event(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Write one log line: the event's stable name, and its fields as members of the JSON object."""
    logger.log(level, event, extra={_FIELDS: fields})


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON. The whole line is redacted, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON: `level`, `logger`, `event`, then the event's own fields."""
        members: dict[str, object] = {
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        members |= getattr(record, _FIELDS, {})
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(members, default=str, ensure_ascii=False))
