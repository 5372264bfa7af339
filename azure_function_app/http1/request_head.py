"""A request's first bytes, up to its body: written so that they can be read in one way only."""

import re
from typing import Final, Literal, NamedTuple

import httpx

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(rb"/[!-~]*|\*")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
# Field values are visible characters, blanks, tabs and bytes of UTF-8 (RFC 9110 section 5.5).
_VALUE_BYTES: Final = bytes([9, *range(32, 127), *range(128, 256)])
# Names that were found to be tokens; a client sends few different ones.
_known_names: set[bytes] = set()
_KNOWN_NAMES_LIMIT: Final = 512


class RequestHead(NamedTuple):
    """The head, and how the body after it is told from what follows (RFC 9112 section 6)."""

    content: bytes
    length: int | Literal["chunked"]
    """Bytes of the body, 0 where there is none."""


def write_request_head(request: httpx.Request) -> RequestHead:
    """Return the request's head, with each field's name in lower case.

    Raises:
        httpx.LocalProtocolError: a method, target or field that would be read as something else,
            another number of Host fields than one (RFC 9112 section 3.2), or more than one way to
            tell the body's length.

    """
    method = request.method.encode("ascii", "replace")
    target = request.url.raw_path
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise httpx.LocalProtocolError("The method or the target cannot be sent.", request=request)
    pieces = [method, b" ", target, b" HTTP/1.1\r\n"]
    lengths: list[bytes] = []
    codings: list[bytes] = []
    hosts = 0
    values = []
    for raw_name, value in request.headers.raw:
        name = raw_name.lower()
        if name not in _known_names:
            _check_name(name, request)
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"host":
            hosts += 1
        values.append(value)
        pieces += (name, b": ", value, b"\r\n")
    if b"".join(values).translate(None, _VALUE_BYTES):
        raise httpx.LocalProtocolError("A header holds a control character.", request=request)
    if hosts != 1:
        raise httpx.LocalProtocolError("The request does not name one host.", request=request)
    pieces.append(b"\r\n")
    return RequestHead(b"".join(pieces), _body_length(lengths, codings, request))


def _check_name(name: bytes, request: httpx.Request) -> None:
    if not _TOKEN.fullmatch(name):
        raise httpx.LocalProtocolError("A header's name cannot be sent.", request=request)
    if len(_known_names) < _KNOWN_NAMES_LIMIT:
        _known_names.add(name)


def _body_length(
    lengths: list[bytes], codings: list[bytes], request: httpx.Request
) -> int | Literal["chunked"]:
    match lengths, codings:
        case [], []:
            return 0
        case [length], [] if _LENGTH.fullmatch(length):
            return int(length)
        case [], [coding] if coding.lower() == b"chunked":
            return "chunked"
        case _:
            raise httpx.LocalProtocolError(
                "The request does not say in one way how long its body is.", request=request
            )
