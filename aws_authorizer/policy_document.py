"""The answers that API Gateway understands: an IAM policy, or a simple yes or no.

API Gateway caches the policy by token and evaluates it again for each request. So it says what the
caller may do on the whole stage, not what was asked for just now, and no text of the request ever
stands in it.

Policy format: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
Wildcards: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import combinations_with_replacement
from typing import Final, NamedTuple

from aws_authorizer.errors import Undecided
from shared.principal import Principal
from shared.reasons import Reason
from shared.routes import Route

type Answer = dict[str, object]
"""What the Lambda function returns."""

MAX_RESOURCE_CHARACTERS: Final = 512
"""API Gateway's limit for one `Resource`."""

_ACTION: Final = "execute-api:Invoke"
_ENCODED_SLASHES: Final = ("%2F", "%2f")
# A parameter as `_reaches` compares it: one or more characters that are no slash, or any.
_SEGMENT: Final = "\1"
_GREEDY: Final = "\2"


class RoutesAmbiguous(ValueError):
    """No policy can open one route and close another, because their wildcards overlap."""


def _is_parameter(segment: str) -> bool:
    """Return whether a segment of a route's path is a parameter; API Gateway knows none within."""
    return segment.startswith("{")


def _spell(route: Route, parameter: str, greedy: str) -> str:
    """Return method and path with each parameter replaced."""
    segments = [
        (greedy if segment.endswith("+}") else parameter) if _is_parameter(segment) else segment
        for segment in route.path.split("/")
    ]
    return route.method + "/".join(segments)


@cache
def _pattern(route: Route) -> str:
    """Return the route as a policy writes it. A `*` there matches slashes too."""
    return _spell(route, "*", "*")


