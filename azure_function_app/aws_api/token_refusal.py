"""Says why the API refused a token of our own: by what its response shows, and no further.

Which layer refused decides where the reason is. The gateway's authorizer logs it; the gateway's own
policy check, which a cached policy is enough for, logs none at all, but a route's role is known
here; and a 403 of anybody else, a firewall's say, has nothing to do with roles.
"""

import logging
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol, assert_never

import httpx

from azure_function_app.errors import TokenRefused
from shared.log import log_event
from shared.reasons import Reason
from shared.routes import Role, Route

_logger = logging.getLogger(__name__)

REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
"""The statuses that can mean our token, since the caller's own never reaches the API."""
FORBIDDEN_CODE: Final = "backend_forbidden"
_MAX_RESPONSE_BYTES: Final = 2_048

AUTHORIZER_CODE: Final = "token_rejected"
POLICY_CODE: Final = "access_denied"
"""In the problem documents of the template's gateway responses, beside the gateway's header."""
BACKEND_CODE: Final = Reason.MISSING_ROLE.value
"""In the backend's problem document."""


class RefusedBy(StrEnum):
    """Who answered 401 or 403."""

    AUTHORIZER = "authorizer"
    POLICY = "policy"
    BACKEND = "backend"
    ELSEWHERE = "elsewhere"


# The gateway's own name for its response, and the template's; a gateway that somebody configured
# differently keeps only the first, and a proxy on the way may drop it.
_BY_ERROR_TYPE: Final[Mapping[tuple[int, str], RefusedBy]] = {
    (401, "UnauthorizedException"): RefusedBy.AUTHORIZER,
    (403, "AccessDeniedException"): RefusedBy.POLICY,
}
_BY_CODE: Final[Mapping[tuple[int, str], RefusedBy]] = {
    (401, AUTHORIZER_CODE): RefusedBy.AUTHORIZER,
    (403, POLICY_CODE): RefusedBy.POLICY,
    (403, BACKEND_CODE): RefusedBy.BACKEND,
}
_ELSEWHERE_ADVICE: Final[Mapping[str, str]] = {
    "MissingAuthenticationTokenException": "the gateway has no such route: check that"
    " AWS_API_BASE_URL names this API and its stage",
    # What the same gateway says where the request has an Authorization header.
    "IncompleteSignatureException": "the gateway has no such route: check that AWS_API_BASE_URL"
    " names this API and its stage",
    "InvalidSignatureException": "the gateway expects AWS's own signatures here: check that"
    " AWS_API_BASE_URL names this API and its stage",
    "ForbiddenException": "the gateway wants an API key, or a firewall refused the request",
    "WafFilteredException": "a firewall refused the request",
}


class Refusal(Protocol):
    """What a response of the API shows."""

    @property
    def status_code(self) -> int:
        """Return the status, 401 or 403."""

    @property
    def headers(self) -> httpx.Headers:
        """Return the header fields."""

    @property
    def content(self) -> bytes:
        """Return the body."""

    @property
    def token_roles(self) -> frozenset[str] | None:
        """Return the roles in the token that was sent; None if they could not be read."""


def explain_refusal(
    response: Refusal, problem_code: str | None, route: Route, *, code: str | None = None
) -> TokenRefused:
    """Return the error that a 401 or 403 means on this route, by `code` if one is given.

    Its message may be shown to a caller: it names the route and its app role, both of which stand
    in the API's description (docs/openapi.yaml). Everything else is in its evidence, for our log.
    Neither holds the token.
    """
    error_type = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    refused_by = _refused_by(response.status_code, error_type, problem_code)
    has_role = None if response.token_roles is None else route.admits(response.token_roles)
    held = None if response.token_roles is None else [r for r in Role if r in response.token_roles]
    words = _words(refused_by, response.status_code, route, has_role=has_role)
    return TokenRefused(
        words.message,
        status=response.status_code,
        code=code or words.code,
        evidence={
            "refused_by": refused_by,
            "route": f"{route.method} {route.path}",
            "needed_role": route.role,
            "token_has_role": has_role,
            "token_roles": held,
            "advice": _ELSEWHERE_ADVICE.get(error_type, words.advice),
            "aws_request_id": response.headers.get("x-amzn-requestid"),
            "error_type": response.headers.get("x-amzn-errortype"),
            "challenge": response.headers.get("www-authenticate"),
            "answer": response.content[:_MAX_RESPONSE_BYTES].decode(errors="replace"),
        },
    )


