"""Which function serves a request: route templates as ASP.NET Core matches them.

Functions are tried in the order of their names; the first whose route and method fit is called,
as in the real host. Literal text is compared without regard to case.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from shared.guid import is_guid

_PARAMETER = re.compile(
    r"\{(?P<stars>\*{0,2})(?P<name>[A-Za-z_]\w*)(?::(?P<constraint>[a-z]+))?(?P<optional>\??)\}"
)
_CONSTRAINTS: Final[Mapping[str, Callable[[str], object]]] = {
    "int": re.compile(r"-?[0-9]+").fullmatch,
    "long": re.compile(r"-?[0-9]+").fullmatch,
    "alpha": re.compile(r"[A-Za-z]+").fullmatch,
    "bool": re.compile(r"(?i)true|false").fullmatch,
    "guid": lambda text: is_guid(text.lower()),
}


@dataclass(frozen=True, slots=True)
class _Segment:
    literal: str = ""
    parameter: str = ""
    is_optional: bool = False
    is_catch_all: bool = False
    constraint: str = ""

    def admits(self, text: str) -> bool:
        return not self.constraint or bool(_CONSTRAINTS[self.constraint](text))


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """A parsed route, prefix included."""

    text: str
    segments: tuple[_Segment, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the route that a template such as `aws/{*path}` means.

        Raises:
            ValueError: it is malformed, or uses something that this host does not know: a default
                value, text beside a parameter in one segment, or a constraint of a rarer kind.

        """
        parts = [part for part in text.split("/") if part]
        segments = tuple(_parse_segment(part, text) for part in parts)
        for segment in segments[:-1]:
            if segment.is_catch_all or segment.is_optional:
                raise ValueError(f"{segment.parameter!r} in {text!r} must be the last segment")
        names = [segment.parameter.lower() for segment in segments if segment.parameter]
        if len(names) != len(set(names)):
            raise ValueError(f"a parameter stands twice in {text!r}")
        return cls(text, segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route parameters, or None if the path does not match.

        An optional or catch-all parameter that matches nothing is left out.

        Args:
            path: the decoded path, with a slash at its beginning.

        """
        rest = path[1:]
        parameters: dict[str, str] = {}
        for segment in self.segments:
            if segment.is_catch_all:
                if rest:
                    parameters[segment.parameter] = rest
                return parameters
            text, _, rest = rest.partition("/")
            if not text:
                return parameters if segment.is_optional and not rest else None
            if segment.literal:
                if text.lower() != segment.literal:
                    return None
            elif segment.admits(text):
                parameters[segment.parameter] = text
            else:
                return None
        return None if rest else parameters


def _parse_segment(part: str, template: str) -> _Segment:
    if "{" not in part and "}" not in part:
        return _Segment(literal=part.lower())
    match = _PARAMETER.fullmatch(part)
    if match is None:
        raise ValueError(f"{part!r} in {template!r} is not a parameter that this host knows")
    constraint = match["constraint"] or ""
    if constraint and constraint not in _CONSTRAINTS:
        raise ValueError(f"the constraint {constraint!r} in {template!r} is not known to this host")
    return _Segment(
        parameter=match["name"],
        is_optional=bool(match["optional"]),
        is_catch_all=bool(match["stars"]),
        constraint=constraint,
    )


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One HTTP-triggered function's address."""

    function_name: str
    template: RouteTemplate
    methods: frozenset[str] | None
    """Upper case; None takes every method."""


def find_route(
    routes: Sequence[HttpRoute], method: str, path: str
) -> tuple[HttpRoute, dict[str, str]] | None:
    """Return the route that serves path and method, with its parameters; None means 404."""
    for route in sorted(routes, key=lambda route: route.function_name.lower()):
        if route.methods is not None and method not in route.methods:
            continue
        parameters = route.template.match(path)
        if parameters is not None:
            return route, parameters
    return None
