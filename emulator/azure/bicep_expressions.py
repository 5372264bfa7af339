"""What Bicep's expressions are worth, within what Azure Resource Manager would take."""

import operator as operators
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, assert_never

from emulator.azure.bicep_functions import FUNCTIONS, kind_of
from emulator.azure.bicep_syntax.tree import (
    ArrayLiteral,
    BicepError,
    Binary,
    Call,
    Conditional,
    Expression,
    Index,
    Lambda,
    Literal,
    Loop,
    Member,
    Name,
    ObjectLiteral,
    Text,
    Unary,
)

_DEEPEST: Final = 120
"""How many values may need each other in a row."""
_LONGEST: Final = 131_072
"""Characters of a string, as in Resource Manager; each could be made of two of the one before."""
_MOST_ITEMS: Final = 10_000
_MOST_STEPS: Final = 200_000
"""Expressions evaluated for a module; ours take some thousand."""
_ON_NUMBERS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "+": operators.add,
    "-": operators.sub,
}


class ResourceGroup(NamedTuple):
    """What a module is deployed to."""

    subscription_id: str = "00000000-0000-0000-0000-000000000000"
    tenant_id: str = "00000000-0000-0000-0000-000000000000"
    name: str = "local"
    location: str = "local"
    storage_suffix: str = "core.windows.net"
    login_endpoint: str = "https://login.microsoftonline.com/"

    @property
    def id(self) -> str:
        """Return its ID in Resource Manager."""
        return f"/subscriptions/{self.subscription_id}/resourceGroups/{self.name}"


