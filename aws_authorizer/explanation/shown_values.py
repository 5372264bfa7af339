"""What may be shown of a token, and in which form: few of its claims, and no text as it came.

A token that nobody has verified is anyone's words. What is shown of it is short, on one line, and
steers no terminal. Claims that tell about a person are not shown, whoever has verified them.
"""

import json
import re
from datetime import UTC, datetime
from typing import Final

from aws_authorizer.claim_checks import EARLIEST_TIME, LATEST_TIME, UnverifiedClaims
from shared import claims

MAX_SHOWN_CHARACTERS: Final = 80
MAX_SHOWN_ITEMS: Final = 8

SHOWN_CLAIMS: Final = frozenset(
    {
        claims.VERSION,
        claims.ISSUER,
        claims.TENANT_ID,
        claims.AUDIENCE,
        claims.CLIENT_ID_V1,
        claims.CLIENT_ID_V2,
        claims.CLIENT_AUTHENTICATION_V1,
        claims.CLIENT_AUTHENTICATION_V2,
        claims.ROLES,
        claims.SCOPES,
        claims.IDENTITY_TYPE,
        claims.EXPIRES_AT,
        claims.NOT_BEFORE,
        claims.ISSUED_AT,
    }
)
"""The claims whose values may be shown of any token; of others, at most that they are there."""
SHOWN_HEADER_MEMBERS: Final = frozenset({"kid", "alg", "typ"})

_JSON_OBJECT: Final = "eyJ"  # how each JSON object begins in base64url
_ADDRESS: Final = re.compile(r"[^\s@]@[^\s@]")
_DAY: Final = 86_400
_HOUR: Final = 3_600
_MINUTE: Final = 60


def show(value: object) -> str:
    """Return the value as one short line that steers no terminal."""
    match value:
        case str():
            return _show_text(value)
        case list():
            shown = ", ".join(show(item) for item in value[:MAX_SHOWN_ITEMS])
            more = len(value) - MAX_SHOWN_ITEMS
            return _bound(f"[{shown}]") + (f" and {more} more" if more > 0 else "")
        case dict():
            return f"an object with {count(len(value), 'member')}"
        case _:
            return _bound(json.dumps(value))  # a number, true, false or null


def show_claim(unverified_claims: UnverifiedClaims, claim: str) -> str:
    """Return what may be shown of a claim: its value only where it is on the list."""
    if claim not in unverified_claims:
        return "absent"
    value = unverified_claims[claim]
    if claim in SHOWN_CLAIMS or (
        claim == claims.OBJECT_ID and names_application(unverified_claims)
    ):
        return show(value)
    return f"{_kind_of(value)} (not shown)"


def show_header_member(header: UnverifiedClaims, member: str) -> str:
    """Return what may be shown of a member of the header."""
    if member not in header:
        return "absent"
    return show(header[member]) if member in SHOWN_HEADER_MEMBERS else "present"


def names_application(unverified_claims: UnverifiedClaims) -> bool:
    """Return whether `oid` is an application's own, by all that the token says: not a person's."""
    if claims.SCOPES in unverified_claims:
        return False
    if claims.IDENTITY_TYPE in unverified_claims:
        return unverified_claims[claims.IDENTITY_TYPE] == claims.APP_ONLY
    subject = unverified_claims.get(claims.SUBJECT)
    return subject is not None and subject == unverified_claims.get(claims.OBJECT_ID)


def show_time(value: object) -> str:
    """Return a NumericDate (RFC 7519 section 2) as a date, or as it is where it is none."""
    if type(value) not in {int, float} or not EARLIEST_TIME <= value < LATEST_TIME:  # type: ignore[operator]  # a number, by now
        return show(value)
    moment = datetime.fromtimestamp(value, UTC)  # type: ignore[arg-type]  # the same
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def show_duration(seconds: float) -> str:
    """Return a duration in the two largest units that it has."""
    left = round(abs(seconds))
    parts: list[str] = []
    for name, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1)):
        number, left = divmod(left, size)
        if number or (name == "s" and not parts):
            parts.append(f"{number:,} {name}")
    return " ".join(parts[:2])


def count(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural where it must be."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _show_text(text: str) -> str:
    if _ADDRESS.search(text):
        return f"{count(len(text), 'character')} with an e-mail address (not shown)"
    # A token within a claim is a token, however it got there.
    if _JSON_OBJECT in text:
        return f"{count(len(text), 'character')} that look like a token (not shown)"
    # Cut first: of a text of any length only so much is looked at.
    shown = "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in text[: MAX_SHOWN_CHARACTERS + 1]
    )
    return _bound(shown) if shown else "an empty text"


def _bound(text: str) -> str:
    if len(text) <= MAX_SHOWN_CHARACTERS:
        return text
    return f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"


def _kind_of(value: object) -> str:
    match value:
        case str():
            return "a text"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "no text"
