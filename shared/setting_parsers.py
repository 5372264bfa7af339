"""Reads numbers, switches, lists of roles and API keys in settings, spelled alike in both clouds.

A number consists of the digits 0 to 9. What Python's own `int` and `float` take beyond that is
refused: signs, blanks, underscores, exponents, `nan`, and the digits of other scripts.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

_LENDER: Final = r"[!#-+\--<>-\[\]-~]+"  # RFC 6749 section 3.3, but for , and =
# As long as API Gateway has them. Quotes, commas and backslashes would end a key early wherever one
# is written down: in a list of keys, and in a log line that it must be taken out of.
_API_KEY: Final = re.compile(r"[!#-&(-+\--\[\]-~]{20,128}")


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


def share(text: str) -> float:
    """Return the share of a whole that the text says, from 0 to 1.

    Raises:
        ValueError: it says none.

    """
    _check_digits(text.replace(".", "", 1))
    value = float(text)
    if value > 1:
        raise ValueError("out of range")
    return value


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


def api_key(text: str) -> str:
    """Return the text if it can be the value of an API Gateway API key.

    Raises:
        ValueError: it cannot; the error does not repeat it.

    """
    if not _API_KEY.fullmatch(text):
        raise ValueError("not an API key")
    return text


def _check_digits(text: str) -> None:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("not in plain digits")