class Expressions[R]:
    """Evaluates expressions; what names and resources stand for, it asks the module."""

    def __init__(
        self,
        group: ResourceGroup,
        named: Callable[[str], object],
        reference: type[R],
        member: Callable[[R, str], object],
    ) -> None:
        """Take what is deployed to, and what knows names, and what resources say of themselves."""
        self._group = group
        self._declared = named
        self._reference = reference
        self._member = member
        self._depth = 0
        self._steps = 0

    def value(self, expression: Expression, variables: Mapping[str, object]) -> object:
        """Return what the expression is worth, no bigger than Resource Manager would take it."""
        self._depth += 1
        self._steps += 1
        if self._depth > _DEEPEST or self._steps > _MOST_STEPS:
            raise BicepError("the values need each other too often, or too deep")
        value = self._worth(expression, variables)
        self._depth -= 1
        if isinstance(value, str) and len(value) > _LONGEST:
            raise BicepError(f"a string is longer than {_LONGEST} characters")
        if isinstance(value, list | dict) and len(value) > _MOST_ITEMS:
            raise BicepError(f"a value has more than {_MOST_ITEMS} items")
        return value

    def _worth(self, expression: Expression, variables: Mapping[str, object]) -> object:  # noqa: C901, PLR0911, PLR0912 - one case a kind of expression
        match expression:
            case Literal(value):
                return value
            case Text(parts):
                return "".join(
                    part if isinstance(part, str) else in_text(self.value(part, variables))
                    for part in parts
                )
            case Name(name):
                return variables[name] if name in variables else self._declared(name)
            case Member(of, name, is_safe):
                return self._at(self.value(of, variables), name, is_safe=is_safe)
            case Index(of, index, is_safe):
                key = self.value(index, variables)
                return self._at(self.value(of, variables), key, is_safe=is_safe)
            case Call(function, arguments):
                return self._call(function, [self.value(each, variables) for each in arguments])
            case Unary("!", operand):
                return not truth(self.value(operand, variables), "what `!` stands before")
            case Unary(_, operand):
                return -number(self.value(operand, variables))
            case Binary(operator, left, right):
                return self._binary(operator, left, right, variables)
            case Conditional(condition, then, otherwise):
                is_so = truth(self.value(condition, variables), "what stands before `?`")
                return self.value(then if is_so else otherwise, variables)
            case ArrayLiteral(items):
                return [self.value(item, variables) for item in items]
            case ObjectLiteral(members):
                return self._object(members, variables)
            case Lambda(names, body):
                (name,) = names
                return lambda item: self.value(body, {**variables, name: item})
            case Loop():
                return [
                    self.value(expression.body, turn) for turn in self.turns(expression, variables)
                ]
            case _:
                assert_never(expression)

    def _object(
        self,
        members: tuple[tuple[Literal | Text, Expression], ...],
        variables: Mapping[str, object],
    ) -> dict[str, object]:
        value: dict[str, object] = {}
        for key, inside in members:
            name = in_text(self.value(key, variables))
            if name in value:
                raise BicepError(f"the key {name!r} stands in an object twice")
            value[name] = self.value(inside, variables)
        return value

    def turns(self, loop: Loop, variables: Mapping[str, object]) -> list[Mapping[str, object]]:
        """Return the variables of each turn of the loop."""
        of = self.value(loop.of, variables)
        if not isinstance(of, list):
            raise BicepError(f"a loop goes over an array, not over {kind_of(of)}")
        index = {} if loop.index is None else {loop.index: 0}
        return [
            {**variables, **dict.fromkeys(index, at), loop.item: item} for at, item in enumerate(of)
        ]

    def _at(self, of: object, key: object, *, is_safe: bool) -> object:
        if isinstance(of, self._reference) and isinstance(key, str):
            return self._member(of, key)
        if isinstance(of, Mapping) and isinstance(key, str) and key in of:
            return of[key]
        if isinstance(of, list) and isinstance(key, int) and 0 <= key < len(of):
            return of[key]
        if is_safe and (of is None or isinstance(of, Mapping | list)):
            return None
        raise BicepError(f"{key!r} is not in the {kind_of(of)}")

    def _binary(
        self, operator: str, left: Expression, right: Expression, variables: Mapping[str, object]
    ) -> object:
        first = self.value(left, variables)
        if operator in {"&&", "||"}:
            is_so = truth(first, f"what stands before `{operator}`")
            if is_so is (operator == "||"):
                return is_so
            return truth(self.value(right, variables), f"what stands after `{operator}`")
        if operator == "??":
            return self.value(right, variables) if first is None else first
        second = self.value(right, variables)
        if operator in {"==", "!="}:
            return are_equal(first, second) is (operator == "==")
        if operator not in _ON_NUMBERS:
            raise BicepError(f"the operator {operator!r} is not evaluated")
        return _ON_NUMBERS[operator](number(first), number(second))

    def _call(self, function: str, arguments: list[object]) -> object:
        group = self._group
        match function:
            case "resourceGroup":
                return {"id": group.id, "name": group.name, "location": group.location}
            case "tenant":
                return {"tenantId": group.tenant_id}
            case "environment":
                return {
                    "suffixes": {"storage": group.storage_suffix},
                    "authentication": {"loginEndpoint": group.login_endpoint},
                }
            case "subscriptionResourceId" if len(arguments) == 2:  # noqa: PLR2004 - a type, a name
                type_, name = map(in_text, arguments)
                provider, _, kind = type_.partition("/")
                return f"/subscriptions/{group.subscription_id}/providers/{provider}/{kind}/{name}"
            case _ if function not in FUNCTIONS:
                raise BicepError(f"the function {function}() is not evaluated")
            case _:
                pass
        try:
            return FUNCTIONS[function](*arguments)
        except TypeError as error:
            raise BicepError(f"{function}() takes other arguments") from error


def truth(value: object, what: str) -> bool:
    """Return the bool.

    Raises:
        BicepError: it is none; `what` says where it stands.

    """
    if not isinstance(value, bool):
        raise BicepError(f"{what} is no bool, but {kind_of(value)}")
    return value


def number(value: object) -> int:
    """Return the number.

    Raises:
        BicepError: it is none.

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise BicepError(f"expected a number, not {kind_of(value)}")
    return value


def are_equal(left: object, right: object) -> bool:
    """Return whether the two are equal, as Bicep has it: 1 and true are not."""
    return kind_of(left) == kind_of(right) and left == right


def in_text(value: object) -> str:
    """Return the value as a part of a string.

    Raises:
        BicepError: it is neither a string nor a number.

    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BicepError(f"{kind_of(value)} cannot stand in a string here")
    return str(value)
