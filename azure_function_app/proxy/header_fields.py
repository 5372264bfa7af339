"""Says which header fields pass the proxy, in either direction."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import httpx

from azure_function_app.errors import BackendContractError, RequestRefused
from azure_function_app.proxy.request_target import holds_controls

MAX_HEADER_BYTES: Final = 10_240
"""API Gateway's limit on a request's headers."""

FORWARDED_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "prefer",
        "range",
    }
)
"""The request headers that the API gets to see, beside the trace and the request ID."""

# RFC 9110 section 7.6.1, and the fields that are commonly treated alike.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The host counts the body and dates the response itself; credentials have no place in a response.
_NOT_RETURNED: Final = _HOP_BY_HOP | {
    "authorization",
    "content-length",
    "cookie",
    "date",
    "host",
    "server",
    "x-api-key",
    "x-functions-key",
    "x-request-id",
}
_AZURE_PREFIXES: Final = ("x-ms-", "x-arr-", "x-functions-")
# RFC 9110 section 5.6.2: a token.
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_NOT_COUNTED: Final = frozenset({"authorization", "cookie", "host"})
"""With Azure's own, the headers that are meant for the Function App and not for the API."""


def forwarded_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the fields of a caller's request that the API gets to see.

    Raises:
        RequestRefused: they are too large, or one of them holds what a field cannot hold.

    """
    fields = {name.lower(): value for name, value in headers.items()}
    size = sum(
        len(name) + len(value.encode(errors="surrogatepass"))
        for name, value in fields.items()
        if name not in _NOT_COUNTED and not name.startswith(_AZURE_PREFIXES)
    )
    if size > MAX_HEADER_BYTES:
        raise RequestRefused(
            f"The headers are over {MAX_HEADER_BYTES} bytes long.",
            code="request_headers_too_large",
        )
    dropped = _connection_options([fields.get("connection", "")])
    # Without a word on encodings the response must be one that every caller can read.
    fields.setdefault("accept-encoding", "identity")
    for name, value in fields.items():
        if name not in FORWARDED_HEADERS or name in dropped:
            continue
        if not value.isascii() or holds_controls(value.replace("\t", " ")):
            raise RequestRefused(
                f"The header {name} holds a character that a header cannot hold.",
                code="request_header_invalid",
            )
        yield name, value


def returned_headers(headers: httpx.Headers) -> Iterator[tuple[str, str]]:
    """Yield the fields of the API's response that the caller gets, repeated ones joined.

    Raises:
        BackendContractError: one of them holds what the Functions host cannot send; it would
            answer with an empty 500.

    """
    dropped = _NOT_RETURNED | _connection_options(headers.get_list("connection"))
    joined: dict[str, tuple[str, list[str]]] = {}
    for raw_name, raw_value in headers.raw:
        # Latin-1 keeps every byte as one character.
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        key = name.lower()
        if key in dropped or key.startswith(_AZURE_PREFIXES):
            continue
        if not _FIELD_NAME.fullmatch(name):
            raise answer_invalid("with a header that has no name")
        # A tab means a blank (RFC 9110 section 5.6.3), and the host carries none.
        value = value.replace("\t", " ")
        if not value.isascii() or holds_controls(value):
            raise answer_invalid(f"with a header {name} that holds what a header cannot hold")
        if key == "set-cookie":
            yield name, value
        else:
            # The worker keeps only the last of repeated fields; a list says the same in one.
            joined.setdefault(key, (name, []))[1].append(value)
    for name, values in joined.values():
        yield name, ", ".join(values)


def answer_invalid(what: str) -> BackendContractError:
    """Return the error for an answer that no caller can get; `what` says what is wrong with it."""
    return BackendContractError(
        f"The API answered {what}. What was asked of it may have been carried out.",
        code="backend_answer_invalid",
    )


def _connection_options(values: Iterable[str]) -> frozenset[str]:
    return frozenset(
        option.strip().lower() for value in values for option in value.split(",") if option.strip()
    )
