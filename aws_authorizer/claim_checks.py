"""The claim contract: what a token must say for this API to take it, as one table.

`RULES` has a row for every claim that identifies a token and its bearer; `docs/claim-contract.md`
tells the same to people. Rows may refuse a token before its signature is checked, because a refusal
needs no proof. `check_access`, which grants, runs behind the signature alone.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from aws_authorizer.errors import AccessDenied, Reason, TokenRejected
from shared import claims
from shared.entra import TokenVersion
from shared.principal import Principal

EARLIEST_TIME: Final = 1_000_000_000
"""The year 2001. No token is older, so an earlier time is no time."""
LATEST_TIME: Final = 32_503_680_000
"""The year 3000. A later time is milliseconds, or a mistake."""
MAX_LIFETIME_SECONDS: Final = 172_800
"""Two days. Entra ID's longest-lived access tokens last 28 hours."""

_is_guid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_is_token_id = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_NO_ROLES: Final = frozenset[str]()
_OTHER_TENANT_ID_SPELLINGS: Final = frozenset({"Tid", "tId", "tiD", "TId", "TiD", "tID", "TID"})


class AcceptedToken(NamedTuple):
    """What tokens of one version from one tenant must say."""

    version: TokenVersion
    issuer: str
    tenant_id: str
    audiences: frozenset[str]
    client_claim: str
    """The claim that names the calling application: `azp` in v2.0, `appid` in v1.0."""
    key_issuer: str
    """The issuer that a key must belong to. The v2.0 form for both versions: one key set serves
    both, and its keys name that form."""


class ClaimContract(NamedTuple):
    """Everything that a caller's claims must satisfy, as plain values."""

    accepted: Mapping[str, Mapping[str, AcceptedToken]]
    """By `ver`, then by `iss`."""
    client_ids: frozenset[str]
    """The applications that may call, and no others."""
    roles: frozenset[str]
    """The app roles that the API knows; others in a token mean nothing here."""
    delegated_scopes: frozenset[str] = frozenset()
    """A token that a user stands behind must have one of these; with none, it is not accepted."""
    leeway: float = 60.0
    """How many seconds the issuer's clock and ours may differ."""


def build_claim_contract(
    tokens: Collection[AcceptedToken],
    *,
    client_ids: Collection[str],
    roles: Collection[str],
    delegated_scopes: Collection[str] = (),
    leeway: float = 60.0,
) -> ClaimContract:
    """The contract.

    Raises:
        ValueError: a part of it is empty. Such a contract would admit nobody, or be read as
            admitting everybody.

    """
    if not tokens or not client_ids or not roles or not all(token.audiences for token in tokens):
        raise ValueError("an empty claim contract")
    accepted: dict[str, dict[str, AcceptedToken]] = {}
    for token in tokens:
        accepted.setdefault(token.version.value, {})[token.issuer] = token
    return ClaimContract(
        accepted, frozenset(client_ids), frozenset(roles), frozenset(delegated_scopes), leeway
    )


class _Rule(NamedTuple):
    """One row: the claim must satisfy the check, or the token is rejected for the reason."""

    claim: str
    is_satisfied: Callable[[object, AcceptedToken], bool]
    reason: Reason
    versions: tuple[TokenVersion, ...] = (TokenVersion.V1, TokenVersion.V2)


def _is_one_audience(value: object, token: AcceptedToken) -> bool:
    # RFC 7519 allows an array. Entra ID never writes one, and a token for several APIs at once
    # could be replayed by any of them.
    return isinstance(value, str) and value in token.audiences


def _is_an_id(value: object, _token: AcceptedToken) -> bool:
    return isinstance(value, str) and _is_guid(value) is not None


def _is_array_of_strings(value: object, _token: AcceptedToken) -> bool:
    return value is None or (
        isinstance(value, list) and all(isinstance(role, str) for role in value)
    )


# Claim                    what it must be                        reason to reject   v1.0, v2.0
RULES: Final = (
    _Rule(claims.TENANT_ID, lambda value, token: value == token.tenant_id, Reason.WRONG_TENANT),
    _Rule(claims.AUDIENCE, _is_one_audience, Reason.WRONG_AUDIENCE),
    _Rule(claims.OBJECT_ID, _is_an_id, Reason.MISSING_SUBJECT),
    _Rule(claims.CLIENT_ID_V1, _is_an_id, Reason.MISSING_CLIENT, (TokenVersion.V1,)),
    _Rule(claims.CLIENT_ID_V2, _is_an_id, Reason.MISSING_CLIENT, (TokenVersion.V2,)),
    _Rule(claims.ROLES, _is_array_of_strings, Reason.MALFORMED_ROLES),
)
"""`ver` and `iss` choose the `AcceptedToken` that the rows compare with; both are exact."""

_RULES_BY_VERSION: Final = {
    version: tuple(rule[:3] for rule in RULES if version in rule.versions)
    for version in TokenVersion
}


def check_identity(
    unverified_claims: Mapping[str, object], contract: ClaimContract
) -> AcceptedToken:
    """What the token claims to be, if that is something that the contract accepts.

    Raises:
        TokenRejected: it is not.

    """
    version = unverified_claims.get(claims.VERSION)
    by_issuer = contract.accepted.get(version) if isinstance(version, str) else None
    if by_issuer is None:
        raise TokenRejected(Reason.UNACCEPTED_VERSION)
    issuer = unverified_claims.get(claims.ISSUER)
    token = by_issuer.get(issuer) if isinstance(issuer, str) else None
    if token is None:
        raise TokenRejected(Reason.WRONG_ISSUER)
    # A reader that ignores case could take the tenant from the other one.
    if not _OTHER_TENANT_ID_SPELLINGS.isdisjoint(unverified_claims):
        raise TokenRejected(Reason.WRONG_TENANT)
    for claim, is_satisfied, reason in _RULES_BY_VERSION[token.version]:
        if not is_satisfied(unverified_claims.get(claim), token):
            raise TokenRejected(reason)
    return token