@cache
def _reaches(pattern: str, route: Route) -> bool:
    """Return whether the policy pattern matches any request that the gateway serves by the route.

    A parameter in the route stands for one segment or, as `{name+}`, for what is left of the path.
    """
    # The route as a row of characters, a parameter being one that may repeat.
    served = _spell(route, _SEGMENT, _GREEDY)
    # Most pairs differ before the first wildcard of either, or behind the last one, and need no
    # closer look.
    before, after = pattern.partition("*")[0], pattern.rpartition("*")[2]
    literals = served.replace(_GREEDY, _SEGMENT)
    begins, ends = literals.partition(_SEGMENT)[0], literals.rpartition(_SEGMENT)[2]
    if not (
        (before.startswith(begins) or begins.startswith(before))
        and (after.endswith(ends) or ends.endswith(after))
    ):
        return False
    alike = min(len(before), len(begins))

    @cache
    def meets(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(served)
        is_wildcard = pattern[i] == "*"
        if j == len(served):
            return is_wildcard and meets(i + 1, j)
        is_parameter = served[j] in {_SEGMENT, _GREEDY}
        fits = (
            is_wildcard
            or pattern[i] == served[j]
            or (is_parameter and (pattern[i] != "/" or served[j] == _GREEDY))
        )
        # A wildcard may also stand for nothing; either of the two may take another character.
        return (is_wildcard and meets(i + 1, j)) or (
            fits
            and (
                meets(i + 1, j + 1)
                or (is_wildcard and meets(i, j + 1))
                or (is_parameter and meets(i + 1, j))
            )
        )

    return meets(alike, alike)


def _takes_over(named: Route, served: Route) -> bool:
    """Return whether `named` serves every request of `served` that its pattern matches.

    The gateway prefers a literal segment to a parameter, from the left. With as many segments on
    both sides, a wildcard has no slash left to cross.
    """
    ours, theirs = named.path.split("/"), served.path.split("/")
    if len(ours) != len(theirs) or "+}" in named.path + served.path:
        return False
    return [_is_parameter(part) for part in ours] < [_is_parameter(part) for part in theirs]


@cache
def _hits(named: Route, served: Route) -> bool:
    """Return whether naming one route in a policy covers requests that the other serves."""
    return (
        named.method == served.method
        and _reaches(_pattern(named), served)
        and not _takes_over(named, served)
    )


class RoutePatterns(NamedTuple):
    """What one set of roles opens, and what must be closed again because a wildcard opens it too.

    A wildcard in a policy crosses slashes, so one that stands for a record's ID also covers every
    route below the record.
    """

    opened: tuple[str, ...]
    closed: tuple[str, ...]


def _segments_under_wildcard(opener: Route, refused: Route) -> tuple[list[str], int]:
    """Return the refused route's segments, and the first that a wildcard of the opener covers."""
    segments = ["*" if _is_parameter(part) else part for part in refused.path.split("/")]
    theirs = opener.path.split("/")
    first = next((i for i, part in enumerate(theirs) if _is_parameter(part)), len(theirs))
    return segments, min(first, len(segments))


def _close_wholly(opener: Route, refused: Route) -> list[str]:
    """Return what closes the refused route in every spelling, wherever the opener covers it.

    Each segment that a wildcard covers is any text, which leaves no literal to spell otherwise
    (`%61udit` for `audit`).
    """
    segments, first = _segments_under_wildcard(opener, refused)
    return [refused.method + "/".join([*segments[:first], *("*" for _ in segments[first:])])]


def _close_by_name(opener: Route, refused: Route) -> list[str]:
    """Return what closes the refused route and leaves open what lies beside it.

    That is the route itself, and any percent sign where it has a literal that a wildcard covers:
    without a percent sign, a literal has one spelling only.
    """
    segments, first = _segments_under_wildcard(opener, refused)
    patterns = [_pattern(refused)]
    for i, segment in enumerate(segments):
        if i >= first and segment not in {"", "*"}:
            anything = ["*" for _ in segments[first:]]
            anything[i - first] = "*%*"
            patterns.append(refused.method + "/".join([*segments[:first], *anything]))
    return patterns


def _close_slashes(opener: Route, refused: Route) -> list[str]:
    """Return what closes odd slashes where the opener has a wildcard.

    A slash at the end may count for nothing, and an encoded one for a slash, when the gateway
    chooses the route. No ID holds either of them for who needs this: that is given up on purpose.
    """
    pattern = _pattern(opener)
    with_slash = refused._replace(path=f"{refused.path}/")
    closed = []
    # `*` also stands for nothing, so what opens the routes below opens this one with a slash.
    if pattern.endswith("/*") and _reaches(pattern[:-1], with_slash):
        closed.append(pattern[:-1])
    if _hits(opener, refused):
        before = pattern.partition("*")[0]
        closed += [f"{pattern}/", *(f"{before}*{slash}*" for slash in _ENCODED_SLASHES)]
    return closed


def _close_to(opener: Route, refused: Route, admitted: Sequence[Route]) -> list[str]:
    """Return the patterns that close a route where one of the admitted routes opens it too.

    How API Gateway spells the path in the ARN that it compares with a policy, and whether it
    decodes it before it chooses the route, is not documented. So a route is closed in every
    spelling, or not at all.

    Raises:
        RoutesAmbiguous: they would close a route that the caller may use.

    """
    if opener.method != refused.method:
        return []
    patterns: list[str] = []
    if _hits(opener, refused):
        patterns = _close_wholly(opener, refused)
        if _find_victim(patterns, refused, admitted) is not None:
            patterns = _close_by_name(opener, refused)
    victim = _find_victim(patterns, refused, admitted)
    if victim is not None:
        raise RoutesAmbiguous(
            f"closing {refused.path} to who may use {opener.path} would close {victim.path},"
            " or leave it open in another spelling: give it a path that no parameter covers"
        )
    return patterns + _close_slashes(opener, refused)


def _find_victim(
    patterns: Sequence[str], refused: Route, admitted: Sequence[Route]
) -> Route | None:
    """Return an admitted route that the patterns would close too, if there is one."""
    exact = _pattern(refused)
    for route in admitted:
        for pattern in patterns:
            # Where the gateway prefers the refused route, its exact pattern takes nothing away.
            if _reaches(pattern, route) and not (pattern == exact and _takes_over(refused, route)):
                return route
    return None


def build_route_patterns(routes: Sequence[Route], roles: frozenset[str]) -> RoutePatterns:
    """Return the patterns for a caller with these roles.

    Raises:
        RoutesAmbiguous: closing a route would close one that the caller may use.

    """
    admitted = [route for route in routes if route.admits(roles)]
    closed = [
        pattern
        for route in routes
        if not route.admits(roles)
        for opener in admitted
        for pattern in _close_to(opener, route, admitted)
    ]
    return RoutePatterns(
        tuple(dict.fromkeys(map(_pattern, admitted))), tuple(dict.fromkeys(closed))
    )


class Statement(NamedTuple):
    """One statement of a policy, which no one can change."""

    effect: str
    resources: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the statement as API Gateway reads it; its receiver may change it."""
        return {"Action": _ACTION, "Effect": self.effect, "Resource": list(self.resources)}


def _build_statement(effect: str, stage_arn: str, patterns: Sequence[str]) -> Statement:
    resources = tuple(f"{stage_arn}/{pattern}" for pattern in patterns)
    if max(map(len, resources)) > MAX_RESOURCE_CHARACTERS:
        raise Undecided(Reason.POLICY_TOO_LONG)
    return Statement(effect, resources)


def _build_answer(principal: Principal, statements: Sequence[Statement]) -> Answer:
    return {
        "principalId": principal.object_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [statement.to_json() for statement in statements],
        },
        "context": principal.to_context(),
    }


class PolicyBuilder:
    """Builds the answers for one table of routes."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Take the routes that the authorizer stands in front of.

        Raises:
            RoutesAmbiguous: some caller's policy cannot be written.

        """
        self._routes = tuple(routes)
        self._build_patterns = cache(self._build_patterns_once)
        # A stage and a set of roles: a handful, in a function that serves one API.
        self._build_statements = lru_cache(maxsize=64)(self._build_statements_once)
        # A conflict takes three routes: one that opens too much, one that must be closed again, and
        # one that the closing hits. So every conflict shows with two roles or fewer.
        roles = {route.role for route in routes if route.role is not None}
        for one, other in combinations_with_replacement(sorted(roles), 2):
            self._build_patterns(frozenset({one, other}))

    def build_allow(self, principal: Principal, stage_arn: str, *, is_websocket: bool) -> Answer:
        """Return a policy that opens what the caller's roles open, on the whole stage."""
        statements = (
            self._build_connect_statements(stage_arn)
            if is_websocket
            else self._build_statements(stage_arn, principal.roles)
        )
        return _build_answer(principal, statements)

    def build_deny(self, principal: Principal, stage_arn: str) -> Answer:
        """Return a policy that closes the whole stage, for a proven caller who is not admitted."""
        return _build_answer(principal, (_build_statement("Deny", stage_arn, ("*",)),))

    def build_simple_allow(self, principal: Principal, cached_route_key: str | None) -> Answer:
        """Return a yes or no for an HTTP API with simple responses.

        The gateway reuses the answer for every route that shares the cache key. Unless that is a
        single route, it is yes only for a caller who may use them all.
        """
        affected = [
            route
            for route in self._routes
            if cached_route_key is None or cached_route_key == f"{route.method} {route.path}"
        ]
        if not affected or not all(route.admits(principal.roles) for route in affected):
            return self.build_simple_deny()
        return {"isAuthorized": True, "context": principal.to_context()}

    def build_simple_deny(self) -> Answer:
        """Return a no for an HTTP API with simple responses."""
        return {"isAuthorized": False}

    def _build_patterns_once(self, roles: frozenset[str]) -> RoutePatterns:
        return build_route_patterns(self._routes, roles)

    def _build_statements_once(
        self, stage_arn: str, roles: frozenset[str]
    ) -> tuple[Statement, ...]:
        opened, closed = self._build_patterns(roles)
        allow = _build_statement("Allow", stage_arn, opened)
        return (allow, _build_statement("Deny", stage_arn, closed)) if closed else (allow,)

    @staticmethod
    def _build_connect_statements(stage_arn: str) -> tuple[Statement, ...]:
        return (_build_statement("Allow", stage_arn, ("$connect",)),)
