"""A token that a check has refused, and how advice about it names the things that it is about."""

from typing import NamedTuple

from aws_authorizer.claim_checks import AcceptedToken, ClaimContract, UnverifiedClaims
from aws_authorizer.explanation.shown_values import (
    names_application,
    show_claim,
    show_header_member,
)
from shared import claims
from shared.contract import ApiIdentity


class RefusedToken(NamedTuple):
    """A token that a check has refused, and what it was checked against."""

    encoded: str
    header: UnverifiedClaims
    claims: UnverifiedClaims
    closest: AcceptedToken
    contract: ClaimContract
    api: ApiIdentity
    now: float
    failed: frozenset[str]
    """The names of the checks that failed before this one."""


def ask_for(token: RefusedToken) -> str:
    """Return the words for how to get a token for this API."""
    return f"ask for the token with the scope {token.api.scope}"


def registration(token: RefusedToken) -> str:
    """Return how to name the API's registration."""
    return f"the API's registration {token.api.client_id}"


def client(token: RefusedToken) -> str:
    """Return what may be shown of the calling application."""
    return show_claim(token.claims, token.closest.client_claim)


def caller(token: RefusedToken) -> str:
    """Return how to name the calling service principal."""
    if names_application(token.claims):
        return f"the service principal {show_claim(token.claims, claims.OBJECT_ID)}"
    return "the user"


def shown_header(token: RefusedToken, member: str) -> str:
    """Return what may be shown of a member of the header."""
    return show_header_member(token.header, member)
