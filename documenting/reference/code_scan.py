"""Finds every stable code that a package can say, in its source.

A code is what is given to a parameter of the name `code`, of a function or of a class; what a
class has as its attribute `code`; and what a variable of that name is. Nothing is run but the
modules' own top levels.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

_PARAMETERS: Final = ("code", "error_code")
_VARIABLES: Final = ("code", "_failure")
# The exceptions whose only argument is a code.
_ARE_CODES: Final = ("FetchFailed", "KeySetMalformed", "KeySetUnavailable")
# What an f-string puts into a code where that is one of a few words; else it is a placeholder.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "cloud": ("aws", "azure"),
    "status.value": ("failed", "held"),
}
# What hands a code on, and makes none.
_HANDING_ON: Final = ("str", "_redact")


@dataclass(frozen=True, slots=True)
class FoundCode:
    """One place at which a code is said."""

    code: str
    module: str
    meaning: str = ""
    """The first sentence of the class that has the code; nothing where a call gives it."""


class CodeNotFoundError(Exception):
    """A code is computed in a way that this scan does not follow."""


def scan(checkout: Path, *packages: str) -> Iterator[FoundCode]:
    """Yield each place of the packages at which a code is said.

    Raises CodeNotFoundError where a code is neither a constant nor handed on from elsewhere.
    """
    for package in packages:
        for file in sorted((checkout / package.replace(".", "/")).rglob("*.py")):
            # The first is a program, the second starts one when it is imported.
            if file.stem in {"__main__", "app"}:
                continue
            name = ".".join(file.relative_to(checkout).with_suffix("").parts)
            module = importlib.import_module(name.removesuffix(".__init__"))
            yield from _Scan(module, ast.parse(file.read_text(encoding="utf-8"))).codes()


class _Scan:
    """One module."""

    def __init__(self, module: ModuleType, tree: ast.Module) -> None:
        self._module = module
        self._tree = tree

    def codes(self) -> Iterator[FoundCode]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ClassDef):
                yield from self._of_class(node)
            elif isinstance(node, ast.Call):
                for given in self._given(node):
                    yield from self._found(given)
            elif isinstance(node, ast.Assign):
                for given in _assigned(node.targets[0], node.value):
                    yield from self._found(given)

    def _found(self, given: ast.expr) -> Iterator[FoundCode]:
        for code in self._values(given):
            yield FoundCode(code, self._module.__name__)

    def _of_class(self, node: ast.ClassDef) -> Iterator[FoundCode]:
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id="code")], value=value)
                    | ast.AnnAssign(target=ast.Name(id="code"), value=ast.expr() as value)
                ):
                    for code in self._values(value):
                        meaning = (ast.get_docstring(node) or "").partition("\n")[0]
                        yield FoundCode(code, self._module.__name__, meaning)
                case _:
                    pass
        base = getattr(vars(self._module).get(node.name), "__base__", None)
        for call in ast.walk(node):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"),
                    args=[first, *_],
                ) if base is not None and _code_comes_first(base):
                    yield from self._found(first)
                case _:
                    pass

    def _given(self, call: ast.Call) -> Iterator[ast.expr]:
        """Yield what the call gives as a code."""
        yield from (each.value for each in call.keywords if each.arg in _PARAMETERS)
        is_code = isinstance(call.func, ast.Name) and call.func.id in _ARE_CODES
        position = 0 if is_code else self._position(call.func)
        if position is not None and position < len(call.args):
            yield call.args[position]

    def _position(self, function: ast.expr) -> int | None:
        """Return which argument of the function is a code; None if none is, or it is not ours."""
        match function:
            case ast.Name(id=name):
                called = vars(self._module).get(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                owners = [each for each in vars(self._module).values() if inspect.isclass(each)]
                called = next((vars(each)[name] for each in owners if name in vars(each)), None)
            case _:
                return None
        if not callable(called):
            return None
        try:
            parameters = list(inspect.signature(called).parameters)
        except (TypeError, ValueError):
            return None
        places = [parameters.index(each) for each in _PARAMETERS if each in parameters]
        is_method = isinstance(function, ast.Attribute) and "self" in parameters
        return places[0] - is_method if places else None

    def _values(self, node: ast.expr) -> Iterator[str]:
        match node:
            case ast.Constant(value=None | ""):
                return
            case ast.IfExp(body=one, orelse=other):
                yield from self._values(one)
                yield from self._values(other)
            case ast.BoolOp(values=values):
                for each in values:
                    yield from self._values(each)
            case ast.JoinedStr(values=parts):
                yield from _texts(parts)
            case ast.Constant() | ast.Name() | ast.Attribute():
                yield from self._value(node)
            case ast.Call(func=ast.Name(id=name)) if name in _HANDING_ON:
                return
            case ast.Subscript(value=ast.Name(id="EXIT_CODES")):
                return
            case _:
                message = f"{self._module.__name__}:{node.lineno}: {ast.unparse(node)}"
                raise CodeNotFoundError(message)

    def _value(self, node: ast.Constant | ast.Name | ast.Attribute) -> Iterator[str]:
        try:
            value = _evaluated(node, vars(self._module))
        except (KeyError, AttributeError):
            return  # a parameter, or an attribute of one: handed on
        if isinstance(value, str):
            yield str(value)


def _code_comes_first(kind: type) -> bool:
    try:
        return next(iter(inspect.signature(kind).parameters), "") in _PARAMETERS
    except ValueError:
        return False


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    """Yield what is assigned to a variable that holds codes."""
    match target, value:
        case ((ast.Name(id=name) | ast.Attribute(attr=name)), ast.Constant()) if name in _VARIABLES:
            yield value
        case ast.Tuple(elts=targets), ast.Tuple(elts=values):
            for one, given in zip(targets, values, strict=True):
                yield from _assigned(one, given)
        case _:
            pass


def _texts(parts: list[ast.expr]) -> Iterator[str]:
    """Yield each text that an f-string can be; what cannot be known stands in angle brackets."""
    texts = [""]
    for part in parts:
        match part:
            case ast.FormattedValue(value=value):
                name = ast.unparse(value)
                placeholder = "fault" if "(" in name else name.rpartition(".")[2]
                words = _WORDS.get(name, (f"<{placeholder}>",))
            case _:
                words = (str(ast.literal_eval(part)),)
        texts = [text + word for text in texts for word in words]
    yield from texts


def _evaluated(node: ast.expr, names: Mapping[str, object]) -> object:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.Attribute(value=owner, attr=name):
            return getattr(_evaluated(owner, names), name)
        case _:
            raise KeyError(ast.unparse(node))
