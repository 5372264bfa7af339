"""Reads numbers, switches and lists of roles in settings, spelled the same way in both clouds.

A number consists of the digits 0 to 9. What Python's own `int` and `float` take beyond that is
refused: signs, blanks, underscores, exponents, `nan`, and the digits of other scripts.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

_LENDER: Final = r"[!#-+\--<>-\[\]-~]+"  # RFC 6749 section 3.3, but for , and =


def whole_number(at_least: int, at_most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers within these bounds.

    It raises ValueError for anything else.
    """

    def parse(text: str) -> int:
        _check_digits(text)
        number = int(text)
        if not at_least <= number <= at_most:
            raise ValueError("out of range")
        return number

    return parse


def seconds(at_least: float, at_most: float) -> Callable[[str], float]:
    """Return a parser of seconds within these bounds, which may have a fraction.

    It raises ValueError for anything else.
    """

    def parse(text: str) -> float:
        _check_digits(text.replace(".", "", 1))
        number = float(text)
        if not at_least <= number <= at_most:
            raise ValueError("out of range")
        return number

    return parse


def switch(text: str) -> bool:
    """Return whether the switch is on.

    Raises:
        ValueError: the text is neither `true` nor `false`.

    """
    if text not in {"true", "false"}:
        raise ValueError("neither true nor false")
    return text == "true"


def lent_roles(roles: frozenset[str]) -> Callable[[str], Mapping[str, frozenset[str]]]:
    """Return a parser of what lends which of these roles: `name=Role+Role`, separated by commas.

    It raises ValueError for anything else, and for a name that comes twice.
    """

    def parse(text: str) -> Mapping[str, frozenset[str]]:
        lent: dict[str, frozenset[str]] = {}
        for item in filter(None, map(str.strip, text.split(","))):
            name, equals, names = (part.strip() for part in item.partition("="))
            if not equals or not re.fullmatch(_LENDER, name) or name in lent:
                raise ValueError("no name, or one twice")
            lent[name] = frozenset(role.strip() for role in names.split("+"))
            if not lent[name] <= roles:
                raise ValueError("no role of this API")
        return lent

    return parse


def _check_digits(text: str) -> None:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("not in plain digits")