class Validity(NamedTuple):
    """From when until when a token is good, leeway included, in seconds since 1970 UTC."""

    begins: float
    ends: float


def _parse_time(value: object) -> float:
    # A bool is an int to Python, and a NumericDate is a JSON number (RFC 7519 section 2).
    if type(value) not in {int, float} or not EARLIEST_TIME <= value < LATEST_TIME:  # type: ignore[operator]  # the first half sees to it
        raise TokenRejected(Reason.MALFORMED_TIMES)
    return value  # type: ignore[return-value]  # the same


def parse_validity(unverified_claims: Mapping[str, object], leeway: float) -> Validity:
    """The time in which the token is good. Whether that is now is not checked.

    `exp` is required, and one of `nbf` and `iat`; each that is there counts (RFC 7519 section 4.1).

    Raises:
        TokenRejected: they are missing, no sane times, or too far apart.

    """
    expires_at = _parse_time(unverified_claims.get(claims.EXPIRES_AT))
    beginnings = [
        _parse_time(unverified_claims[claim])
        for claim in (claims.NOT_BEFORE, claims.ISSUED_AT)
        if claim in unverified_claims
    ]
    if not beginnings:
        raise TokenRejected(Reason.MALFORMED_TIMES)
    if expires_at - min(beginnings) > MAX_LIFETIME_SECONDS:
        raise TokenRejected(Reason.LIFETIME_TOO_LONG)
    return Validity(max(beginnings) - leeway, expires_at + leeway)


def check_validity(validity: Validity, now: float) -> None:
    """Nothing, if `now` lies inside.

    Raises:
        TokenRejected: it does not.

    """
    if now >= validity.ends:
        raise TokenRejected(Reason.EXPIRED)
    if now < validity.begins:
        raise TokenRejected(Reason.NOT_YET_VALID)


def check_key_issuer(key_issuer: str | None, token: AcceptedToken) -> None:
    """Nothing, if a key that names this issuer may sign such a token.

    A key shared by all tenants has `{tenantid}` in place of the tenant.

    Raises:
        TokenRejected: the key belongs to another issuer.

    """
    if key_issuer is None or key_issuer == token.key_issuer:
        return
    before, placeholder, after = key_issuer.lower().partition("{tenantid}")
    if not placeholder or f"{before}{token.tenant_id}{after}" != token.key_issuer.lower():
        raise TokenRejected(Reason.FOREIGN_KEY)


def _is_app_only(signed_claims: Mapping[str, object]) -> bool:
    """Whether no user stands behind the token.

    Raises:
        TokenRejected: it says two things, or nothing that would tell.

    """
    identity_type = signed_claims.get(claims.IDENTITY_TYPE)
    has_scopes = claims.SCOPES in signed_claims
    if identity_type == claims.APP_ONLY and not has_scopes:
        return True
    if identity_type in {None, "user"} and has_scopes:
        return False
    # Entra ID writes `idtyp` only where the API asks for it; without it, a token whose subject is
    # the service principal itself is the application's own.
    is_own_subject = signed_claims.get(claims.SUBJECT) == signed_claims[claims.OBJECT_ID]
    if identity_type is None and is_own_subject:
        return True
    raise TokenRejected(Reason.UNCLEAR_IDENTITY)


def _build_principal(
    signed_claims: Mapping[str, object], token: AcceptedToken, known_roles: frozenset[str]
) -> Principal:
    roles = signed_claims.get(claims.ROLES)
    token_id = signed_claims.get(claims.TOKEN_ID)
    return Principal(
        object_id=str(signed_claims[claims.OBJECT_ID]),
        tenant_id=token.tenant_id,
        client_id=str(signed_claims[token.client_claim]),
        roles=known_roles.intersection(roles) if isinstance(roles, list) else _NO_ROLES,
        token_id=token_id if isinstance(token_id, str) and _is_token_id(token_id) else "",
    )


def check_access(
    signed_claims: Mapping[str, object], token: AcceptedToken, contract: ClaimContract
) -> Principal:
    """The caller that the claims prove. Their signature and identity have been checked before.

    Which routes the caller's roles open is not decided here, only that they open some.

    Raises:
        TokenRejected: the claims do not tell who is calling, or what they may do.
        AccessDenied: they do, and the contract does not admit that caller.

    """
    is_app_only = _is_app_only(signed_claims)
    sources = signed_claims.get("_claim_names")
    if isinstance(sources, dict) and claims.ROLES in sources:
        # Too many to fit in: they are unknown then, not none. Groups that are elsewhere do not
        # matter, because nothing here is granted by group.
        raise TokenRejected(Reason.ROLES_ELSEWHERE)
    principal = _build_principal(signed_claims, token, contract.roles)
    if principal.client_id not in contract.client_ids:
        raise AccessDenied(Reason.UNKNOWN_CLIENT, principal)
    if not is_app_only:
        _check_scopes(signed_claims.get(claims.SCOPES), contract.delegated_scopes, principal)
    if not principal.roles:
        raise AccessDenied(Reason.MISSING_ROLE, principal)
    return principal


def _check_scopes(scopes: object, accepted: frozenset[str], principal: Principal) -> None:
    if not accepted:
        raise AccessDenied(Reason.DELEGATED_TOKEN, principal)
    if not isinstance(scopes, str) or accepted.isdisjoint(scopes.split(" ")):
        raise AccessDenied(Reason.MISSING_SCOPE, principal)
