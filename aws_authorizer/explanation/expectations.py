"""What each check expects, in words, and what of the token it has found."""

from collections.abc import Callable, Mapping
from typing import Final

from aws_authorizer.claim_checks import AcceptedToken, SignedClaims
from aws_authorizer.explanation.shown_values import show, show_claim, show_header_member
from aws_authorizer.token import ALGORITHM, MAX_KEY_ID_CHARACTERS
from shared import claims
from shared.principal import Principal

MAX_LISTED: Final = 5


def list_names(names: frozenset[str] | list[str]) -> str:
    """Return the first few of the names, and how many more there are."""
    listed = sorted(names)
    more = len(listed) - MAX_LISTED
    return ", ".join(listed[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def describe_header_member(header: Mapping[str, object], member: str) -> str:
    """Return what may be shown of what a check of the header looks at."""
    if member == "crit":
        present = [name for name in ("crit", "b64") if name in header]
        return f"{' and '.join(present)} present" if present else "absent"
    return show_header_member(header, member)


def describe_roles(supposed: SignedClaims, lent: Principal | None) -> str:
    """Return the roles that the token has and, of a user's, those that its scopes lend."""
    said = show_claim(supposed, claims.ROLES)
    if lent is None or claims.SCOPES not in supposed:
        return said
    return f"{said}, of which the scopes lend {show(sorted(lent.roles))}"


HEADER_EXPECTED: Final[Mapping[str, str]] = {
    "enc": "absent: not encrypted",
    "alg": ALGORITHM,
    "crit": "neither crit nor b64",
    "typ": "JWT or at+jwt, or absent",
    "kid": f"an ID of at most {MAX_KEY_ID_CHARACTERS} characters",
}


def _expect_client_id(claim: str) -> Callable[[AcceptedToken], str]:
    def expect(token: AcceptedToken) -> str:
        if claim == token.client_claim:
            return "the calling application's client ID"
        return f"absent, or as {token.client_claim}"

    return expect


def _expect_authentication(_: AcceptedToken) -> str:
    return "absent, or not 0: the application has proved who it is"


EXPECTED: Final[Mapping[str, Callable[[AcceptedToken], str]]] = {
    claims.VERSION: lambda token: token.version.value,
    claims.ISSUER: lambda token: token.issuer,
    claims.TENANT_ID: lambda token: token.tenant_id,
    claims.AUDIENCE: lambda token: " or ".join(token.audiences),
    claims.OBJECT_ID: lambda _: "the caller's object ID",
    claims.CLIENT_ID_V1: _expect_client_id(claims.CLIENT_ID_V1),
    claims.CLIENT_ID_V2: _expect_client_id(claims.CLIENT_ID_V2),
    claims.CLIENT_AUTHENTICATION_V1: _expect_authentication,
    claims.CLIENT_AUTHENTICATION_V2: _expect_authentication,
    claims.SUBJECT: lambda _: "a text, or absent",
    claims.TOKEN_UNIQUE_ID: lambda _: "a text, or absent",
    claims.ROLES: lambda _: "a list of texts, or absent",
}
"""What each row of the table asks for. A row without one here fails loudly at its first token."""
