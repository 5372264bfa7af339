"""Evaluates one of our Bicep modules, as Azure Resource Manager would to deploy it to a group.

What only a made resource knows, an identity's client ID for instance, is asked of whoever makes
it here. Anything outside the part of Bicep that our modules use is a `BicepError`, never a guess.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from emulator.azure.bicep_expressions import (
    Expressions,
    ResourceGroup,
    are_equal,
    number,
    truth,
)
from emulator.azure.bicep_functions import kind_of
from emulator.azure.bicep_syntax.parser import parse_bicep
from emulator.azure.bicep_syntax.tree import (
    BicepError,
    Expression,
    Literal,
    Loop,
    Module,
    ObjectLiteral,
    Parameter,
    ResourceDeclaration,
)

__all__ = ["BicepError", "Evaluated", "Lookup", "Resource", "ResourceGroup", "evaluate"]

type Lookup = Callable[[Resource], Mapping[str, object]]
"""Returns what the made resource says of itself: `{"properties": {"clientId": ...}}`."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it is sent to Azure, or, where it exists, as it is referred to."""

    symbol: str
    type: str
    api_version: str
    name: str
    """With the names of what it is a child of: `account/default/container`."""
    id: str
    is_existing: bool
    body: Mapping[str, object]
    """Everything else: `location`, `tags`, `properties` and so on."""
    depends_on: tuple[str, ...]
    """The IDs of what `dependsOn` names; what is needed for a value is not repeated there."""

    @property
    def properties(self) -> Mapping[str, object]:
        """Return the resource's `properties`, if it has any."""
        properties = self.body.get("properties")
        return properties if isinstance(properties, Mapping) else {}


