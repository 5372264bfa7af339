"""The claim contract: what a token must say for this API to take it, as one table.

`RULES` has a row for every claim that identifies a token and its bearer; `docs/claim-contract.md`
tells the same to people. Rows may refuse a token before its signature is checked, because a refusal
needs no proof. `check_access`, which grants, takes claims whose signature has passed, and a type of
their own says that.
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple, NewType

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

SignedClaims = NewType("SignedClaims", dict[str, object])
"""Claims whose signature has passed, by a key of the issuer that they name."""

# The same few callers come again and again, so their IDs are matched once.
_is_guid = lru_cache(maxsize=256)(
    re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
)
_is_token_id = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_OTHER_TENANT_ID_SPELLINGS: Final = frozenset({"Tid", "tId", "tiD", "TId", "TiD", "tID", "TID"})
_CLAIM_NAMES: Final = "_claim_names"
# A tuple, because a claim may be an array, which no set can look up. Entra ID writes a string.
_NO_CLIENT_AUTHENTICATION: Final = (claims.NO_CLIENT_AUTHENTICATION, 0)
_NO_ROLES: Final = frozenset[str]()
_ABSENT: Final = object()
_BOTH: Final = (TokenVersion.V1, TokenVersion.V2)


class MustBe(Enum):
    """What a row of the table asks of its claim."""

    EXACT = "a string, and one of those that the contract names, character by character"
    GUID = "a GUID, in lower case"
    STRING = "a string, or absent"
    STRINGS = "an array of strings, or absent"


class Rule(NamedTuple):
    """One row: unless the claim is what it must be, the token is rejected for the reason."""

    claim: str
    must_be: MustBe
    reason: Reason
    versions: tuple[TokenVersion, ...] = _BOTH


RULES: Final = (
    Rule(claims.VERSION, MustBe.EXACT, Reason.UNACCEPTED_VERSION),
    Rule(claims.ISSUER, MustBe.EXACT, Reason.WRONG_ISSUER),
    Rule(claims.TENANT_ID, MustBe.EXACT, Reason.WRONG_TENANT),
    Rule(claims.AUDIENCE, MustBe.EXACT, Reason.WRONG_AUDIENCE),
    Rule(claims.OBJECT_ID, MustBe.GUID, Reason.MISSING_SUBJECT),
    Rule(claims.CLIENT_ID_V1, MustBe.GUID, Reason.MISSING_CLIENT, (TokenVersion.V1,)),
    Rule(claims.CLIENT_ID_V2, MustBe.GUID, Reason.MISSING_CLIENT, (TokenVersion.V2,)),
    Rule(claims.SUBJECT, MustBe.STRING, Reason.MALFORMED_CLAIMS),
    Rule(claims.TOKEN_UNIQUE_ID, MustBe.STRING, Reason.MALFORMED_CLAIMS),
    Rule(claims.ROLES, MustBe.STRINGS, Reason.MALFORMED_ROLES),
)
"""Checked from the top. `ver` and `iss` choose the accepted token that the others compare with."""


class AcceptedToken(NamedTuple):
    """What tokens of one version from one tenant must say."""

    version: TokenVersion
    issuer: str
    tenant_id: str
    audiences: tuple[str, ...]
    client_claim: str
    """The claim that names the calling application: `azp` in v2.0, `appid` in v1.0."""
    other_client_claim: str
    """The one that names it in tokens of the other version."""
    key_issuer: str
    """The issuer that a key must belong to. The v2.0 form for both versions: one key set serves
    both, and its keys name that form."""

    @property
    def expected(self) -> Mapping[str, tuple[str, ...]]:
        """The values that the table's exact rows compare with, by claim."""
        return {
            claims.VERSION: (self.version.value,),
            claims.ISSUER: (self.issuer,),
            claims.TENANT_ID: (self.tenant_id,),
            claims.AUDIENCE: self.audiences,
        }


class _Profile(NamedTuple):
    """The table's rows for one accepted token, sorted by what they ask, ready to run."""

    token: AcceptedToken
    exact: tuple[tuple[str, tuple[str, ...], Reason], ...]
    guids: tuple[tuple[str, Reason], ...]
    text: tuple[tuple[str, Reason], ...]
    strings: tuple[tuple[str, Reason], ...]


def _compile_rules(token: AcceptedToken) -> _Profile:
    rules = [rule for rule in RULES if token.version in rule.versions]
    return _Profile(
        token,
        tuple(
            (rule.claim, token.expected[rule.claim], rule.reason)
            for rule in rules
            if rule.must_be is MustBe.EXACT
        ),
        tuple((rule.claim, rule.reason) for rule in rules if rule.must_be is MustBe.GUID),
        tuple((rule.claim, rule.reason) for rule in rules if rule.must_be is MustBe.STRING),
        tuple((rule.claim, rule.reason) for rule in rules if rule.must_be is MustBe.STRINGS),
    )


