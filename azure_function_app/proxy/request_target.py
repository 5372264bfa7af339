"""Reads a caller's URL: it leads to one of the routes and has one reading, or it is refused.

What Azure reads from the query, the function key, is taken out: it must not travel to AWS.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from azure_function_app.aws_api.destination import check_path
from azure_function_app.errors import RequestRefused
from shared.routes import Route

_MOUNT: Final = re.compile(r"/api/aws(?:/(?P<path>.*))?", re.IGNORECASE)
# What Azure reads the function key from; a key must not travel to AWS.
_KEY_PARAMETER: Final = "code"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """Where a caller's request leads."""

    path: str
    """Below the stage, every segment in its one right encoding."""
    query: str
    routes: tuple[Route, ...]
    """The routes of that path, one a method; at least one."""

    @property
    def allow(self) -> str:
        """Return the methods that the path answers to, as an Allow header."""
        methods = {route.method for route in self.routes} | {"OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods))


def parse_request_target(url: str, routes: Iterable[Route]) -> RequestTarget:
    """Return where a caller's URL leads, proved to be one of the routes.

    Raises:
        RequestRefused: it leads anywhere else, or has more than one reading.

    """
    # urlsplit drops line breaks and tabs without a word, so look before it does.
    if holds_controls(url) or not url.isascii() or any(char in url for char in " \\#"):
        raise RequestRefused(
            "The URL holds a character that a URL cannot hold.", code="request_url_invalid"
        )
    parts = urlsplit(url)
    match = _MOUNT.fullmatch(parts.path)
    if match is None or not match["path"]:
        raise _route_unknown()
    try:
        check_path("/" + match["path"])
    except RequestRefused as refused:
        raise RequestRefused(str(refused), code="request_path_invalid") from None
    segments = [_parse_segment(text) for text in match["path"].split("/")]
    found = tuple(route for route in routes if _leads_to(segments, route))
    if not found:
        raise _route_unknown()
    path = "".join("/" + quote(segment, safe="!$&'()*+,;=:@") for segment in segments)
    return RequestTarget(path, _forwarded_query(parts.query), found)


def holds_controls(text: str) -> bool:
    """Return whether the text holds a control character of ASCII."""
    return _CONTROLS.search(text) is not None


def _route_unknown() -> RequestRefused:
    return RequestRefused("The API has no such path.", code="request_route_unknown")


def _parse_segment(text: str) -> str:
    try:
        segment = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise RequestRefused("The path is not UTF-8.", code="request_path_invalid") from None
    # Somebody on the way may take an encoded slash for a separator, and so reach another route.
    if "/" in unquote(segment):
        raise RequestRefused("The path holds an encoded slash.", code="request_path_invalid")
    return segment


def _leads_to(segments: list[str], route: Route) -> bool:
    template = route.path.removeprefix("/").split("/")
    return len(template) == len(segments) and all(
        bool(segment) if part.startswith("{") else part == segment
        for part, segment in zip(template, segments, strict=True)
    )


def _forwarded_query(query: str) -> str:
    pairs = [
        pair
        for pair in query.split("&")
        if unquote(pair.partition("=")[0].replace("+", " ")).lower() != _KEY_PARAMETER
    ]
    kept = "&".join(pairs)
    if holds_controls(unquote(kept)):
        raise RequestRefused("The query holds a control character.", code="request_url_invalid")
    return kept
