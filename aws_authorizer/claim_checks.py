"""The claim contract: what a token must say for this API to take it, as one table.

`RULES` has a row for every claim that identifies a token and its bearer; `docs/claim-contract.md`
tells the same to people. Rows may refuse a token before its signature is checked, because a refusal
needs no proof. `check_access`, which grants, takes claims whose signature has passed, and a type of
their own says that.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, NewType

from aws_authorizer.errors import AccessDenied, TokenRejected
from shared import claims
from shared.entra import TokenVersion
from shared.guid import is_guid
from shared.principal import Principal
from shared.reasons import Reason

EARLIEST_TIME: Final = 1_000_000_000
"""The year 2001. No token is older, so an earlier time is no time."""
LATEST_TIME: Final = 32_503_680_000
"""The year 3000. A later time is milliseconds, or a mistake."""
MAX_LIFETIME_SECONDS: Final = 172_800
"""Two days. Entra ID's longest-lived access tokens last 28 hours."""

SignedClaims = NewType("SignedClaims", dict[str, object])
"""Claims whose signature has passed, by a key of the issuer that they name."""

type UnverifiedClaims = Mapping[str, object]

_MAX_TOKEN_ID_CHARACTERS: Final = 64
_TOKEN_ID_CHARACTERS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)
_OTHER_TENANT_ID_SPELLINGS: Final = frozenset({"Tid", "tId", "tiD", "TId", "TiD", "tID", "TID"})
_CLAIM_NAMES: Final = "_claim_names"
_ABSENT: Final = object()


class AcceptedToken(NamedTuple):
    """What tokens of one version from one tenant must say."""

    version: TokenVersion
    issuer: str
    tenant_id: str
    audiences: tuple[str, ...]
    client_claim: str
    """The claim that names the calling application: `azp` in v2.0, `appid` in v1.0."""
    key_issuer: str
    """The issuer that a key must belong to. The v2.0 form for both versions: one key set serves
    both, and its keys name that form."""


# --- the checks: is the claim, where the token has it, as this token must have it


def _is_version(value: object, token: AcceptedToken, _: UnverifiedClaims) -> bool:
    return value == token.version


def _is_issuer(value: object, token: AcceptedToken, _: UnverifiedClaims) -> bool:
    return value == token.issuer


def _is_only_tenant(value: object, token: AcceptedToken, unverified: UnverifiedClaims) -> bool:
    # A reader that ignores case could take the tenant from another spelling.
    return value == token.tenant_id and unverified.keys().isdisjoint(_OTHER_TENANT_ID_SPELLINGS)


def _is_audience(value: object, token: AcceptedToken, _: UnverifiedClaims) -> bool:
    # RFC 7519 allows an array of audiences. Entra ID never writes one, and a token for several APIs
    # at once could be replayed by any of them, so an array is not equal to anything here.
    return value in token.audiences


def _is_guid(value: object, _token: AcceptedToken, _: UnverifiedClaims) -> bool:
    return isinstance(value, str) and is_guid(value)


def _is_same_client(value: object, token: AcceptedToken, unverified: UnverifiedClaims) -> bool:
    # Entra ID writes one of the two. Were the other one there and different, who calls would depend
    # on who reads.
    return value == unverified[token.client_claim]


def _is_proved_by_client(
    value: object, _token: AcceptedToken, unverified: UnverifiedClaims
) -> bool:
    # An application without a credential has proved nothing: anyone who knows its ID is it. With
    # scopes, a user stands behind the token, and has signed in. Entra ID writes a string, so no
    # other type proves anything.
    is_proved = isinstance(value, str) and value not in ("", claims.NO_CLIENT_AUTHENTICATION)
    return is_proved or claims.SCOPES in unverified


def _is_string(value: object, _token: AcceptedToken, _: UnverifiedClaims) -> bool:
    return isinstance(value, str)


def _are_strings(value: object, _token: AcceptedToken, _: UnverifiedClaims) -> bool:
    return isinstance(value, list) and not [item for item in value if not isinstance(item, str)]


class Rule(NamedTuple):
    """One row: a token whose claim does not pass the check is rejected for the reason."""

    claim: str
    check: Callable[[object, AcceptedToken, UnverifiedClaims], bool]
    reason: Reason
    versions: tuple[TokenVersion, ...] = (TokenVersion.V1, TokenVersion.V2)
    """The token versions that the row is about."""
    is_required: bool = True
    """Whether a token without the claim is rejected, for the same reason."""


_V1: Final = (TokenVersion.V1,)
_V2: Final = (TokenVersion.V2,)

