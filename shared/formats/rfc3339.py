"""Times as RFC 3339 writes them."""

import re
from datetime import UTC, datetime
from typing import Final

# RFC 3339 section 5.6. `datetime.fromisoformat` takes the rest of ISO 8601 too, such as week dates.
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


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
    if not _TIME.fullmatch(text):
        raise ValueError("not an RFC 3339 time")
    return datetime.fromisoformat(text.upper())
