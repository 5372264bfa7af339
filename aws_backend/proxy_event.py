"""API Gateway's Lambda proxy event (REST APIs, payload format 1.0) as a typed request, and back.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

# As the Function App's proxy takes them; a caller can put anything else into the header.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")

type Headers = Mapping[str, tuple[str, ...]]
"""Field values by lower-case field name (RFC 9110 section 5.1: names have no case)."""


class ProxyEventError(ValueError):
    """The event is not what API Gateway sends for a REST API."""


@dataclass(frozen=True, slots=True)
class BackendRequest:
    """One request, as API Gateway has routed it."""

    method: str
    resource: str
    """The route's path with its `{parameters}` still in braces."""
    path_parameters: Mapping[str, str]
    query: Mapping[str, tuple[str, ...]]
    headers: Headers
    body: bytes
    authorizer: Mapping[str, object] | None
    """What the authorizer left in the request context; None where none stood in front."""
    request_id: str
    domain_name: str | None
    full_path: str
    """The path that the caller used, the stage or the domain's base path included."""


@dataclass(frozen=True, slots=True)
class BackendResponse:
    """One response, before it has API Gateway's shape."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_proxy_response(self) -> dict[str, object]:
        """Return the response as API Gateway takes it; any other member would make it a 502."""
        return {
            "statusCode": self.status,
            # Without it a reader that guesses the type may take a record for a page of its own.
            "headers": {"X-Content-Type-Options": "nosniff", **self.headers},
            "body": self.body,
            "isBase64Encoded": False,
        }


def json_response(
    status: int, document: object, headers: Mapping[str, str] | None = None
) -> BackendResponse:
    """Return a response that holds the document as JSON."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return BackendResponse(status, text, {"Content-Type": "application/json"} | dict(headers or {}))


def parse_proxy_event(event: Mapping[str, object]) -> BackendRequest:
    """Return the request that the event holds.

    What the caller wrote is handed on unchanged: parameters, headers and body are still unverified.

    Raises:
        ProxyEventError: the event has another shape, so it does not come from a REST API.

    """
    context = _mapping(event.get("requestContext"), "requestContext")
    authorizer = context.get("authorizer")
    domain_name = context.get("domainName")
    return BackendRequest(
        method=_text(event.get("httpMethod"), "httpMethod"),
        resource=_text(event.get("resource"), "resource"),
        path_parameters={
            name: _text(value, "pathParameters")
            for name, value in _mapping(event.get("pathParameters"), "pathParameters").items()
        },
        query=_lists(event, "multiValueQueryStringParameters", "queryStringParameters"),
        headers=_lower(_lists(event, "multiValueHeaders", "headers")),
        body=_parse_body(event),
        authorizer=None if authorizer is None else _mapping(authorizer, "authorizer"),
        request_id=str(context.get("requestId", "")),
        domain_name=domain_name if isinstance(domain_name, str) and domain_name else None,
        full_path=str(context.get("path", "")),
    )


class RequestIds(NamedTuple):
    """Under which IDs the two sides log a request; each is empty where it has none."""

    gateways: str
    """API Gateway's, which stands in its access log and in its answer's `x-amzn-RequestId`."""
    callers: str
    """What the caller has put into `x-request-id`; not proven."""


def find_request_ids(event: Mapping[str, object]) -> RequestIds:
    """Return the IDs of a request, whatever is wrong with the rest of the event."""
    context, headers = event.get("requestContext"), event.get("headers")
    gateways = context.get("requestId", "") if isinstance(context, Mapping) else ""
    named = headers.items() if isinstance(headers, Mapping) else ()
    given = next((value for name, value in named if str(name).lower() == "x-request-id"), "")
    is_usable = isinstance(given, str) and _REQUEST_ID.fullmatch(given)
    return RequestIds(str(gateways), given if is_usable else "")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ProxyEventError(f"{name} is no string")
    return value


def _mapping(value: object, name: str) -> Mapping[str, object]:
    # API Gateway writes null for an empty map.
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ProxyEventError(f"{name} is no object")
    return value


def _lists(
    event: Mapping[str, object], many_name: str, one_name: str
) -> Mapping[str, tuple[str, ...]]:
    """Return every value of each name; the event's single-value map would drop all but one."""
    many = event.get(many_name)
    if many is None:
        one = _mapping(event.get(one_name), one_name)
        return {name: (_text(value, one_name),) for name, value in one.items()}
    lists: dict[str, tuple[str, ...]] = {}
    for name, values in _mapping(many, many_name).items():
        if not isinstance(values, list):
            raise ProxyEventError(f"{many_name} holds something that is no list")
        lists[name] = tuple(_text(value, many_name) for value in values)
    return lists


def _lower(headers: Headers) -> Headers:
    lower: dict[str, list[str]] = {}
    for name, values in headers.items():
        lower.setdefault(name.lower(), []).extend(values)
    return {name: tuple(values) for name, values in lower.items()}


def _parse_body(event: Mapping[str, object]) -> bytes:
    body = event.get("body")
    if body is None:
        return b""
    text = _text(body, "body")
    if not event.get("isBase64Encoded"):
        # A lone surrogate has no UTF-8 form; what comes out instead is refused as JSON later.
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProxyEventError("body is not base64") from None
