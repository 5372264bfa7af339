"""JSON that can be read in one way only (RFC 8259, RFC 7515 section 4, RFC 7519 section 4).

Duplicate members, NaN, infinities, exponents, numbers that a double or 64 bits cannot hold, lone
surrogates, a byte order mark, other encodings than UTF-8 and deep nesting are refused: each of them
is a place where two readers of the same bytes can see different things.

How much there is to read is bounded too, before any of it is read: an object or a number costs far
more time than the few bytes that spell it.
"""

import json
from typing import Final, NamedTuple, cast

from shared.formats.json_rules import is_deeper_than, refuse_constant, unique_members

MAX_DEPTH: Final = 16
"""Arrays and objects inside one another; a token of Entra ID's has three."""
MAX_INTEGER_CHARACTERS: Final = 20
"""A signed 64-bit integer takes no more. A long one is slow to convert."""
MAX_FRACTION_CHARACTERS: Final = 16
"""Fifteen digits, which a double holds exactly. A longer one is slow, and so is a small one."""


class JsonBounds(NamedTuple):
    """How much an object may hold. What stands in strings is counted too: that is quicker."""

    brackets: int
    """Objects and arrays."""
    colons: int
    """Members."""
    commas: int
    """Members and elements, but for the first of each object and array."""
    roomy_characters: int = 0
    """Colons and commas are counted in longer texts only: a shorter one has no room for many."""


TOKEN_BOUNDS: Final = JsonBounds(brackets=24, colons=96, commas=224, roomy_characters=1_024)
"""Entra ID writes some thirty claims; of its groups, 165 fit into the longest token."""


class JsonTooLarge(ValueError):
    """The text holds more than its bounds allow."""


def _parse_integer(text: str) -> int:
    if len(text) > MAX_INTEGER_CHARACTERS:
        raise ValueError("integer too long")
    return int(text)


def _parse_fraction(text: str) -> float:
    if len(text) > MAX_FRACTION_CHARACTERS or "e" in text or "E" in text:
        raise ValueError("fraction too long, or with an exponent")
    return float(text)


# The decoder's own scanner: its `decode` would allow whitespace around the object and costs more.
_scan_once = json.JSONDecoder(
    object_pairs_hook=unique_members,
    parse_int=_parse_integer,
    parse_float=_parse_fraction,
    parse_constant=refuse_constant,
).scan_once  # type: ignore[attr-defined]  # public, but not in the stubs


def _has_lone_surrogate(value: object) -> bool:
    strings: list[str] = []
    values: list[object] = [value]
    while values:
        item = values.pop()
        if isinstance(item, str):
            strings.append(item)
        elif isinstance(item, dict):
            strings.extend(item)
            values.extend(item.values())
        elif isinstance(item, list):
            values.extend(item)
    # The decoder has joined whole pairs, and UTF-8 cannot spell half of one. To look at the escapes
    # themselves would take five times as long as to decode them.
    try:
        "".join(strings).encode()
    except UnicodeEncodeError:
        return True
    return False


def parse_json_object(encoded: bytes, bounds: JsonBounds = TOKEN_BOUNDS) -> dict[str, object]:
    """Return the one JSON object that `encoded` spells, from the first byte to the last.

    Raises:
        JsonTooLarge: they hold more than `bounds` allow.
        ValueError: they spell anything else, or something that two readers could read differently.

    """
    text = encoded.decode("utf-8")
    brackets = text.count("{") + text.count("[")
    if brackets > bounds.brackets or (
        len(text) > bounds.roomy_characters
        and (text.count(":") > bounds.colons or text.count(",") > bounds.commas)
    ):
        raise JsonTooLarge("more than its bounds allow")
    if not text.startswith("{"):
        raise ValueError("not an object")
    try:
        value, end = _scan_once(text, 0)
    except StopIteration:  # how the scanner says that no value begins where one must
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("something follows the object")
    # Few texts have more brackets than they may nest; the others need no closer look.
    if brackets > MAX_DEPTH and is_deeper_than(MAX_DEPTH, value):
        raise ValueError("nested too deep")
    # UTF-8 spells no surrogate, so one can only come from an escape. Most texts have no backslash,
    # which is found much sooner than two characters are.
    if "\\" in text and "\\u" in text and _has_lone_surrogate(value):
        raise ValueError("lone surrogate")
    return cast("dict[str, object]", value)
