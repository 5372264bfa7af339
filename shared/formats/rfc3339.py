"""Times as RFC 3339 writes them."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

# RFC 3339 section 5.6. `datetime.fromisoformat` takes the rest of ISO 8601 too, such as week dates.
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_SHORT: Final = 40
"""Characters; a longer one is not remembered, since there is no end to the digits of a second."""


def format_rfc3339(seconds: float) -> str:
    """Return seconds since 1970 as an RFC 3339 time in UTC, to the millisecond.

    It always has the same length, so that such times sort as text.
    """
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Return the time that the text spells, with its offset; digits beyond microseconds are cut.

    A leap second (`:60`) is refused, because Python has no value for one.

    Raises:
        ValueError: it is no RFC 3339 time.

    """
    # Many records of a page were changed at the same time, and each is looked at twice.
    return _parse_short(text) if len(text) <= _SHORT else _parse(text)


def _parse(text: str) -> datetime:
    if not _TIME.fullmatch(text):
        raise ValueError("not an RFC 3339 time")
    return datetime.fromisoformat(text.upper())


_parse_short: Final = lru_cache(maxsize=1_024)(_parse)