class Evaluated(NamedTuple):
    """What a module comes to."""

    resources: tuple[Resource, ...]
    """Those to be made, in an order in which they can be; without what exists already."""
    outputs: Mapping[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    """A resource as a value; nothing of it is evaluated before that is needed."""

    declared: ResourceDeclaration
    body: ObjectLiteral
    variables: Mapping[str, object]
    symbol: str


_MOST_ITEMS: Final = 10_000
_HEAD: Final = tuple(map(Literal, ("name", "parent", "scope", "dependsOn")))


class _Evaluator:
    def __init__(
        self,
        module: Module,
        parameters: Mapping[str, object],
        lookup: Lookup,
        group: ResourceGroup,
    ) -> None:
        self._module = module
        self._lookup = lookup
        self._group = group
        self._expressions = Expressions(group, self._named, _Reference, self._of_resource)
        self._given = parameters
        self._known: dict[str, object] = {}
        self._made: dict[str, Resource] = {}
        self._states: dict[str, Mapping[str, object]] = {}
        self._under_way: list[str] = []

    def run(self) -> Evaluated:
        if unknown := sorted(set(self._given) - set(self._module.parameters)):
            raise BicepError(f"there is no parameter {unknown[0]!r}")
        for parameter in self._module.parameters.values():
            self._named(parameter.name)
        for declared in self._module.resources.values():
            if not declared.is_existing and self._is_deployed(declared):
                for reference in self._references(declared):
                    self._make(reference)
        outputs = {
            output.name: _checked_output(output.name, output.type, self._value(output.value))
            for output in self._module.outputs.values()
        }
        return Evaluated(
            tuple(made for made in self._made.values() if not made.is_existing), outputs
        )

    def _value(
        self, expression: Expression, variables: Mapping[str, object] = MappingProxyType({})
    ) -> object:
        return self._expressions.value(expression, variables)

    # --- names ------------------------------------------------------------------------------

    def _named(self, name: str) -> object:
        if name not in self._known:
            if name in self._under_way:
                raise BicepError(f"{name!r} needs itself: {' -> '.join(self._under_way)}")
            self._under_way.append(name)
            self._known[name] = self._declared(name)
            self._under_way.pop()
        return self._known[name]

    def _declared(self, name: str) -> object:
        module = self._module
        if name in module.parameters:
            return self._parameter(module.parameters[name])
        if name in module.variables:
            return self._value(module.variables[name].value)
        if name in module.resources:
            declared = module.resources[name]
            references = self._references(declared)
            return references if isinstance(declared.body, Loop) else references[0]
        raise BicepError(f"{name!r} is declared nowhere")

    def _parameter(self, parameter: Parameter) -> object:
        value = self._given.get(parameter.name)
        if value is None and parameter.default is not None:
            value = self._value(parameter.default)
        if value is None and parameter.is_nullable:
            return None
        if value is None:
            raise BicepError(f"the parameter {parameter.name!r} is missing")
        try:
            _check_parameter(parameter, value, self._value)
        except BicepError as error:
            raise BicepError(f"the parameter {parameter.name!r} {error}") from None
        return value

    # --- resources --------------------------------------------------------------------------

    def _is_deployed(self, declared: ResourceDeclaration) -> bool:
        if declared.condition is None:
            return True
        return truth(self._value(declared.condition), f"the condition of {declared.name!r}")

    def _references(self, declared: ResourceDeclaration) -> list[_Reference]:
        body = declared.body
        if not isinstance(body, Loop):
            return [_Reference(declared, body, {}, declared.name)]
        assert isinstance(body.body, ObjectLiteral)  # noqa: S101 - the parser has seen to it
        return [
            _Reference(declared, body.body, variables, f"{declared.name}[{index}]")
            for index, variables in enumerate(self._expressions.turns(body, {}))
        ]

    def _member(self, reference: _Reference, key: str) -> object:
        for name, value in reference.body.members:
            if name == Literal(key):
                return self._value(value, reference.variables)
        return None

    def _name_of(self, reference: _Reference) -> str:
        name = self._member(reference, "name")
        parent = self._member(reference, "parent")
        if not isinstance(name, str) or not name:
            raise BicepError(f"the resource {reference.symbol!r} has no name")
        if parent is None:
            return name
        if not isinstance(parent, _Reference):
            raise BicepError(f"the parent of {reference.symbol!r} is no resource")
        self._of_resource(parent, "id")
        return f"{self._name_of(parent)}/{name}"

    def _id_of(self, reference: _Reference) -> str:
        scope = self._member(reference, "scope")
        if scope is not None and not isinstance(scope, _Reference):
            raise BicepError(f"the scope of {reference.symbol!r} is no resource of the module")
        provider, *types = reference.declared.type.split("/")
        names = self._name_of(reference).split("/")
        if len(types) != len(names):
            raise BicepError(f"the name of {reference.symbol!r} does not fit its type")
        path = "/".join(f"{type_}/{name}" for type_, name in zip(types, names, strict=True))
        base = self._group.id if scope is None else self._of_resource(scope, "id")
        return f"{base}/providers/{provider}/{path}"

    def _make(self, reference: _Reference) -> Resource:
        symbol = reference.symbol
        if symbol not in self._made:
            if f"{symbol}'s body" in self._under_way:
                raise BicepError(f"{symbol!r} needs itself: {' -> '.join(self._under_way)}")
            self._under_way.append(f"{symbol}'s body")
            declared = reference.declared
            rest = tuple(pair for pair in reference.body.members if pair[0] not in _HEAD)
            self._made[symbol] = Resource(
                symbol=symbol,
                type=declared.type,
                api_version=declared.api_version,
                name=self._name_of(reference),
                id=self._id_of(reference),
                is_existing=declared.is_existing,
                body=_plain_object(self._value(ObjectLiteral(rest), reference.variables)),
                depends_on=tuple(self._dependencies(reference)),
            )
            self._under_way.pop()
        return self._made[symbol]

    def _dependencies(self, reference: _Reference) -> list[str]:
        ids = []
        named = self._member(reference, "dependsOn")
        for item in named if isinstance(named, list) else []:
            for each in item if isinstance(item, list) else [item]:
                if not isinstance(each, _Reference):
                    raise BicepError(f"{reference.symbol!r} depends on what is no resource")
                if self._is_deployed(each.declared):
                    ids.append(self._id_of(each))
                    self._of_resource(each, "id")
        return ids

    def _of_resource(self, reference: _Reference, name: str) -> object:
        is_deployed = self._is_deployed(reference.declared)
        if is_deployed and not reference.declared.is_existing:
            # Whatever mentions a resource is deployed after it.
            self._make(reference)
        match name:
            case "id":
                return self._id_of(reference)
            case "name":
                return self._name_of(reference).rpartition("/")[2]
            case "type":
                return reference.declared.type
            case _:
                pass
        if not is_deployed:
            raise BicepError(f"{reference.symbol!r} is not deployed, so it has no {name!r}")
        symbol = reference.symbol
        if symbol not in self._states:
            self._states[symbol] = self._lookup(self._make(reference))
        if name not in self._states[symbol]:
            raise BicepError(f"nobody knows the {name!r} of {symbol!r}")
        return self._states[symbol][name]


def _plain(value: object, counted: Iterator[int]) -> object:
    """Return the value, in which no resource stands as a whole."""
    if next(counted) > _MOST_ITEMS:
        # Arrays of the same array are small only as long as they share it.
        raise BicepError(f"a value has more than {_MOST_ITEMS} items")
    if isinstance(value, list):
        return [_plain(item, counted) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(inside, counted) for key, inside in value.items()}
    if value is not None and not isinstance(value, str | int):
        raise BicepError("a whole resource, or a lambda, is no value that can be sent")
    return value


def _plain_object(value: object) -> dict[str, object]:
    plain = _plain(value, count())
    return plain if isinstance(plain, dict) else {}


def _checked_output(name: str, kind: str, value: object) -> object:
    if kind_of(value) != kind:
        raise BicepError(f"the output {name!r} is {kind_of(value)}, not {kind}")
    return _plain(value, count())


_NOT_CHECKED: Final = {"description", "metadata", "secure"}
_BOUNDS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "min": lambda value, bound: value >= bound,
    "max": lambda value, bound: value <= bound,
}


