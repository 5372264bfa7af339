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

from aws_authorizer.errors import Reason, TokenRejected, Undecided
from aws_authorizer.method_arn import MethodArn, parse_method_arn

_HEADER: Final = "authorization"
_SCHEME: Final = "bearer "
_VERSIONS: Final = (None, "1.0", "2.0")


class AuthorizerRequest(NamedTuple):
    """One call that wants to be let in."""

    method_arn: MethodArn
    authorization: str | None
    """The value of the Authorization header, if there is exactly one; None without any."""
    has_several: bool
    """Whether there was more than one Authorization header, which makes none of them usable."""
    is_payload_v2: bool
    """Whether an HTTP API asks in format 2.0, which alone knows simple responses."""
    cached_route_key: str | None
    """The one route for which the gateway reuses the answer (`$context.routeKey`), or None."""


def _read_values(event: Mapping[str, object]) -> list[object]:
    """Every value of the Authorization header, whatever the spelling of its name."""
    found: list[object] = []
    # The multi-value map shows what the other one hides: it keeps the last of several alone.
    for name in ("multiValueHeaders", "headers"):
        headers = event.get(name)
        if isinstance(headers, dict) and not found:
            for key, value in headers.items():
                if isinstance(key, str) and key.lower() == _HEADER:
                    found.extend(value if isinstance(value, list) else [value])
    return found


def _parse_rest_token(event: Mapping[str, object], arn: MethodArn) -> AuthorizerRequest:
    value = event.get("authorizationToken")
    text = value if isinstance(value, str) else None
    return AuthorizerRequest(
        arn, text, has_several=False, is_payload_v2=False, cached_route_key=None
    )


def _parse_request(
    event: Mapping[str, object], arn: MethodArn, *, is_payload_v2: bool
) -> AuthorizerRequest:
    values = [value for value in _read_values(event) if value is not None]
    value = values[0] if len(values) == 1 else None
    authorization = value if isinstance(value, str) else None
    sources = event.get("identitySource") if is_payload_v2 else None
    cached_route_key = None
    if isinstance(sources, list) and sources:
        # The gateway caches by these. Were the token not among them, one caller's answer would
        # serve whoever sends the same other values.
        if authorization is not None and authorization not in sources:
            raise Undecided(Reason.IDENTITY_SOURCE, "the gateway caches by something else")
        route_key = event.get("routeKey")
        cached_route_key = (
            route_key if isinstance(route_key, str) and route_key in sources else None
        )
    return AuthorizerRequest(arn, authorization, len(values) > 1, is_payload_v2, cached_route_key)


def parse_authorizer_event(event: object) -> AuthorizerRequest:
    """The call that the event describes. Its token is not looked at.

    Raises:
        Undecided: API Gateway sends no such event to an authorizer, or its authorizer is set up so
            that the answer would be reused for other callers.

    """
    if not isinstance(event, dict):
        raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "no object")
    kind, version = event.get("type"), event.get("version")
    is_payload_v2 = version == "2.0"
    text = event.get("routeArn" if is_payload_v2 else "methodArn")
    try:
        arn = parse_method_arn(text if isinstance(text, str) else "")
    except ValueError:
        raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "no method ARN") from None
    if kind == "TOKEN" and version is None:
        return _parse_rest_token(event, arn)
    if kind == "REQUEST" and version in _VERSIONS:
        return _parse_request(event, arn, is_payload_v2=is_payload_v2)
    raise Undecided(Reason.EVENT_NOT_UNDERSTOOD, "unknown type or version")


def parse_bearer_token(request: AuthorizerRequest) -> str:
    """What follows `Bearer` in the header (RFC 6750 section 2.1, RFC 9110 section 11.4).

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