RULES: Final = (
    Rule(claims.VERSION, _is_version, Reason.UNACCEPTED_VERSION),
    Rule(claims.ISSUER, _is_issuer, Reason.WRONG_ISSUER),
    Rule(claims.TENANT_ID, _is_only_tenant, Reason.WRONG_TENANT),
    Rule(claims.AUDIENCE, _is_audience, Reason.WRONG_AUDIENCE),
    Rule(claims.OBJECT_ID, _is_guid, Reason.MISSING_SUBJECT),
    Rule(claims.CLIENT_ID_V1, _is_guid, Reason.MISSING_CLIENT, _V1),
    Rule(claims.CLIENT_ID_V2, _is_guid, Reason.MISSING_CLIENT, _V2),
    Rule(claims.CLIENT_ID_V2, _is_same_client, Reason.CONFLICTING_CLIENT, _V1, is_required=False),
    Rule(claims.CLIENT_ID_V1, _is_same_client, Reason.CONFLICTING_CLIENT, _V2, is_required=False),
    Rule(
        claims.CLIENT_AUTHENTICATION_V1,
        _is_proved_by_client,
        Reason.UNAUTHENTICATED_CLIENT,
        is_required=False,
    ),
    Rule(
        claims.CLIENT_AUTHENTICATION_V2,
        _is_proved_by_client,
        Reason.UNAUTHENTICATED_CLIENT,
        is_required=False,
    ),
    Rule(claims.SUBJECT, _is_string, Reason.MALFORMED_CLAIMS, is_required=False),
    Rule(claims.TOKEN_UNIQUE_ID, _is_string, Reason.MALFORMED_CLAIMS, is_required=False),
    Rule(claims.ROLES, _are_strings, Reason.MALFORMED_ROLES, is_required=False),
)
"""Checked from the top against each accepted token. The token that gets furthest gives the reason:
with v1.0 and v2.0 accepted, a v2.0 token with a wrong audience has a wrong audience, and not a
version that v1.0 would not have."""


class ClaimContract(NamedTuple):
    """Everything that a caller's claims must satisfy; `build_claim_contract` makes one."""

    accepted: tuple[tuple[AcceptedToken, tuple[Rule, ...]], ...]
    """Each kind of token that is accepted, with the rows that are about it."""
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
        """Return the tenants whose tokens are accepted."""
        return frozenset(token.tenant_id for token, _ in self.accepted)


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
        tuple(
            (token, tuple(rule for rule in RULES if token.version in rule.versions))
            for token in tokens
        ),
        frozenset(client_ids),
        frozenset(roles),
        scopes,
        leeway,
    )


def find_broken_rule(
    unverified_claims: UnverifiedClaims, token: AcceptedToken, rules: tuple[Rule, ...]
) -> Rule | None:
    """Return the first row that the claims break, or None."""
    get = unverified_claims.get
    for rule in rules:
        claim, check, _, _, is_required = rule
        value = get(claim, _ABSENT)
        if value is _ABSENT:
            if is_required:
                return rule
        elif not check(value, token, unverified_claims):
            return rule
    return None


def find_furthest(broken: list[Rule]) -> Rule:
    """Return, of the first row that each accepted kind of token finds broken, the last."""
    return max(broken, key=RULES.index)


def check_identity(unverified_claims: UnverifiedClaims, contract: ClaimContract) -> AcceptedToken:
    """Return what the token claims to be, if that is something that the contract accepts.

    Raises:
        TokenRejected: it is not.

    """
    broken = []
    for token, rules in contract.accepted:
        rule = find_broken_rule(unverified_claims, token, rules)
        if rule is None:
            return token
        broken.append(rule)
    raise TokenRejected(find_furthest(broken).reason)


def _parse_time(value: object) -> float:
    # A NumericDate is a JSON number (RFC 7519 section 2): "1700000000" is none, nor is true, which
    # to Python is an instance of int.
    if type(value) is not int and type(value) is not float:
        raise TokenRejected(Reason.MALFORMED_TIMES)
    if not EARLIEST_TIME <= value < LATEST_TIME:
        raise TokenRejected(Reason.MALFORMED_TIMES)
    return value


def parse_validity(unverified_claims: UnverifiedClaims, leeway: float) -> tuple[float, float]:
    """Return when the token begins to be good, and when it ends, leeway included.

    In seconds since 1970. `exp` is required, and one of `nbf` and `iat`; each that is there counts
    (RFC 7519 section 4.1). Whether now lies between is not checked.

    Raises:
        TokenRejected: they are missing, no sane times, or too far apart.

    """
    get = unverified_claims.get
    expires_at = _parse_time(get(claims.EXPIRES_AT))
    # Where one of the two is missing, the other one stands for both.
    issued_at = _parse_time(get(claims.ISSUED_AT, get(claims.NOT_BEFORE)))
    not_before = _parse_time(get(claims.NOT_BEFORE, issued_at))
    if expires_at - min(issued_at, not_before) > MAX_LIFETIME_SECONDS:
        raise TokenRejected(Reason.LIFETIME_TOO_LONG)
    return max(issued_at, not_before) - leeway, expires_at + leeway


