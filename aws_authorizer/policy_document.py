"""The answers that API Gateway understands: an IAM policy, or a simple yes or no.

API Gateway caches the policy by token and evaluates it anew for each request. So it says what the
caller may do on the whole stage, not what was asked for just now, and no text of the request ever
stands in it.

Policy format: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
Wildcards: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from aws_authorizer.errors import Reason, Undecided
from shared.principal import Principal
from shared.routes import Route

type Answer = dict[str, object]
"""What the Lambda function returns."""

MAX_RESOURCE_CHARACTERS: Final = 512
"""API Gateway's limit for one `Resource`."""

_ACTION: Final = "execute-api:Invoke"
_PARAMETER: Final = re.compile(r"\{[^{}/]+\}")


class RoutesAmbiguous(ValueError):
    """No policy can open one route and close another, because their wildcards overlap."""


def _pattern(route: Route) -> str:
    """The route as a policy writes it. A `*` there matches slashes too."""
    return f"{route.method}{_PARAMETER.sub('*', route.path)}"


def _reaches(pattern: str, route: Route) -> bool:
    """Whether the policy pattern matches any request that the gateway serves by the route.

    A parameter in the route stands for one segment or, as `{name+}`, for what is left of the path.
    """
    # The route as a row of characters, a parameter being one that may repeat: "\1" is anything but
    # a slash, "\2" anything.
    path = re.sub(r"\{[^{}/]+\+\}", "\2", route.path)
    served = route.method + _PARAMETER.sub("\1", path)

    @cache
    def meets(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(served)
        is_wildcard = pattern[i] == "*"
        if j == len(served):
            return is_wildcard and meets(i + 1, j)
        is_parameter = served[j] in "\1\2"
        fits = (
            is_wildcard
            or pattern[i] == served[j]
            or (is_parameter and (pattern[i] != "/" or served[j] == "\2"))
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

    return meets(0, 0)


def _takes_over(named: Route, served: Route) -> bool:
    """Whether `named` serves every request of `served` that its pattern matches.

    The gateway prefers a literal segment to a parameter, from the left. With as many segments on
    both sides, a wildcard has no slash left to cross.
    """
    ours, theirs = named.path.split("/"), served.path.split("/")
    if len(ours) != len(theirs) or "+}" in named.path + served.path:
        return False
    return [part.startswith("{") for part in ours] < [part.startswith("{") for part in theirs]


def _hits(named: Route, served: Route) -> bool:
    """Whether naming one route in a policy also covers requests that are served by the other."""
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


def build_route_patterns(routes: Sequence[Route], roles: frozenset[str]) -> RoutePatterns:
    """The patterns for a caller with these roles.

    Raises:
        RoutesAmbiguous: closing a route would close one that the caller may use.

    """
    admitted = [route for route in routes if route.admits(roles)]
    opened = tuple(dict.fromkeys(map(_pattern, admitted)))
    closed = [
        route
        for route in routes
        if not route.admits(roles) and any(_hits(other, route) for other in admitted)
    ]
    for refused in closed:
        for route in admitted:
            if _hits(refused, route):
                raise RoutesAmbiguous(f"closing {refused.path} would close {route.path}")
    return RoutePatterns(opened, tuple(map(_pattern, closed)))


def _statement(effect: str, stage_arn: str, patterns: Sequence[str]) -> dict[str, object]:
    resources = [f"{stage_arn}/{pattern}" for pattern in patterns]
    if max(map(len, resources)) > MAX_RESOURCE_CHARACTERS:
        raise Undecided(Reason.INTERNAL_ERROR, "a Resource is too long for API Gateway")
    return {"Action": _ACTION, "Effect": effect, "Resource": resources}


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
        roles = [route.role for route in routes if route.role is not None]
        for one in roles:
            for other in roles:
                self._build_patterns(frozenset({one, other}))

    def build_allow(self, principal: Principal, stage_arn: str, *, is_websocket: bool) -> Answer:
        """A policy that opens what the caller's roles open, on the whole stage."""
        statements = (
            self._build_connect_statements(stage_arn)
            if is_websocket
            else self._build_statements(stage_arn, principal.roles)
        )
        return {
            "principalId": principal.object_id,
            "policyDocument": {"Version": "2012-10-17", "Statement": statements},
            "context": principal.to_context(),
        }

    def build_deny(self, principal: Principal, stage_arn: str) -> Answer:
        """A policy that closes the whole stage, for a proven caller who is not admitted."""
        statement = _statement("Deny", stage_arn, ("*",))
        return {
            "principalId": principal.object_id,
            "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "context": principal.to_context(),
        }

    def build_simple_allow(self, principal: Principal, cached_route_key: str | None) -> Answer:
        """A yes or no for an HTTP API with simple responses.

        The gateway reuses the answer for every route that shares the cache key. Unless that is one
        route alone, it is yes only for a caller who may use them all.
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
        """A no for an HTTP API with simple responses."""
        return {"isAuthorized": False}

    def _build_patterns_once(self, roles: frozenset[str]) -> RoutePatterns:
        return build_route_patterns(self._routes, roles)

    def _build_statements_once(
        self, stage_arn: str, roles: frozenset[str]
    ) -> list[dict[str, object]]:
        opened, closed = self._build_patterns(roles)
        statements = [_statement("Allow", stage_arn, opened)]
        if closed:
            statements.append(_statement("Deny", stage_arn, closed))
        return statements

    @staticmethod
    def _build_connect_statements(stage_arn: str) -> list[dict[str, object]]:
        return [_statement("Allow", stage_arn, ("$connect",))]
