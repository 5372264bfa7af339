"""Says why the API refused a token of our own: by what its response shows, and no further.

Which layer refused decides where the reason is. The gateway's authorizer logs it; the gateway's own
policy check, which a cached policy is enough for, logs none at all, but a route's role is known
here; and a 403 of anybody else, a firewall's say, has nothing to do with roles, nor with the token.
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
FIREWALL_CODE: Final = "backend_firewall"
API_KEY_CODE: Final = "backend_api_key"
_MAX_RESPONSE_BYTES: Final = 2_048

AUTHORIZER_CODE: Final = "token_rejected"
POLICY_CODE: Final = "access_denied"
NO_API_KEY_CODE: Final = "api_key_refused"
FILTERED_CODE: Final = "request_filtered"
"""In the problem documents of the template's gateway responses, beside the gateway's header."""
BACKEND_CODE: Final = Reason.MISSING_ROLE.value
"""In the backend's problem document."""


class RefusedBy(StrEnum):
    """Who answered 401 or 403."""

    AUTHORIZER = "authorizer"
    POLICY = "policy"
    BACKEND = "backend"
    API_KEY = "api_key"
    """The gateway, for want of a good API key."""
    FIREWALL = "firewall"
    """A firewall, at the gateway or at what stands in front of it."""
    ELSEWHERE = "elsewhere"


# The gateway's own name for its response, and the template's; a gateway that somebody configured
# differently keeps only the first, and a proxy on the way may drop it.
_BY_ERROR_TYPE: Final[Mapping[tuple[int, str], RefusedBy]] = {
    (401, "UnauthorizedException"): RefusedBy.AUTHORIZER,
    (403, "AccessDeniedException"): RefusedBy.POLICY,
    (403, "WafFilteredException"): RefusedBy.FIREWALL,
}
_BY_CODE: Final[Mapping[tuple[int, str], RefusedBy]] = {
    (401, AUTHORIZER_CODE): RefusedBy.AUTHORIZER,
    (403, POLICY_CODE): RefusedBy.POLICY,
    (403, BACKEND_CODE): RefusedBy.BACKEND,
    (403, NO_API_KEY_CODE): RefusedBy.API_KEY,
    (403, FILTERED_CODE): RefusedBy.FIREWALL,
}
# The gateway has one name for two refusals; only the template's words tell them apart.
_AMBIGUOUS: Final = "ForbiddenException"
_AMBIGUOUS_CODES: Final = frozenset({NO_API_KEY_CODE, FILTERED_CODE})
# CloudFront and load balancers answer a firewall's refusals themselves, in HTML; the gateway, which
# they stand in front of, would have given the request an ID.
_FRONTS: Final = ("cloudfront", "awselb/")
_FRONT_CACHE: Final = "error from cloudfront"
_ELSEWHERE_ADVICE: Final[Mapping[str, str]] = {
    "MissingAuthenticationTokenException": "the gateway has no such route: check that"
    " AWS_API_BASE_URL names this API and its stage",
    # What the same gateway says where the request has an Authorization header.
    "IncompleteSignatureException": "the gateway has no such route: check that AWS_API_BASE_URL"
    " names this API and its stage",
    "InvalidSignatureException": "the gateway expects AWS's own signatures here: check that"
    " AWS_API_BASE_URL names this API and its stage",
    _AMBIGUOUS: "the gateway wants an API key (AWS_API_KEY, or USAGE_PLAN_KEYS of the authorizer),"
    " or a firewall at the gateway refused the request: its log says which",
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
    refused_by = _refused_by(response, error_type, problem_code)
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
            "advice": _advice(refused_by, error_type, words),
            "aws_request_id": response.headers.get("x-amzn-requestid"),
            "error_type": response.headers.get("x-amzn-errortype"),
            "challenge": response.headers.get("www-authenticate"),
            "answer": response.content[:_MAX_RESPONSE_BYTES].decode(errors="replace"),
        },
    )


def _refused_by(response: Refusal, error_type: str, problem_code: str | None) -> RefusedBy:
    status = response.status_code
    by_error_type = _BY_ERROR_TYPE.get((status, error_type))
    if by_error_type is not None:
        return by_error_type
    # An error type that says something else outweighs a body, which anybody can word like ours.
    if error_type and not (error_type == _AMBIGUOUS and problem_code in _AMBIGUOUS_CODES):
        return RefusedBy.ELSEWHERE
    if problem_code is not None:
        return _BY_CODE.get((status, problem_code), RefusedBy.ELSEWHERE)
    return RefusedBy.FIREWALL if _is_of_a_front(response) else RefusedBy.ELSEWHERE


def _is_of_a_front(response: Refusal) -> bool:
    headers = response.headers
    return (
        response.status_code == HTTPStatus.FORBIDDEN
        and "x-amzn-requestid" not in headers
        and headers.get("content-type", "").lower().startswith("text/html")
        and (
            headers.get("server", "").lower().startswith(_FRONTS)
            or headers.get("x-cache", "").lower() == _FRONT_CACHE
        )
    )


def _advice(refused_by: RefusedBy, error_type: str, words: "_Words") -> str:
    if refused_by is RefusedBy.ELSEWHERE:
        return _ELSEWHERE_ADVICE.get(error_type, words.advice)
    return words.advice


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
        case RefusedBy.POLICY | RefusedBy.BACKEND:
            return _role_words(refused_by, refused, route, has_role=has_role)
        case RefusedBy.API_KEY:
            return _Words(
                f"{place} needs an API key that the API accepts; this Function App's log says where"
                " to set it.",
                "AWS_API_KEY must be a key of a usage plan with the API's stage; where the"
                " authorizer names the keys, its USAGE_PLAN_KEYS must have one for this app",
                API_KEY_CODE,
            )
        case RefusedBy.FIREWALL:
            return _Words(
                f"{place} was refused by a firewall in front of the API, whatever the token; this"
                " Function App's log has the answer.",
                "look for the request in the log of the web ACL at the API's stage, or at the"
                " CloudFront distribution or load balancer in front of it; rules look at the"
                " body's size, its contents, the address and the rate",
                FIREWALL_CODE,
            )
        case RefusedBy.ELSEWHERE:
            elsewhere = (
                f"{place} was answered with {status} by something other than the API's own checks;"
                " this Function App's log has the answer."
            )
            advice = "the answer is not the API's own: look at what stands in front of it"
            is_about_token = status == HTTPStatus.UNAUTHORIZED
            return _Words(elsewhere, advice, None if is_about_token else FORBIDDEN_CODE)
        case _:
            assert_never(refused_by)


def _role_words(
    refused_by: RefusedBy, refused: str, route: Route, *, has_role: bool | None
) -> _Words:
    if route.role is None:
        return _Words(
            f"{refused}, although this route needs no app role.",
            "the routes that the API was deployed with are not this Function App's: deploy both"
            " from one version",
        )
    message = _role_message(refused, route, has_role=has_role)
    if refused_by is RefusedBy.POLICY:
        return _Words(message, _POLICY_ADVICE[has_role])
    return _Words(
        message,
        "the authorizer's policy let through what the backend refuses: deploy both from one"
        " version",
    )


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
