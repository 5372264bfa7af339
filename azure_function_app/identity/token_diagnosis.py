"""Compares a token of our own with the claim contract, and says what to change where they differ.

The token's signature is not checked, so what is found here is advice and nothing else: the API
decides. It saves the search for the reason of a bare 401.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

import jwt

from azure_function_app.identity.access_token import AccessToken
from shared import claims
from shared.contract import ApiIdentity
from shared.entra import TokenVersion
from shared.log import log_event
from shared.reasons import Reason
from shared.routes import Role

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a token differs from the contract."""

    code: Reason
    """The reason that the API's own log will have."""
    advice: str
    """One sentence that says what to change."""


def unverified_claims(token: str) -> Mapping[str, object] | None:
    """Return the claims of a JWT without any check of them; None if they cannot be read."""
    try:
        return jwt.decode(token, options={"verify_signature": False})
    # A lone surrogate, which no encoding has, is a ValueError and not PyJWT's.
    except (jwt.InvalidTokenError, ValueError):
        return None


def unverified_roles(token: str) -> frozenset[str] | None:
    """Return the `roles` of a JWT without any check of them; None if they cannot be read."""
    unverified = unverified_claims(token)
    if unverified is None:
        return None
    # Entra ID leaves the claim out where no role is assigned.
    roles = unverified.get(claims.ROLES, [])
    if not isinstance(roles, list):
        return None
    return frozenset(role for role in roles if isinstance(role, str))


def diagnose(token: str, identity: ApiIdentity) -> tuple[Finding, ...]:
    """Return everything in which the token differs from what the API expects, with its fix."""
    unverified = unverified_claims(token)
    if unverified is None:
        return (
            Finding(Reason.MALFORMED_TOKEN, "The token is no JWT, so the API cannot accept it."),
        )
    return tuple(_findings(unverified, identity))


def _findings(unverified: Mapping[str, object], identity: ApiIdentity) -> Iterator[Finding]:
    tenant = unverified.get(claims.TENANT_ID)
    if tenant != identity.tenant_id:
        yield Finding(
            Reason.WRONG_TENANT,
            f"The token is of tenant {tenant!r}, the API of {identity.tenant_id}: set"
            " ENTRA_TENANT_ID to the same tenant on both sides, and sign in there.",
        )
    yield from _version_findings(unverified, identity)
    if claims.SCOPES in unverified:
        yield Finding(
            Reason.DELEGATED_TOKEN,
            "The token stands for a signed-in user; the API takes an application's alone unless"
            " it is told otherwise: use a managed identity or a service principal.",
        )
    roles = unverified.get(claims.ROLES)
    if not isinstance(roles, list) or not any(role in roles for role in Role):
        yield Finding(
            Reason.MISSING_ROLE,
            f"The token has none of the API's app roles: assign {Role.READ} (or {Role.WRITE}) of"
            f" the API {identity.client_id} to the service principal"
            f" {unverified.get(claims.OBJECT_ID)!r}; a managed identity's tokens show the change"
            " only after hours.",
        )


def _version_findings(unverified: Mapping[str, object], identity: ApiIdentity) -> Iterator[Finding]:
    accepted = ", ".join(sorted(identity.token_versions))
    try:
        version = TokenVersion(str(unverified.get(claims.VERSION)))
    except ValueError:
        yield Finding(Reason.UNACCEPTED_VERSION, "The token says no version that Entra ID issues.")
        return
    if version not in identity.token_versions:
        wanted = max(identity.token_versions)
        yield Finding(
            Reason.UNACCEPTED_VERSION,
            f"The token is of version {version}, the API accepts {accepted}: set"
            f" api.requestedAccessTokenVersion to {_manifest_version(wanted)} in the manifest of"
            f" the API's registration {identity.client_id}, or add {version} to"
            " ACCEPTED_TOKEN_VERSIONS on both sides.",
        )
    issuer = unverified.get(claims.ISSUER)
    if issuer != identity.issuer(version):
        yield Finding(
            Reason.WRONG_ISSUER,
            f"The token was issued by {issuer!r}, the API expects {identity.issuer(version)}:"
            " check ENTRA_TENANT_ID and ENTRA_CLOUD on both sides.",
        )
    audience = unverified.get(claims.AUDIENCE)
    if not isinstance(audience, str) or audience not in identity.audiences(version):
        yield Finding(
            Reason.WRONG_AUDIENCE,
            f"The token is for {audience!r}, the API is"
            f" {' or '.join(sorted(identity.audiences(version)))}: set API_APP_ID_URI to the"
            " Application ID URI of the API's own registration, API_CLIENT_ID to its client ID.",
        )


def _manifest_version(version: TokenVersion) -> str:
    match version:
        case TokenVersion.V1:
            return "1 (or null)"
        case TokenVersion.V2:
            return "2"
        case _:
            assert_never(version)


def report_token(token: AccessToken, identity: ApiIdentity) -> None:
    """Log one warning for each way in which the token differs from the contract."""
    for finding in diagnose(token.value, identity):
        log_event(
            _logger,
            logging.WARNING,
            "token_will_be_refused",
            code=finding.code,
            advice=finding.advice,
        )
