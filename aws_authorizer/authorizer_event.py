"""Reads every kind of event that API Gateway sends to an authorizer.

    REST API         TOKEN     `authorizationToken`, `methodArn`
    REST API         REQUEST   `headers`, `multiValueHeaders`, `methodArn`
    HTTP API, 1.0    REQUEST   the same, and `version`
    HTTP API, 2.0    REQUEST   `headers` in lower case, repeats joined by commas, `routeArn`
    WebSocket API    REQUEST   as REST, with `$connect` in place of method and path

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aws_authorizer.errors import TokenRejected, Undecided
from aws_authorizer.method_arn import MethodArn, parse_method_arn
from shared.reasons import Reason

_HEADER: Final = "authorization"
_SCHEME: Final = "bearer "


class AuthorizerRequest(NamedTuple):
    """One call that wants to be let in."""

    method_arn: MethodArn
    authorization: str | None
    """The value of the Authorization header, if there is exactly one; None without any."""
    has_several: bool
    """Whether there was more than one Authorization header, which makes none of them usable."""
    is_http_api: bool = False
    """Whether an HTTP API asks, in either format; if not, a REST or WebSocket API does."""
    is_payload_v2: bool = False
    """Whether an HTTP API asks in format 2.0, the only one with simple responses."""
    route_key: str | None = None
    """The route by which an HTTP API serves the call (format 2.0), or None."""
    identity_sources: str | tuple[str, ...] | None = None
    """The request's values by which an HTTP API caches the answer; None if it caches nothing.
    Format 1.0 joins them by commas. They are the caller's words; nothing says which is which."""

    def has_identity_source(self, value: str) -> bool:
        """Return whether one of the identity sources has this value."""
        sources = self.identity_sources
        if isinstance(sources, str):
            return f",{value}," in f",{sources},"
        return sources is not None and value in sources


def _read_values(event: Mapping[str, object]) -> list[object]:
    """Return every value of the Authorization header, whatever the spelling of its name."""
    found: list[object] = []
    # The multi-value map shows what the other one hides: of several it keeps only the last.
    for name in ("multiValueHeaders", "headers"):
        headers = event.get(name)
        if isinstance(headers, dict) and not found:
            for key, value in headers.items():
                if isinstance(key, str) and key.lower() == _HEADER:
                    found.extend(value if isinstance(value, list) else [value])
    return found


def _read_identity_sources(event: Mapping[str, object]) -> str | tuple[str, ...] | None:
    sources = event.get("identitySource")
    if not sources:
        return None  # nothing is cached without one
    if isinstance(sources, str):
        return sources
    if not isinstance(sources, list) or not all(isinstance(value, str) for value in sources):
        raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "identity sources that are no text")
    return tuple(sources)


def _read_arn(event: Mapping[str, object], member: str) -> MethodArn:
    text = event.get(member)
    try:
        return parse_method_arn(text if isinstance(text, str) else "")
    except ValueError:
        raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "no method ARN") from None


def _parse_rest_token(event: Mapping[str, object], arn: MethodArn) -> AuthorizerRequest:
    value = event.get("authorizationToken")
    return AuthorizerRequest(arn, value if isinstance(value, str) else None, has_several=False)


def _parse_request(event: Mapping[str, object], arn: MethodArn) -> AuthorizerRequest:
    values = [value for value in _read_values(event) if value is not None]
    value = values[0] if len(values) == 1 else None
    return AuthorizerRequest(
        arn, value if isinstance(value, str) else None, has_several=len(values) > 1
    )


def parse_authorizer_event(event: object) -> AuthorizerRequest:
    """Return the call that the event describes. Its token is not looked at.

    Raises:
        Undecided: API Gateway sends no such event to an authorizer, or its authorizer is set up so
            that the answer would be reused for other callers.

    """
    if not isinstance(event, dict):
        raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "no object")
    match event.get("type"), event.get("version"):
        case "TOKEN", None:
            return _parse_rest_token(event, _read_arn(event, "methodArn"))
        case "REQUEST", None:
            return _parse_request(event, _read_arn(event, "methodArn"))
        case "REQUEST", "1.0":
            request = _parse_request(event, _read_arn(event, "methodArn"))
        case "REQUEST", "2.0":
            route_key = event.get("routeKey")
            request = _parse_request(event, _read_arn(event, "routeArn"))._replace(
                is_payload_v2=True, route_key=route_key if isinstance(route_key, str) else None
            )
        case _:
            raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "unknown type or version")
    request = request._replace(is_http_api=True, identity_sources=_read_identity_sources(event))
    # An HTTP API caches by these. Were the token not among them, one caller's answer would serve
    # everybody who sends the same other values.
    authorization, is_cached = request.authorization, request.identity_sources is not None
    if is_cached and authorization and not request.has_identity_source(authorization):
        raise Undecided(Reason.IDENTITY_SOURCE, "the gateway caches by something else")
    return request


def parse_bearer_token(request: AuthorizerRequest) -> str:
    """Return what follows `Bearer` in the header (RFC 6750 section 2.1, RFC 9110 section 11.4).

    Whether it is a token of any kind is not checked.

    Raises:
        TokenRejected: there is no Authorization header, more than one, or another scheme.

    """
    if request.has_several:
        raise TokenRejected(Reason.SEVERAL_TOKENS)
    authorization = request.authorization
    if not authorization:
        raise TokenRejected(Reason.NO_TOKEN)
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        raise TokenRejected(Reason.NOT_BEARER)
    return authorization[len(_SCHEME) :].lstrip(" ")
