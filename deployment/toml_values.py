"""What a key of bridge.toml can be: turns what TOML has into a value, or raises ValueError."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from shared.guid import parse_guid

_TAG_NAME: Final = re.compile(r"[^<>%&\\?/\x00-\x1f]{1,128}")
_MOST_TAGS: Final = 40
_MOST_TAG_CHARACTERS: Final = 256


def text_of(pattern: str, *, may_be_empty: bool = False) -> Callable[[object], str]:
    """Return what takes a text of the pattern, whole."""
    expression = re.compile(pattern)

    def parse(value: object) -> str:
        if not isinstance(value, str) or not (
            expression.fullmatch(value) or (may_be_empty and value == "")
        ):
            raise ValueError("not of this form")
        return value

    return parse


def guid(value: object) -> str:
    """Return the GUID in lower case; raise ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError("no text")
    return parse_guid(value)


def optional_guid(value: object) -> str:
    """Return the GUID, or the empty text; raise ValueError for anything else."""
    return "" if value == "" else guid(value)


def guids(value: object) -> tuple[str, ...]:
    """Return the GUIDs of a list; raise ValueError for anything else, or for one that is twice."""
    if not isinstance(value, list):
        raise ValueError("no list")
    found = tuple(map(guid, value))
    if len(set(found)) < len(found):
        raise ValueError("one twice")
    return found


def switch(value: object) -> bool:
    """Return true or false; raise ValueError for anything else."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def number(at_least: int, at_most: int) -> Callable[[object], int]:
    """Return what takes a whole number within the bounds, which are in it."""

    def parse(value: object) -> int:
        # In Python, true is a number.
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("no whole number")
        if not at_least <= value <= at_most:
            raise ValueError("out of range")
        return value

    return parse


def one_of[V: (str, int)](*choices: V) -> Callable[[object], V]:
    """Return what takes one of the choices."""

    def parse(value: object) -> V:
        for choice in choices:
            # 1 equals true and 1.0, which are spelled otherwise for another reason.
            if type(value) is type(choice) and value == choice:
                return choice
        raise ValueError("none of the choices")

    return parse


def scalar_text(value: object) -> str:
    """Return a TOML text, number or switch as a setting or a template parameter spells it.

    Raises:
        ValueError: it is a list, a table or a date.

    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("no single value")


def scalars(value: object) -> Mapping[str, str]:
    """Return a table of single values as texts; raise ValueError for anything else."""
    if not isinstance(value, dict):
        raise ValueError("no table")
    return {name: scalar_text(item) for name, item in value.items()}


def tags(value: object) -> Mapping[str, str]:
    """Return a table of tags as Azure takes them; raise ValueError for anything else."""
    found = scalars(value)
    names = [name.lower() for name in found]
    # Azure takes 50 of a resource, and compares names without their case.
    is_right = len(found) <= _MOST_TAGS and len(set(names)) == len(names)
    for name, text in zip(names, found.values(), strict=True):
        is_ours = name == "azd-service-name" or name.startswith("bridge-digest")
        is_right = is_right and not is_ours and bool(_TAG_NAME.fullmatch(name))
        is_right = is_right and len(text) <= _MOST_TAG_CHARACTERS
    if not is_right:
        raise ValueError("no tags")
    return found