def check_validity(begins: float, ends: float, now: float) -> None:
    """Raise unless `now` lies between (RFC 7519 sections 4.1.4 and 4.1.5).

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
    """Raise unless a key that names this issuer may sign such a token.

    A key shared by all tenants has `{tenantid}` in place of the tenant.

    Raises:
        TokenRejected: the key belongs to another issuer.

    """
    if key_issuer is None or key_issuer == token.key_issuer:
        return
    before, placeholder, after = key_issuer.lower().partition("{tenantid}")
    if not placeholder or f"{before}{token.tenant_id}{after}" != token.key_issuer.lower():
        raise TokenRejected(Reason.FOREIGN_KEY)


def check_identity_type(signed_claims: SignedClaims) -> bool:
    """Return whether no user stands behind the token; False if one does.

    Raises:
        TokenRejected: it says two things, or nothing that would tell.

    """
    identity_type = signed_claims.get(claims.IDENTITY_TYPE, _ABSENT)
    has_scopes = claims.SCOPES in signed_claims
    if identity_type == claims.APP_ONLY and not has_scopes:
        return True
    if has_scopes and (identity_type is _ABSENT or identity_type == claims.USER):
        return False
    # Entra ID writes `idtyp` only where the API asks for it; without it, a token whose subject is
    # the service principal itself is the application's own.
    is_own_subject = signed_claims.get(claims.SUBJECT) == signed_claims[claims.OBJECT_ID]
    if identity_type is _ABSENT and is_own_subject:
        return True
    raise TokenRejected(Reason.UNCLEAR_IDENTITY)


def _parse_token_id(value: object) -> str:
    """Return Entra ID's own ID of the token, for our log; empty if it is not one."""
    is_id = (
        isinstance(value, str)
        and len(value) <= _MAX_TOKEN_ID_CHARACTERS
        and _TOKEN_ID_CHARACTERS.issuperset(value)
    )
    return value if is_id else ""  # type: ignore[return-value]  # a string, then


def check_roles_are_here(signed_claims: SignedClaims) -> None:
    """Raise if the token's roles stand somewhere else, as Entra ID writes it where they are many.

    Raises:
        TokenRejected: they are unknown then, not none.

    """
    elsewhere = signed_claims.get(_CLAIM_NAMES)
    # Groups that are elsewhere do not matter, because nothing here is granted by group.
    if elsewhere is not None and (not isinstance(elsewhere, dict) or claims.ROLES in elsewhere):
        raise TokenRejected(Reason.ROLES_ELSEWHERE)


def read_principal(
    signed_claims: SignedClaims, token: AcceptedToken, contract: ClaimContract
) -> Principal:
    """Return the caller that the claims name, with those of its roles that the API knows.

    `check_identity` has let the claims pass before. Whether the caller is admitted is not checked.
    """
    get = signed_claims.get
    return Principal(
        signed_claims[claims.OBJECT_ID],  # type: ignore[arg-type]  # a GUID, by the table
        token.tenant_id,
        signed_claims[token.client_claim],  # type: ignore[arg-type]  # the same
        contract.roles.intersection(get(claims.ROLES, ())),  # type: ignore[arg-type]  # strings, by the table
        _parse_token_id(get(claims.TOKEN_ID)),
    )


def check_client(principal: Principal, contract: ClaimContract) -> None:
    """Raise unless the calling application is one of those that may call.

    Raises:
        AccessDenied: it is not.

    """
    if principal.client_id not in contract.client_ids:
        raise AccessDenied(Reason.UNKNOWN_CLIENT, principal)


def check_roles(principal: Principal) -> None:
    """Raise unless the caller has a role that the API knows.

    Raises:
        AccessDenied: it has none.

    """
    if not principal.roles:
        raise AccessDenied(Reason.MISSING_ROLE, principal)


def check_access(
    signed_claims: SignedClaims, token: AcceptedToken, contract: ClaimContract
) -> Principal:
    """Return the caller that the claims prove. `check_identity` has let them pass before.

    Which routes the caller's roles open is not decided here, only that they open some.

    Raises:
        TokenRejected: the claims do not tell who is calling, or what they may do.
        AccessDenied: they do, and the contract does not admit that caller.

    """
    is_app_only = check_identity_type(signed_claims)
    check_roles_are_here(signed_claims)
    principal = read_principal(signed_claims, token, contract)
    check_client(principal, contract)
    if not is_app_only:
        principal = lend_roles(
            signed_claims.get(claims.SCOPES), contract.delegated_scopes, principal
        )
    check_roles(principal)
    return principal


def lend_roles(
    scopes: object, lent_by: Mapping[str, frozenset[str]], principal: Principal
) -> Principal:
    """Return the caller with those of the user's roles that the token's scopes lend.

    Raises:
        AccessDenied: no scope lends any here, or the token has none of those that do.

    """
    without_roles = principal._replace(roles=frozenset())
    if not lent_by:
        raise AccessDenied(Reason.DELEGATED_TOKEN, without_roles)
    named = lent_by.keys() & scopes.split(" ") if isinstance(scopes, str) else ()
    if not named:
        raise AccessDenied(Reason.MISSING_SCOPE, without_roles)
    lent = frozenset[str]().union(*(lent_by[scope] for scope in named))
    return principal._replace(roles=principal.roles & lent)