class ClaimContract(NamedTuple):
    """Everything that a caller's claims must satisfy; `build_claim_contract` makes one."""

    profiles: Mapping[tuple[object, object], _Profile]
    """By `ver` and `iss`."""
    client_ids: frozenset[str]
    """The applications that may call, and no others."""
    roles: frozenset[str]
    """The app roles that the API knows; others in a token mean nothing here."""
    delegated_scopes: Mapping[str, frozenset[str]]
    """What each scope of a token that a user stands behind lends of the user's roles; without any
    scope here, no such token is accepted."""
    leeway: float
    """How many seconds the issuer's clock and ours may differ."""

    @property
    def tenant_ids(self) -> frozenset[str]:
        """The tenants whose tokens are accepted."""
        return frozenset(profile.token.tenant_id for profile in self.profiles.values())


def build_claim_contract(
    tokens: Collection[AcceptedToken],
    *,
    client_ids: Collection[str],
    roles: Collection[str],
    delegated_scopes: Mapping[str, Collection[str]] | None = None,
    leeway: float = 60.0,
) -> ClaimContract:
    """Return the contract.

    Raises:
        ValueError: a part of it is empty, or a scope lends a role that the API does not know. Such
            a contract would admit nobody, or be read as admitting everybody.

    """
    scopes = {scope: frozenset(lent) for scope, lent in (delegated_scopes or {}).items()}
    lists = [client_ids, roles, *(token.audiences for token in tokens), *scopes.values()]
    names = [*scopes, *(name for names in lists for name in names)]
    if not tokens or not all(lists) or not all(name.strip() for name in names):
        raise ValueError("an empty claim contract")
    if not all(lent.issubset(roles) for lent in scopes.values()):
        raise ValueError("a scope lends an unknown role")
    return ClaimContract(
        {(token.version.value, token.issuer): _compile_rules(token) for token in tokens},
        frozenset(client_ids),
        frozenset(roles),
        scopes,
        leeway,
    )


def _explain_no_profile(
    unverified_claims: Mapping[str, object], contract: ClaimContract
) -> TokenRejected:
    version = unverified_claims.get(claims.VERSION)
    is_version_accepted = any(version == accepted for accepted, _ in contract.profiles)
    return TokenRejected(Reason.WRONG_ISSUER if is_version_accepted else Reason.UNACCEPTED_VERSION)


def _are_strings(value: object) -> bool:
    try:
        # The quickest way to look at each one: `join` takes nothing but strings.
        return value.__class__ is list and "".join(value) is not None
    except TypeError:
        return False


def check_identity(
    unverified_claims: Mapping[str, object], contract: ClaimContract
) -> AcceptedToken:
    """What the token claims to be, if that is something that the contract accepts.

    Raises:
        TokenRejected: it is not.

    """
    get = unverified_claims.get
    try:
        profile = contract.profiles[get(claims.VERSION), get(claims.ISSUER)]
    except (KeyError, TypeError):  # arrays and objects are no keys of anything
        raise _explain_no_profile(unverified_claims, contract) from None
    # RFC 7519 allows an array of audiences. Entra ID never writes one, and a token for several APIs
    # at once could be replayed by any of them, so an array is not equal to anything here.
    for claim, accepted, reason in profile.exact:
        if get(claim) not in accepted:
            raise TokenRejected(reason)
    # A reader that ignores case could take the tenant from another spelling.
    if not _OTHER_TENANT_ID_SPELLINGS.isdisjoint(unverified_claims):
        raise TokenRejected(Reason.WRONG_TENANT)
    _check_types(unverified_claims, profile)
    # Entra ID writes one of the two. Were the other one there as well, who calls would depend on
    # who reads.
    token = profile.token
    client = unverified_claims[token.client_claim]
    if get(token.other_client_claim, client) != client:
        raise TokenRejected(Reason.CONFLICTING_CLIENT)
    return token


def _check_types(unverified_claims: Mapping[str, object], profile: _Profile) -> None:
    get = unverified_claims.get
    for claim, reason in profile.guids:
        value = get(claim)
        if value.__class__ is not str or not _is_guid(value):
            raise TokenRejected(reason)
    for claim, reason in profile.text:
        if get(claim, "").__class__ is not str:
            raise TokenRejected(reason)
    for claim, reason in profile.strings:
        if claim in unverified_claims and not _are_strings(unverified_claims[claim]):
            raise TokenRejected(reason)


def _parse_time(value: object) -> float:
    # Not isinstance: a bool is an int to Python, and a NumericDate is a JSON number (RFC 7519
    # section 2), so neither true nor "1700000000" is one.
    if (value.__class__ is int or value.__class__ is float) and (
        EARLIEST_TIME <= value < LATEST_TIME
    ):
        return value
    raise TokenRejected(Reason.MALFORMED_TIMES)


def parse_validity(unverified_claims: Mapping[str, object], leeway: float) -> tuple[float, float]:
    """When the token begins to be good, and when it ends, leeway included, in seconds since 1970.

    `exp` is required, and one of `nbf` and `iat`; each that is there counts (RFC 7519 section 4.1).
    Whether now lies between is not checked.

    Raises:
        TokenRejected: they are missing, no sane times, or too far apart.

    """
    expires_at = _parse_time(unverified_claims.get(claims.EXPIRES_AT))
    not_before = unverified_claims.get(claims.NOT_BEFORE, _ABSENT)
    issued_at = unverified_claims.get(claims.ISSUED_AT, not_before)
    earliest = _parse_time(issued_at)
    latest = earliest if not_before is _ABSENT else _parse_time(not_before)
    if latest < earliest:
        earliest, latest = latest, earliest
    if expires_at - earliest > MAX_LIFETIME_SECONDS:
        raise TokenRejected(Reason.LIFETIME_TOO_LONG)
    return latest - leeway, expires_at + leeway


