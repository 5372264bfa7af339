"""Whether the policy that the authorizer answers with opens a route to the caller.

The policy is the Lambda's own, made by its own builder, and read here as IAM reads it: an explicit
Deny counts before an Allow, and what no statement names is closed.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_authorizer.explanation.explained_checks import Explanation, Outcome
from aws_authorizer.policy_document import PolicyBuilder
from shared.routes import PROTECTED_ROUTES, ROUTES, Route

_STAGE_ARN: Final = "arn:aws:execute-api:eu-west-1:123456789012:api/stage"
"""Any: a policy says of each stage the same."""
_PARAMETER: Final = re.compile(r"\{[^/{}]+\}")
_SAMPLE: Final = "x"


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """What a token's policy says of one route."""

    route: str
    """As the table of routes has it."""
    is_open: bool
    needed_role: str | None
    """The app role that opens it; None where no token is needed."""


def find_route(asked: str) -> tuple[Route, str] | None:
    """Return the route that serves a method and a path, and the path; None if there is none.

    The path may be a real one, or one with parameters, as the table has it.
    """
    method, _, path = asked.strip().partition(" ")
    path = path.strip().partition("?")[0]
    # A literal segment counts before a parameter, as in the gateway.
    for route in sorted(ROUTES, key=lambda route: route.path.count("{")):
        pattern = _PARAMETER.sub("[^/]+", re.sub(r"[.+]", r"\\\g<0>", route.path))
        if route.method == method.upper() and re.fullmatch(pattern, path):
            return route, _PARAMETER.sub(_SAMPLE, path)
    return None


def list_routes() -> str:
    """Return every route, for a person."""
    return ", ".join(f"{route.method} {route.path}" for route in ROUTES)


def judge_route(route: Route, path: str, explanation: Explanation) -> RouteAccess:
    """Return whether the token's policy opens the route.

    Where no signature was checked it is said of the caller whom the token names. A caller who is
    rejected gets no policy, and one who is denied gets one that closes everything.
    """
    named = f"{route.method} {route.path}"
    if route.role is None:
        return RouteAccess(named, is_open=True, needed_role=None)
    is_open = False
    if explanation.principal is not None and explanation.outcome in {
        Outcome.ALLOWED,
        Outcome.UNDECIDED,
    }:
        answer = PolicyBuilder(PROTECTED_ROUTES).build_allow(
            explanation.principal, _STAGE_ARN, is_websocket=False
        )
        is_open = is_allowed(answer, f"{_STAGE_ARN}/{route.method}{path}")
    return RouteAccess(named, is_open=is_open, needed_role=route.role.value)


def is_allowed(answer: Mapping[str, Any], method_arn: str) -> bool:
    """Return whether the answer's policy allows a call to the method."""
    effects = {
        statement["Effect"]
        for statement in answer["policyDocument"]["Statement"]
        for resource in statement["Resource"]
        if _matches(resource, method_arn)
    }
    return effects == {"Allow"}


def _matches(pattern: str, method_arn: str) -> bool:
    """Return whether `*` for any characters and `?` for one of them make the pattern the ARN."""
    expression = "".join(
        {"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern
    )
    return re.fullmatch(expression, method_arn, re.DOTALL) is not None
