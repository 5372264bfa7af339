"""JSON that can be read in one way only (RFC 8259, RFC 7515 section 4, RFC 7519 section 4).

Duplicate members, NaN, infinities, numbers too large for a double, a byte order mark, other
encodings than UTF-8 and deep nesting are refused: each of them is a place where two readers of the
same bytes can see different things.
"""

import json
import re
from math import isfinite
from typing import Final, cast

MAX_DEPTH: Final = 16
"""Arrays and objects inside one another; a token of Entra ID's has three."""

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


# The decoder's own scanner: its `decode` would allow whitespace around the object and costs more.
_scan_once = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_float=_finite,
    parse_constant=_refuse_constant,
).scan_once  # type: ignore[attr-defined]  # public, but not in the stubs


def _is_too_deep(text: str) -> bool:
    # Nearly every text has fewer brackets than it may nest, and then needs no closer look.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for character in _STRING.sub("", text):
        if character in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "}]":
            depth -= 1
    return False


def parse_json_object(octets: bytes) -> dict[str, object]:
    """The one JSON object that `octets` spell, from the first octet to the last.

    Raises:
        ValueError: they spell anything else, or something that two readers could read differently.

    """
    text = octets.decode("utf-8")
    if not text.startswith("{") or _is_too_deep(text):
        raise ValueError("not one JSON object of bounded depth")
    try:
        value, end = _scan_once(text, 0)
    except StopIteration:  # how the scanner says that no value begins where one must
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("something follows the object")
    return cast("dict[str, object]", value)
