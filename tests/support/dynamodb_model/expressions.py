"""The expressions that requests carry, read strictly: what is not known here is an error."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

type Value = Mapping[str, Any]
"""An attribute's value as DynamoDB spells it: its type, and then what it is."""
type Item = Mapping[str, Any]
"""Attributes, each by its name."""

_TOKEN: Final = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|[#:]?[A-Za-z_][A-Za-z0-9_]*)")
_RESERVED: Final = frozenset({"collection", "counter", "data", "sequence", "shard", "state"})
"""Of AWS's list of reserved words, those that are near our attributes' names."""
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD"})
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class ValidationError(Exception):
    """What DynamoDB answers with ValidationException."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a request's placeholders stand for, and which of them were used."""

    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def name(self, token: str) -> str:
        """Return the attribute that the token names."""
        if not token.startswith("#"):
            return token
        self.used.add(token)
        try:
            return self.names[token]
        except KeyError:
            raise ValidationError(f"{token} is not defined") from None

    def value(self, token: str) -> Value:
        """Return the value that the token stands for."""
        self.used.add(token)
        try:
            return self.values[token]
        except KeyError:
            raise ValidationError(f"{token} is not defined") from None

    def check_used(self) -> None:
        """Raise ValidationError if the request defines what it does not use."""
        unused = (set(self.names) | set(self.values)) - self.used
        if unused:
            raise ValidationError(f"unused in expressions: {', '.join(sorted(unused))}")


type _Operand = Callable[[Item, Words], Value | None]
type _Test = Callable[[Item, Words], bool]
type Range = tuple[str, str, tuple[Value, ...]]
"""A key condition: an attribute, EQ, LT, LE, GT, GE or BETWEEN, and the values."""


def comparable(value: Value) -> Any:
    """Return what sorts and compares as DynamoDB does, of a number, text or bytes."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content) if content.lstrip("-").isdigit() else Decimal(content)
        case "S":
            return content.encode()
        case "B" | "BOOL":
            return content
        case _:
            raise NotImplementedError(f"the model compares no {kind}")


def are_equal(one: Value, other: Value) -> bool:
    """Return whether both are of one type and say the same."""
    return one.keys() == other.keys() and bool(comparable(one) == comparable(other))


def holds(expression: str | None, item: Item | None, words: Words) -> bool:
    """Return whether the condition holds of the item; one that does not exist has no attributes."""
    return expression is None or _parse_condition(expression)(item or {}, words)


def parse_key_condition(expression: str, words: Words) -> list[Range]:
    """Return the parts of a KeyConditionExpression."""
    tokens = _Tokens(expression)
    ranges = [_parse_range(tokens, words)]
    while tokens.take_if("AND"):
        ranges.append(_parse_range(tokens, words))
    tokens.check_end()
    return ranges


def parse_projection(expression: str, words: Words) -> tuple[str, ...]:
    """Return the attributes that a ProjectionExpression asks for."""
    tokens = _Tokens(expression)
    names = [words.name(tokens.take_path())]
    while tokens.take_if(","):
        names.append(words.name(tokens.take_path()))
    tokens.check_end()
    return tuple(names)


def update(expression: str, key: Item, item: Item | None, words: Words) -> Item:
    """Return the item after the UpdateExpression: SET with +, - and if_not_exists, and REMOVE."""
    tokens = _Tokens(expression)
    before = item or key
    after = dict(before)
    while tokens.is_more():
        clause = tokens.take()
        if clause not in {"SET", "REMOVE"}:
            raise NotImplementedError(f"the model knows no {clause} in an update")
        while True:
            name = words.name(tokens.take_path())
            if clause == "REMOVE":
                after.pop(name, None)
            else:
                tokens.expect("=")
                after[name] = _parse_sum(tokens)(before, words)
            if not tokens.take_if(","):
                break
    return after


class _Tokens:
    """An expression, word by word."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(self._split(expression))
        self._at = 0

    @staticmethod
    def _split(expression: str) -> Iterator[str]:
        at = 0
        text = expression.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise NotImplementedError(f"the model cannot read {text[at:]!r}")
            yield match[1].upper() if match[1].upper() in _KEYWORDS else match[1]
            at = match.end()

    def is_more(self) -> bool:
        return self._at < len(self._tokens)

    def peek(self) -> str:
        return self._tokens[self._at] if self.is_more() else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise ValidationError(f"{self._expression!r} ends too early")
        self._at += 1
        return token

    def take_if(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self._at += 1
        return True

    def expect(self, token: str) -> None:
        taken = self.take()
        if taken != token:
            raise ValidationError(f"{taken!r} instead of {token!r} in {self._expression!r}")

    def take_path(self) -> str:
        token = self.take()
        if not (token[0] == "#" or token[0].isalpha() or token[0] == "_") or token in _KEYWORDS:
            raise ValidationError(f"{token!r} is no attribute in {self._expression!r}")
        if token.lower() in _RESERVED:
            raise ValidationError(
                f"Attribute name is a reserved keyword; reserved keyword: {token}"
            )
        return token

    def check_end(self) -> None:
        if self.is_more():
            raise ValidationError(f"{self.peek()!r} is left over in {self._expression!r}")


@lru_cache(maxsize=1000)
def _parse_condition(expression: str) -> _Test:
    tokens = _Tokens(expression)
    test = _parse_or(tokens)
    tokens.check_end()
    return test


# Both sides are always evaluated: a placeholder counts as used wherever it stands.
def _parse_or(tokens: _Tokens) -> _Test:
    tests = [_parse_and(tokens)]
    while tokens.take_if("OR"):
        tests.append(_parse_and(tokens))
    return lambda item, words: True in [test(item, words) for test in tests]


def _parse_and(tokens: _Tokens) -> _Test:
    tests = [_parse_not(tokens)]
    while tokens.take_if("AND"):
        tests.append(_parse_not(tokens))
    return lambda item, words: False not in [test(item, words) for test in tests]


def _parse_not(tokens: _Tokens) -> _Test:
    if tokens.take_if("NOT"):
        test = _parse_not(tokens)
        return lambda item, words: not test(item, words)
    if tokens.take_if("("):
        test = _parse_or(tokens)
        tokens.expect(")")
        return test
    if tokens.peek() in {"attribute_exists", "attribute_not_exists"}:
        is_wanted = tokens.take() == "attribute_exists"
        tokens.expect("(")
        path = tokens.take_path()
        tokens.expect(")")
        return lambda item, words: (words.name(path) in item) == is_wanted
    return _parse_comparison(tokens)


def _parse_comparison(tokens: _Tokens) -> _Test:
    left = _parse_operand(tokens)
    operator = tokens.take()
    if operator == "BETWEEN":
        low = _parse_operand(tokens)
        tokens.expect("AND")
        high = _parse_operand(tokens)
        return lambda item, words: all(
            [
                _is_in_order(">=", left(item, words), low(item, words)),
                _is_in_order("<=", left(item, words), high(item, words)),
            ]
        )
    right = _parse_operand(tokens)
    if operator in {"=", "<>"}:
        return lambda item, words: (
            _is_same(left(item, words), right(item, words)) == (operator == "=")
        )
    if operator not in _ORDER:
        raise NotImplementedError(f"the model knows no {operator} in a condition")
    return lambda item, words: _is_in_order(operator, left(item, words), right(item, words))


def _is_same(one: Value | None, other: Value | None) -> bool:
    return one is not None and other is not None and are_equal(one, other)


def _is_in_order(operator: str, one: Value | None, other: Value | None) -> bool:
    if one is None or other is None or one.keys() != other.keys():
        return False
    return _ORDER[operator](comparable(one), comparable(other))


def _parse_operand(tokens: _Tokens) -> _Operand:
    if tokens.peek().startswith(":"):
        token = tokens.take()
        return lambda _item, words: words.value(token)
    if tokens.take_if("if_not_exists"):
        tokens.expect("(")
        path = tokens.take_path()
        tokens.expect(",")
        otherwise = _parse_operand(tokens)
        tokens.expect(")")
        return lambda item, words: item.get(words.name(path), otherwise(item, words))
    path = tokens.take_path()
    return lambda item, words: item.get(words.name(path))


def _parse_sum(tokens: _Tokens) -> Callable[[Item, Words], Value]:
    left = _parse_operand(tokens)
    sign = {"+": 1, "-": -1}.get(tokens.peek())
    right = None
    if sign is not None:
        tokens.take()
        right = _parse_operand(tokens)

    def evaluate(item: Item, words: Words) -> Value:
        value = left(item, words)
        if value is None:
            raise ValidationError("an operand of the update does not exist in the item")
        if sign is None or right is None:
            return value
        added = right(item, words)
        if added is None or {*value, *added} != {"N"}:
            raise ValidationError("an operand of the update is no number")
        return {"N": str(comparable(value) + sign * comparable(added))}

    return evaluate


def _parse_range(tokens: _Tokens, words: Words) -> Range:
    name = words.name(tokens.take_path())
    operator = tokens.take()
    if operator == "BETWEEN":
        low = words.value(tokens.take())
        tokens.expect("AND")
        return name, "BETWEEN", (low, words.value(tokens.take()))
    named = {"=": "EQ", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}
    if operator not in named:
        raise NotImplementedError(f"the model knows no {operator} in a key condition")
    return name, named[operator], (words.value(tokens.take()),)