def check_validity(begins: float, ends: float, now: float) -> None:
    """Nothing, if `now` lies inside (RFC 7519 sections 4.1.4 and 4.1.5).

    Raises:
        TokenRejected: it does not.

    """
    if now >= ends:
        raise TokenRejected(Reason.EXPIRED)
    if now < begins:
        raise TokenRejected(Reason.NOT_YET_VALID)


def check_order(unverified_claims: Mapping[str, Any]) -> None:
    """Raise if the token ends before it begins. `parse_validity` has let its times pass before.

    Only the leeway could make such a token good, so this is asked after `check_validity`, whose
    reasons say more.

    Raises:
        TokenRejected: it does.

    """
    expires_at = unverified_claims[claims.EXPIRES_AT]
    for claim in (claims.NOT_BEFORE, claims.ISSUED_AT):
        if expires_at < unverified_claims.get(claim, expires_at):
            raise TokenRejected(Reason.MALFORMED_TIMES)


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


def _is_app_only(signed_claims: SignedClaims) -> bool:
    """Whether no user stands behind the token.

    Raises:
        TokenRejected: it says two things, or nothing that would tell.

    """
    identity_type = signed_claims.get(claims.IDENTITY_TYPE, _ABSENT)
    has_scopes = claims.SCOPES in signed_claims
    if identity_type == claims.APP_ONLY and not has_scopes:
        return True
    if has_scopes and (identity_type is _ABSENT or identity_type == "user"):
        return False
    # Entra ID writes `idtyp` only where the API asks for it; without it, a token whose subject is
    # the service principal itself is the application's own.
    is_own_subject = signed_claims.get(claims.SUBJECT) == signed_claims[claims.OBJECT_ID]
    if identity_type is _ABSENT and is_own_subject:
        return True
    raise TokenRejected(Reason.UNCLEAR_IDENTITY)


def check_access(
    signed_claims: SignedClaims, token: AcceptedToken, contract: ClaimContract
) -> Principal:
    """The caller that the claims prove. `check_identity` has let them pass before.

    Which routes the caller's roles open is not decided here, only that they open some.

    Raises:
        TokenRejected: the claims do not tell who is calling, or what they may do.
        AccessDenied: they do, and the contract does not admit that caller.

    """
    get = signed_claims.get
    is_app_only = _is_app_only(signed_claims)
    # An application without a credential of its own has proved nothing: whoever knows its ID is it.
    if is_app_only and any(
        get(claim) in _NO_CLIENT_AUTHENTICATION
        for claim in (claims.CLIENT_AUTHENTICATION_V1, claims.CLIENT_AUTHENTICATION_V2)
    ):
        raise TokenRejected(Reason.UNAUTHENTICATED_CLIENT)
    elsewhere = get(_CLAIM_NAMES)
    if elsewhere is not None and (not isinstance(elsewhere, dict) or claims.ROLES in elsewhere):
        # Too many to fit in: they are unknown then, not none. Groups that are elsewhere do not
        # matter, because nothing here is granted by group.
        raise TokenRejected(Reason.ROLES_ELSEWHERE)
    roles, token_id = get(claims.ROLES), get(claims.TOKEN_ID)
    principal = Principal(
        signed_claims[claims.OBJECT_ID],  # type: ignore[arg-type]  # a GUID, by the table
        token.tenant_id,
        signed_claims[token.client_claim],  # type: ignore[arg-type]  # the same
        contract.roles.intersection(roles) if roles else _NO_ROLES,  # type: ignore[arg-type]  # strings, by the table
        token_id if isinstance(token_id, str) and _is_token_id(token_id) else "",
    )
    if principal.client_id not in contract.client_ids:
        raise AccessDenied(Reason.UNKNOWN_CLIENT, principal)
    if not is_app_only:
        principal = _lend_roles(get(claims.SCOPES), contract.delegated_scopes, principal)
    if not principal.roles:
        raise AccessDenied(Reason.MISSING_ROLE, principal)
    return principal


def _lend_roles(
    scopes: object, lent_by: Mapping[str, frozenset[str]], principal: Principal
) -> Principal:
    """Return the caller with those of the user's roles that the token's scopes lend."""
    if not lent_by:
        raise AccessDenied(Reason.DELEGATED_TOKEN, principal._replace(roles=_NO_ROLES))
    named = lent_by.keys() & scopes.split(" ") if isinstance(scopes, str) else ()
    if not named:
        raise AccessDenied(Reason.MISSING_SCOPE, principal._replace(roles=_NO_ROLES))
    lent = frozenset[str]().union(*(lent_by[scope] for scope in named))
    return principal._replace(roles=principal.roles & lent)
