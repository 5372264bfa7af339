"""Compares a token of our own with the claim contract, and says what to change where they differ.

The token's signature is not checked, so what is found here is advice and nothing else: the API
decides. It saves the search for the reason of a bare 401.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

import jwt

from azure_function_app.identity.access_token import AccessToken
from shared import claims
from shared.contract import ApiIdentity
from shared.entra import TokenVersion
from shared.log import log_event
from shared.reasons import Reason
from shared.routes import Role

_logger = logging.getLogger(__name__)

GRAPH_AUDIENCES: Final = frozenset(
    {"00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"}
)
"""What a token for Microsoft Graph names, the API that tokens are asked for by mistake."""
LEEWAY_SECONDS: Final = 60
"""How far the authorizer lets a caller's clock be ahead."""
LONGEST_SHOWN: Final = 80
"""Characters shown of a value that somebody else chose."""
_SHOWN_ITEMS: Final = 4
_HUGE: Final = 10**15
_LONG: Final = 10**9
_HIDDEN: Final = re.compile(r"eyJ|[^\s@]@[^\s@]")
"""A JSON object in base64url, as in a token, and an e-mail address: somebody's name."""
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a token differs from the contract."""

    code: Reason
    """The reason that the API's own log will have."""
    advice: str
    """One sentence that says what to change."""
    expected: str = ""
    """What the API takes."""
    found: str = ""
    """What the token says, bounded and printable."""


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


def diagnose(token: str, identity: ApiIdentity, *, now: float | None = None) -> tuple[Finding, ...]:
    """Return everything in which the token differs from what the API expects, with its fix.

    Its times are compared only with a `now`, in seconds since 1970.
    """
    unverified = unverified_claims(token)
    if unverified is None:
        return (
            Finding(
                Reason.MALFORMED_TOKEN,
                "The token is no JWT, so the API cannot accept it.",
                "a signed JSON Web Token",
                "something else",
            ),
        )
    return tuple(_findings(unverified, identity, now))


_PLAIN_WORD: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/@+-]{{0,{LONGEST_SHOWN - 1}}}")
"""An ID, a URL, a version or a role."""


def shown(value: object) -> str:
    """Return what somebody else chose, bounded, with nothing in it that steers a terminal."""
    if isinstance(value, str):
        return _shown_text(value)
    if value is None:
        return "nothing"
    if isinstance(value, list):
        items = ", ".join(map(shown, value[:_SHOWN_ITEMS]))
        return f"[{items}{', ...' if len(value) > _SHOWN_ITEMS else ''}]"
    if isinstance(value, (bool, int, float)):
        # The digits of a huge number take Python longer than anybody wants to wait.
        return str(value) if isinstance(value, float) or abs(value) < _HUGE else "a huge number"
    return f"a {type(value).__name__}"


def _shown_text(text: str) -> str:
    """Return the text; in quotes where it is more than a plain word, so that its end can be seen.

    One that may hold a token or an e-mail address is not shown: whoever chose it may have put
    either there.
    """
    if _HIDDEN.search(text):
        return f"a text of {len(text)} characters that is not shown"
    if _PLAIN_WORD.fullmatch(text):
        return text
    bounded = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
    return f"'{_UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], bounded)}'"


def _findings(
    unverified: Mapping[str, object], identity: ApiIdentity, now: float | None
) -> Iterator[Finding]:
    tenant = unverified.get(claims.TENANT_ID)
    if tenant != identity.tenant_id:
        yield Finding(
            Reason.WRONG_TENANT,
            f"The token is of tenant {shown(tenant)}, the API of {identity.tenant_id}: set"
            " ENTRA_TENANT_ID to the same tenant on both sides, and sign in there.",
            identity.tenant_id,
            shown(tenant),
        )
    yield from _version_findings(unverified, identity)
    if now is not None:
        yield from _time_findings(unverified, now)
    if claims.SCOPES in unverified:
        yield Finding(
            Reason.DELEGATED_TOKEN,
            "The token stands for a signed-in user; the API takes only an application's unless"
            " it is told otherwise: use a managed identity or a service principal.",
            "an application's token",
            f"scp {shown(unverified[claims.SCOPES])}",
        )
    roles = unverified.get(claims.ROLES)
    if not isinstance(roles, list) or not any(role in roles for role in Role):
        yield Finding(
            Reason.MISSING_ROLE,
            f"The token has none of the API's app roles: assign {Role.READ} (or {Role.WRITE}) of"
            f" the API {identity.client_id} to the service principal"
            f" {shown(unverified.get(claims.OBJECT_ID))}; a managed identity's tokens show the"
            " change only after hours.",
            f"{Role.READ} or {Role.WRITE}",
            f"roles {shown(roles)}",
        )


def _time_findings(unverified: Mapping[str, object], now: float) -> Iterator[Finding]:
    ends, begins = unverified.get(claims.EXPIRES_AT), unverified.get(claims.NOT_BEFORE)
    if isinstance(ends, int) and ends <= now:
        yield Finding(
            Reason.EXPIRED,
            "The token has expired by this machine's clock: ask for a new one, or set the clock.",
            "a token that is valid now",
            f"expired {now - ends:.0f} s ago" if ends > now - _LONG else "expired long ago",
        )
    if isinstance(begins, int) and begins > now + LEEWAY_SECONDS:
        yield Finding(
            Reason.NOT_YET_VALID,
            "The token is not valid yet by this machine's clock: set the clock.",
            "a token that is valid now",
            f"valid in {begins - now:.0f} s" if begins < now + _LONG else "valid much later",
        )


def _version_findings(unverified: Mapping[str, object], identity: ApiIdentity) -> Iterator[Finding]:
    accepted = ", ".join(sorted(identity.token_versions))
    try:
        version = TokenVersion(unverified.get(claims.VERSION))  # type: ignore[arg-type]  # anything may stand there
    except ValueError:
        yield Finding(
            Reason.UNACCEPTED_VERSION,
            "The token says no version that Entra ID issues.",
            f"version {accepted}",
            f"version {shown(unverified.get(claims.VERSION))}",
        )
        return
    if version not in identity.token_versions:
        wanted = max(identity.token_versions)
        yield Finding(
            Reason.UNACCEPTED_VERSION,
            f"The token is of version {version}, the API accepts {accepted}: set"
            f" api.requestedAccessTokenVersion to {_manifest_version(wanted)} in the manifest of"
            f" the API's registration {identity.client_id}, or add {version} to"
            " ACCEPTED_TOKEN_VERSIONS on both sides.",
            f"version {accepted}",
            f"version {version}",
        )
    issuer = unverified.get(claims.ISSUER)
    if issuer != identity.issuer(version):
        yield Finding(
            Reason.WRONG_ISSUER,
            f"The token was issued by {shown(issuer)}, the API expects {identity.issuer(version)}:"
            " check ENTRA_TENANT_ID and ENTRA_CLOUD on both sides.",
            identity.issuer(version),
            shown(issuer),
        )
    audience = unverified.get(claims.AUDIENCE)
    if not isinstance(audience, str) or audience not in identity.audiences(version):
        is_graph = isinstance(audience, str) and audience.rstrip("/") in GRAPH_AUDIENCES
        yield Finding(
            Reason.WRONG_AUDIENCE,
            f"The token is for {'Microsoft Graph' if is_graph else shown(audience)}, the API is"
            f" {' or '.join(sorted(identity.audiences(version)))}: set API_APP_ID_URI to the"
            " Application ID URI of the API's own registration, API_CLIENT_ID to its client ID.",
            " or ".join(sorted(identity.audiences(version))),
            "Microsoft Graph" if is_graph else shown(audience),
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
