"""An HTTP response as a value, and the form in which the Functions worker keeps all of it."""

import logging
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Final

import azure.functions as func

from shared.log import log_event

_logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 5
"""Said with a 429 or 503 where nobody knows better: without it, clients try again at once."""
_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})

_CARRIED_ATTRIBUTES: Final = frozenset(
    {"domain", "expires", "httponly", "max-age", "path", "samesite", "secure"}
)
"""What a cookie can have on its way from the worker to the host."""

# RFC 6265 section 4.1.1, and commas, which many send. What is beside it, above all blanks and
# backslashes, `http.cookies` drops or reads in more than linear time.
_VALUE: Final = r"[!#-:<-\[\]-~]*+"
_PAIR: Final = re.compile(rf"[!#$%&'*+.^_`|~0-9A-Za-z-]++=(?:{_VALUE}|\"[ !#-:<-\[\]-~]*+\")")
_ATTRIBUTE: Final = re.compile(rf"[A-Za-z-]++(?:={_VALUE})?")
_MAX_AGE: Final = re.compile(r"-?[0-9]+")
_LONGEST_AGE: Final = 9_999_999_999
"""Seconds, some 317 years. The host fails where it cannot count them."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a caller gets."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Set-Cookie may stand in it more than once, nothing else: of others the worker keeps one."""
    body: bytes


def to_functions_response(given: HttpResponse) -> func.HttpResponse:
    """Return the response as the Functions worker takes it, a 429 or 503 with Retry-After."""
    media_type = next(
        (value for name, value in given.headers if name.lower() == "content-type"),
        # The worker adds text/plain where nothing is said, which would be a guess.
        "application/octet-stream",
    )
    response = func.HttpResponse(given.body, status_code=int(given.status), mimetype=media_type)
    for name, value in given.headers:
        if name.lower() != "set-cookie":
            # No name comes twice, and `set` would look through all of the others to make sure.
            response.headers.add(name, value)
        elif (cookie := portable_cookie(value)) is None:
            log_event(_logger, logging.WARNING, "cookie_lost", name=value.partition("=")[0])
        else:
            response.headers.add(name, cookie)
    if given.status in _BUSY and "Retry-After" not in response.headers:
        response.headers.add("Retry-After", str(RETRY_AFTER_SECONDS))
    return response


def portable_cookie(set_cookie: str) -> str | None:
    """Return the Set-Cookie value in the form that the worker carries; None if it has none.

    The worker parses cookies with `http.cookies`, which drops a cookie altogether for an attribute
    that it does not know, and fails the whole response for a date that is not an IMF-fixdate, and
    for an age that is no number.
    """
    pair, *attributes = (part.strip() for part in set_cookie.split(";"))
    if not _PAIR.fullmatch(pair):
        return None
    kept = [pair]
    for attribute in attributes:
        name, _, value = attribute.partition("=")
        kind = name.strip().lower()
        if kind not in _CARRIED_ATTRIBUTES:
            continue
        if kind == "expires":
            try:
                moment = parsedate_to_datetime(value.strip()).astimezone(UTC)
            except (ValueError, OverflowError):
                # So does a browser with a date that is none (RFC 6265 section 5.2.1).
                continue
            kept.append(f"Expires={format_datetime(moment, usegmt=True)}")
        elif kind == "max-age":
            # A browser ignores an age that is no number (RFC 6265 section 5.2.2).
            if age := _parse_age(value.strip()):
                kept.append(f"{name.strip()}={age}")
        elif _ATTRIBUTE.fullmatch(attribute):
            kept.append(attribute)
        else:
            return None
    cookie = "; ".join(kept)
    try:
        morsels = SimpleCookie(cookie)
    except CookieError:
        return None
    # Anything but the one cookie of that name means that it would not arrive as it was meant.
    return cookie if [pair.partition("=")[0].strip()] == list(morsels) else None


def _parse_age(text: str) -> str | None:
    if not _MAX_AGE.fullmatch(text):
        return None
    if len(text) > len(str(_LONGEST_AGE)):
        return "0" if text.startswith("-") else str(_LONGEST_AGE)
    return text