def _check_parameter(
    parameter: Parameter, value: object, evaluate_one: Callable[[Expression], object]
) -> None:
    if kind_of(value) != parameter.type:
        raise BicepError(f"is {kind_of(value)}, not {parameter.type}")
    for name, argument in parameter.decorators.items():
        if name in _NOT_CHECKED:
            continue
        bound = evaluate_one(argument)
        side, what = name[:3], name[3:]
        if name == "allowed" and isinstance(bound, list):
            if not any(are_equal(value, each) for each in bound):
                raise BicepError(f"is none of {', '.join(map(str, bound))}")
        elif side in _BOUNDS and what in {"Value", "Length"}:
            sized = value if what == "Value" else len(value) if isinstance(value, str | list) else 0
            if not _BOUNDS[side](number(sized), number(bound)):
                raise BicepError(f"is outside @{name}({bound})")
        else:
            raise BicepError(f"has the decorator @{name}, which is not evaluated")


def evaluate(
    module_path: Path,
    parameters: Mapping[str, object],
    lookup: Lookup,
    group: ResourceGroup = ResourceGroup(),  # noqa: B008 - an immutable value
) -> Evaluated:
    """Return what the module comes to with these parameters.

    Args:
        module_path: the Bicep file.
        parameters: their values by name; null is the same as none.
        lookup: says what a made or existing resource says of itself. It is called once for each
            resource whose state something needs, after the resources that this one needs.
        group: what it is deployed to.

    Raises:
        BicepError: the module is not what we read, a parameter is missing, unknown or not allowed,
            or a value cannot be had. Types of properties are not checked.

    """
    module = parse_bicep(module_path.read_text(encoding="utf-8"), module_path.name)
    return _Evaluator(module, parameters, lookup, group).run()
