"""Where a token may go: the API's own scheme, host, port and base path, and nowhere else.

A path that a caller supplies can leave them in more ways than one: an absolute URL, `..` in any
spelling, a backslash that somebody on the way takes for a slash, a line break that ends a header.
So the path is checked as it was given, before anything else happens, and the final URL once more.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self
from urllib.parse import unquote

import httpx

from azure_function_app.errors import RequestRefused

# What almost every path looks like; none of the ways out can be spelled with these.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~:@$-][A-Za-z0-9._~:@$-]*)+/?|/")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_API_ID: Final = "x-apigw-api-id"
_NAMING: Final = frozenset({b"host", _API_ID.encode()})
_NAMING_LENGTHS: Final = frozenset(map(len, _NAMING))
_DECODINGS: Final = 3
"""How many times a path may be percent-encoded in itself before it is refused unread."""


def check_path(path: str) -> None:
    """Pass a path that stays where it is put, however often somebody on the way decodes it.

    Raises:
        RequestRefused: it is no absolute path, holds an empty, `.` or `..` segment, a backslash or
            a control character, plain or encoded, or is no valid percent-encoding.

    """
    if _PLAIN_PATH.fullmatch(path):
        return
    if not path.startswith("/") or path.startswith("//") or "?" in path or "#" in path:
        raise RequestRefused("The path must begin with one slash and be only a path.")
    decoded = path
    for _ in range(_DECODINGS):
        _check_decoded(decoded)
        if decoded == (decoded := unquote(decoded)):
            break
    else:
        raise RequestRefused("The path is percent-encoded several times over.")
    if _STRAY_PERCENT.search(path):
        raise RequestRefused("The path holds a percent sign that encodes nothing.")


def _check_decoded(path: str) -> None:
    if "\\" in path or _CONTROL.search(path):
        raise RequestRefused("The path holds a backslash or a control character.")
    *segments, last = path.split("/")[1:]
    # Some servers cut a segment's parameters off (`..;x`) before they resolve it.
    names = {segment.partition(";")[0] for segment in [*segments, last]}
    if "" in segments or names & {".", ".."}:
        raise RequestRefused("The path holds an empty, '.' or '..' segment.")


def check_query(query: str) -> None:
    """Pass a query string that ends where it seems to.

    Raises:
        RequestRefused: it holds a fragment or a control character.

    """
    if "#" in query or _CONTROL.search(query):
        raise RequestRefused("The query holds a fragment or a control character.")


# A proxy asks for the same few paths again and again, and parsing is a tenth of a call's cost.
@lru_cache(maxsize=256)
def _checked_url(base_url: str, path: str, query: str) -> httpx.URL:
    check_path(path)
    check_query(query)
    try:
        return httpx.URL(f"{base_url}{path}?{query}" if query else base_url + path)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise RequestRefused("The path or the query makes no URL.") from error


def _naming_fields(request: httpx.Request) -> tuple[tuple[bytes, bytes], ...]:
    """Return the fields that say which API is meant, each as often as it is there."""
    found = [
        (name.lower(), value)
        for name, value in request.headers.raw
        if len(name) in _NAMING_LENGTHS and name.lower() in _NAMING
    ]
    return tuple(found) if len(found) == 1 else tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Destination:
    """The API's base URL, taken apart once."""

    base_url: str
    """Without a trailing slash."""
    scheme: str
    host: str
    port: int | None
    base_path: str
    host_header: str
    """What the Host header must be: on a shared front it decides which API answers."""
    api_id: str | None = None
    """What `x-apigw-api-id` must be, which decides the same; None if it must not be there."""
    naming_fields: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Encode once what each request is compared with."""
        fields = tuple(sorted((name.encode(), value.encode()) for name, value in self.headers))
        object.__setattr__(self, "naming_fields", fields)

    @classmethod
    def parse(cls, base_url: str, *, host: str | None = None, api_id: str | None = None) -> Self:
        """Return the destination that a checked base URL names.

        A private REST API is reached under the name of a VPC endpoint. Which API is meant then
        stands in the Host header or in `x-apigw-api-id`; the name in the server's certificate is
        the URL's all the same.

        Args:
            base_url: where to connect to, stage included.
            host: what the Host header says, if not the URL's host and port.
            api_id: what `x-apigw-api-id` says, if it is sent at all.

        """
        url = httpx.URL(base_url)
        return cls(
            base_url=base_url.rstrip("/"),
            scheme=url.scheme,
            host=url.host,
            port=url.port,
            base_path=url.path.rstrip("/"),
            host_header=host or url.netloc.decode("ascii"),
            api_id=api_id,
        )

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the header fields that say which API is meant; every request must have them."""
        host = ("host", self.host_header)
        return (host,) if self.api_id is None else (host, (_API_ID, self.api_id))

    def url(self, path: str, query: str = "") -> httpx.URL:
        """Return the full URL of a path below the base, percent-encoding kept as it is.

        Args:
            path: begins with a slash, and is encoded.
            query: encoded, without the question mark.

        Raises:
            RequestRefused: the path or the query could lead elsewhere.

        """
        return _checked_url(self.base_url, path, query)

    def check(self, request: httpx.Request) -> None:
        """Pass a request that goes to the API. To be called last, on what will be sent.

        Raises:
            RequestRefused: scheme, host, port, path or a header that names an API are not the
                API's.

        """
        url = request.url
        if (
            url.scheme != self.scheme
            or url.host != self.host
            or url.port != self.port
            or url.userinfo
            or _naming_fields(request) != self.naming_fields
        ):
            raise RequestRefused("The request does not go to the API.", code="request_elsewhere")
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        check_path(path)
        if not path.startswith(f"{self.base_path}/"):
            raise RequestRefused(
                "The request leaves the API's base path.", code="request_elsewhere"
            )