def _refused_by(status: int, error_type: str, problem_code: str | None) -> RefusedBy:
    by_error_type = _BY_ERROR_TYPE.get((status, error_type))
    if by_error_type is not None:
        return by_error_type
    # An error type that says something else outweighs a body, which anybody can word like ours.
    if error_type or problem_code is None:
        return RefusedBy.ELSEWHERE
    return _BY_CODE.get((status, problem_code), RefusedBy.ELSEWHERE)


class _Words(NamedTuple):
    message: str
    """For anybody."""
    advice: str
    """For readers of our log."""
    code: str | None = None
    """The error's code, where it is not the usual one."""


def _words(refused_by: RefusedBy, status: int, route: Route, *, has_role: bool | None) -> _Words:
    place = f"{route.method} {route.path}"
    refused = f"The API refused this Function App's own token for {place}"
    match refused_by:
        case RefusedBy.AUTHORIZER:
            return _Words(
                f"{refused}: it did not take the token for a genuine and current one of this API."
                " This Function App's log has the API's request ID, and the API's log the reason.",
                "find the request ID in the gateway's access log, and the reason in the"
                " authorizer's; where that has none, the gateway refused the token by its form",
            )
        case RefusedBy.POLICY | RefusedBy.BACKEND if route.role is None:
            return _Words(
                f"{refused}, although this route needs no app role.",
                "the routes that the API was deployed with are not this Function App's: deploy both"
                " from one version",
            )
        case RefusedBy.POLICY:
            return _Words(
                _role_message(refused, route, has_role=has_role), _POLICY_ADVICE[has_role]
            )
        case RefusedBy.BACKEND:
            return _Words(
                _role_message(refused, route, has_role=has_role),
                "the authorizer's policy let through what the backend refuses: deploy both from one"
                " version",
            )
        case RefusedBy.ELSEWHERE:
            elsewhere = (
                f"{place} was answered with {status} by something other than the API's own checks;"
                " this Function App's log has the answer."
            )
            advice = "the answer is not the API's own: look at what stands in front of it"
            if status == HTTPStatus.UNAUTHORIZED:
                return _Words(elsewhere, advice)
            return _Words(elsewhere, advice, FORBIDDEN_CODE)
        case _:
            assert_never(refused_by)


_POLICY_ADVICE: Final[Mapping[bool | None, str]] = {
    True: "the token has the role: check that ALLOWED_CLIENT_IDS of the authorizer names this app's"
    " identity, and that no resource policy of the API forbids the call",
    False: "assign the role to this app's identity, and wait until its token is renewed",
    None: "check that the role is assigned to this app's identity, and that ALLOWED_CLIENT_IDS of"
    " the authorizer names it",
}
"""By whether the token has the role, as far as that is known."""


def _role_message(refused: str, route: Route, *, has_role: bool | None) -> str:
    if has_role:
        return (
            f"{refused}. The token has the app role that this needs, {route.role}, so the reason is"
            " another one; this Function App's log says what to check."
        )
    return (
        f"{refused}, which needs the app role {route.role}; assign it to this app's identity, then"
        " wait until its token is renewed (a managed identity's is cached for up to 24 hours)."
    )


def log_refusal(error: TokenRefused) -> None:
    """Log one warning with everything that the error knows."""
    log_event(
        _logger,
        logging.WARNING,
        "token_refused",
        code=error.code,
        message=str(error),
        status=error.status,
        **error.evidence,
    )
