"""What a Bicep file says, as values; `parser.py` reads it."""

from dataclasses import dataclass
from typing import NamedTuple


class BicepError(Exception):
    """The module, or what it was given, is not what can be deployed; the message says why."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a truth value, null, or a string without interpolation."""

    value: str | int | bool | None


@dataclass(frozen=True, slots=True)
class Text:
    """A string whose `${...}` are expressions."""

    parts: tuple["str | Expression", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter, variable, resource or lambda variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`; `of.?name` is null where there is none."""

    of: "Expression"
    name: str
    is_safe: bool


@dataclass(frozen=True, slots=True)
class Index:
    """`of[index]`; `of[?index]` is null where there is none."""

    of: "Expression"
    index: "Expression"
    is_safe: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of Bicep's functions."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`!x` or `-x`."""

    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands around an operator."""

    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Conditional:
    """`condition ? then : otherwise`."""

    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True, slots=True)
class ArrayLiteral:
    """`[a, b]`, or the same on several lines."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class ObjectLiteral:
    """`{ key: value }`; a key may be a string with interpolation."""

    members: tuple[tuple["Literal | Text", "Expression"], ...]


@dataclass(frozen=True, slots=True)
class Lambda:
    """`x => body`, an argument of `filter`, `map` and the like."""

    variables: tuple[str, ...]
    body: "Expression"


@dataclass(frozen=True, slots=True)
class Loop:
    """`[for item in of: body]` or `[for (item, index) in of: body]`."""

    item: str
    index: str | None
    of: "Expression"
    body: "Expression"


type Expression = (
    Literal
    | Text
    | Name
    | Member
    | Index
    | Call
    | Unary
    | Binary
    | Conditional
    | ArrayLiteral
    | ObjectLiteral
    | Lambda
    | Loop
)


class Parameter(NamedTuple):
    """One `param`."""

    name: str
    type: str
    is_nullable: bool
    default: Expression | None
    decorators: dict[str, Expression]


class Variable(NamedTuple):
    """One `var`."""

    name: str
    value: Expression


class ResourceDeclaration(NamedTuple):
    """One `resource`; its body is an object, or a loop of them."""

    name: str
    type: str
    api_version: str
    is_existing: bool
    condition: Expression | None
    body: ObjectLiteral | Loop


class Output(NamedTuple):
    """One `output`."""

    name: str
    type: str
    value: Expression
    decorators: dict[str, Expression]


class Module(NamedTuple):
    """A Bicep file as it is written."""

    parameters: dict[str, Parameter]
    variables: dict[str, Variable]
    resources: dict[str, ResourceDeclaration]
    outputs: dict[str, Output]
