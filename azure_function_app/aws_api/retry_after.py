"""Reads the Retry-After header in both of its forms (RFC 9110 section 10.2.3)."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS = re.compile(r"[0-9]{1,9}")
_LONGEST_DATE: Final = 64


def parse_retry_after(value: str, now: float) -> float | None:
    """How many seconds from `now` the server asks to wait; zero where the date has passed.

    None for anything that is neither whole seconds nor an HTTP date. What is asked for is not
    bounded here: a caller that waits has a deadline.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if len(text) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)
