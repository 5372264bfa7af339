"""Reads numbers and switches in settings, spelled the same way in both clouds.

A number consists of the digits 0 to 9. What Python's own `int` and `float` take beyond that is
refused: signs, blanks, underscores, exponents, `nan`, and the digits of other scripts.
"""

from collections.abc import Callable


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


def _check_digits(text: str) -> None:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("not in plain digits")
