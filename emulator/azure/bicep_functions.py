"""The functions of Bicep that our modules call, as Azure Resource Manager documents them."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from emulator.azure.bicep_syntax.tree import BicepError

# What Resource Manager derives its GUIDs from. That ours are the same is seen on Azure only.
_GUIDS: Final = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BicepError(f"expected a string, not {kind_of(value)}")
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BicepError(f"expected a number, not {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """Return what Bicep calls the type of the value."""
    match value:
        case None:
            kind = "null"
        case bool():
            kind = "bool"
        case int():
            kind = "int"
        case str():
            kind = "string"
        case list():
            kind = "array"
        case Mapping():
            kind = "object"
        case _:
            kind = "lambda" if callable(value) else "resource"
    return kind


def _empty(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, str | list | Mapping):
        raise BicepError(f"empty() takes no {kind_of(value)}")
    return not value


def _union(first: object, *others: object) -> object:
    union = first
    for other in others:
        union = _united(union, other)
    return union


def _united(left: object, right: object) -> object:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        both = dict(left)
        for key, value in right.items():
            merges = isinstance(both.get(key), Mapping) and isinstance(value, Mapping)
            both[key] = _united(both[key], value) if merges else value
        return both
    if isinstance(left, list) and isinstance(right, list):
        return [*left, *(item for item in right if item not in left)]
    raise BicepError(f"union() takes no {kind_of(left)} with {kind_of(right)}")


def _concat(*arrays: object) -> list[object]:
    joined: list[object] = []
    for array in arrays:
        if not isinstance(array, list):
            raise BicepError(f"concat() takes arrays here, no {kind_of(array)}")
        joined += array
    return joined


def _items(of: object) -> list[object]:
    if not isinstance(of, Mapping):
        raise BicepError(f"items() takes an object, no {kind_of(of)}")
    return [{"key": key, "value": of[key]} for key in sorted(of)]


def _filter(array: object, keeps: object) -> list[object]:
    kept = []
    for item in _array("filter", array):
        is_kept = _function("filter", keeps)(item)
        if not isinstance(is_kept, bool):
            raise BicepError(f"filter() decides by a bool, not by {kind_of(is_kept)}")
        if is_kept:
            kept.append(item)
    return kept


def _to_object(array: object, key: object, value: object) -> dict[str, object]:
    name_of, value_of = _function("toObject", key), _function("toObject", value)
    return {_text(name_of(item)): value_of(item) for item in _array("toObject", array)}


def _array(function: str, value: object) -> Iterable[object]:
    if not isinstance(value, list):
        raise BicepError(f"{function}() takes an array, no {kind_of(value)}")
    return value


def _function(function: str, value: object) -> Callable[[object], object]:
    if not callable(value):
        raise BicepError(f"{function}() takes a lambda, no {kind_of(value)}")
    return value


def _to_string(value: object) -> str:
    # Of a bool Resource Manager makes "True", which nobody expects who has not been told.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BicepError(f"string() takes a string or a number, no {kind_of(value)}")
    return str(value)


def _to_int(value: object) -> int:
    text = str(_number(value)) if not isinstance(value, str) else value
    if not (text.isascii() and text.removeprefix("-").isdecimal()) or len(text) > len(str(2**63)):
        raise BicepError("int() takes a string of digits")
    return int(text)


def _guid(*parts: object) -> str:
    return str(uuid.uuid5(_GUIDS, "-".join(map(_text, parts))))


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = {
    "concat": _concat,
    "empty": _empty,
    "filter": _filter,
    "guid": _guid,
    "int": _to_int,
    "items": _items,
    "join": lambda array, between: _text(between).join(map(_text, _array("join", array))),
    "min": lambda left, right: min(_number(left), _number(right)),
    "startsWith": lambda text, start: _text(text).lower().startswith(_text(start).lower()),
    "string": _to_string,
    "toObject": _to_object,
    "union": _union,
}
"""What depends on nothing but its arguments. A wrong number of these is a TypeError."""
