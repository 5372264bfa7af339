"""Explains a token: every check that the verifier makes, and not only the first that fails.

The checks are the verifier's own functions, in its order, over its own table. What is added here is
that they go on after a failure, and words. Nothing here lets anyone in, and the handler does not
import it: a caller learns nothing from it, and a cold start pays nothing for it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from aws_authorizer.claim_checks import (
    ClaimContract,
    Rule,
    SignedClaims,
    check_client,
    check_identity_type,
    check_key_issuer,
    check_order,
    check_roles,
    check_roles_are_here,
    check_validity,
    find_broken_rule,
    find_furthest,
    lend_roles,
    parse_validity,
    read_principal,
)
from aws_authorizer.errors import AccessDenied, KeySetUnavailable, TokenRejected
from aws_authorizer.explanation.expectations import (
    EXPECTED,
    HEADER_EXPECTED,
    describe_header_member,
    describe_roles,
    list_names,
)
from aws_authorizer.explanation.explained_checks import Check, CheckStatus, Explanation, Outcome
from aws_authorizer.explanation.fixes import advise
from aws_authorizer.explanation.refused_token import RefusedToken
from aws_authorizer.explanation.shown_values import (
    count,
    show,
    show_claim,
    show_duration,
    show_header_member,
    show_time,
)
from aws_authorizer.key_set import KeySource
from aws_authorizer.signing_key import SigningKey
from aws_authorizer.token import (
    ALGORITHM,
    HEADER_CHECKS,
    MAX_TOKEN_CHARACTERS,
    encode_token,
    read_claims,
    read_header,
    split_token,
)
from shared import claims
from shared.clock import Clock
from shared.contract import ApiIdentity
from shared.principal import Principal
from shared.reasons import Reason


class _Parts(NamedTuple):
    """A token's parts, as `split_token` returns them."""

    header_segment: bytes = b""
    claims_bytes: bytes = b""
    signing_input: bytes = b""
    signature: bytes = b""


def explain_token(
    unverified_token: str,
    contract: ClaimContract,
    key_sources: Mapping[str, KeySource],
    clock: Clock,
    *,
    api: ApiIdentity,
) -> Explanation:
    """Return what `Verifier.verify` decides about the token, and every check behind that.

    It takes about as long as the verifier: the token is bounded alike, and its key is asked for
    once. Like there, whether Entra ID has revoked the token is not checked.

    Args:
        unverified_token: what followed `Bearer` in the header.
        contract: what the verifier has.
        key_sources: the same.
        clock: the same.
        api: the API that the contract was made for, to say in words what to change.

    """
    return _Explaining(unverified_token, contract, key_sources, clock.now(), api).explain()


class _Explaining:
    """Runs the checks on one token, and keeps what came of them."""

    def __init__(
        self,
        encoded: str,
        contract: ClaimContract,
        key_sources: Mapping[str, KeySource],
        now: float,
        api: ApiIdentity,
    ) -> None:
        self._encoded = encoded
        self._contract = contract
        self._key_sources = key_sources
        self._now = now
        self._api = api
        self._checks: list[Check] = []
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self._first: tuple[Outcome, Reason] | None = None
        self._header: Mapping[str, object] = {}
        self._claims: Mapping[str, object] = {}
        self._closest = contract.accepted[0][0]

    def explain(self) -> Explanation:
        parts = self._explain_form()
        self._explain_header(parts)
        claims_read = self._explain_claims(parts)
        self._explain_identity(claims_read)
        self._explain_times()
        is_verified = self._explain_signature(parts)
        principal = self._explain_access()
        outcome, reason = self._first or (Outcome.ALLOWED, Reason.ALLOWED)
        return Explanation(
            outcome, reason, tuple(self._checks), self._closest, is_verified, principal
        )

    # --- one check

    def _try[T](
        self,
        check: str,
        expected: str,
        found: str,
        run: Callable[[], T],
        needs: tuple[str, ...] = (),
    ) -> T | None:
        """Run a check unless it needs another one that has not passed; None if it did not pass."""
        missing = [name for name in needs if name not in self._passed]
        if missing:
            self._add(Check(check, CheckStatus.NOT_REACHED, expected, f"needs {missing[0]}"))
            return None
        try:
            result = run()
        except (TokenRejected, AccessDenied) as refused:
            is_denied = isinstance(refused, AccessDenied)
            self._fail(
                check,
                expected,
                found,
                refused.reason,
                Outcome.DENIED if is_denied else Outcome.REJECTED,
            )
            return None
        except KeySetUnavailable as unavailable:
            reason = unavailable.reason
            self._first = self._first or (Outcome.UNDECIDED, reason)
            found = f"the keys cannot be had: {show(unavailable.detail)}"
            self._add(
                Check(check, CheckStatus.NOT_REACHED, expected, found, reason, self._advise(reason))
            )
            return None
        self._passed.add(check)
        self._add(Check(check, CheckStatus.PASSED, expected, found))
        return result

    def _fail(
        self, check: str, expected: str, found: str, reason: Reason, outcome: Outcome
    ) -> None:
        fix = self._advise(reason)
        self._failed.add(check)
        self._first = self._first or (outcome, reason)
        self._add(Check(check, CheckStatus.FAILED, expected, found, reason, fix))

    def _advise(self, reason: Reason) -> str:
        return advise(
            reason,
            RefusedToken(
                self._encoded,
                self._header,
                self._claims,
                self._closest,
                self._contract,
                self._api,
                self._now,
                frozenset(self._failed),
            ),
        )

    def _add(self, check: Check) -> None:
        self._checks.append(check)

    # --- form

    def _explain_form(self) -> _Parts:
        encoded = self._try(
            "characters",
            f"at most {MAX_TOKEN_CHARACTERS:,}, all of them ASCII",
            f"{len(self._encoded):,}",
            lambda: encode_token(self._encoded),
        )
        parts = self._try(
            "form",
            "three parts in base64url, with dots between them",
            "" if encoded is None else count(encoded.count(b".") + 1, "part"),
            lambda: split_token(encoded or b""),
            ("characters",),
        )
        return _Parts(*parts) if parts is not None else _Parts()

    def _explain_header(self, parts: _Parts) -> None:
        header = self._try(
            "header",
            "one JSON object, readable in one way only",
            count(len(parts.header_segment), "character"),
            lambda: read_header(parts.header_segment),
            ("form",),
        )
        self._header = header or {}
        for member, run in HEADER_CHECKS.items():
            self._try(
                member,
                HEADER_EXPECTED[member],
                describe_header_member(self._header, member),
                partial(run, self._header),
                ("header",),
            )

    def _explain_claims(self, parts: _Parts) -> Mapping[str, object] | None:
        read = self._try(
            "claims",
            "one JSON object, readable in one way only",
            count(len(parts.claims_bytes), "byte"),
            lambda: read_claims(parts.claims_bytes),
            ("form",),
        )
        self._claims = read or {}
        return read

    # --- what the claims say

    def _explain_identity(self, read: Mapping[str, object] | None) -> None:
        accepted = self._contract.accepted
        self._closest, rules = accepted[0 if read is None else self._find_closest(read)]
        for rule in rules:
            needs = ["claims"]
            if rule.reason is Reason.CONFLICTING_CLIENT:
                # It compares with the claim that names the client; without that there is none.
                needs.append(self._closest.client_claim)
            self._try(
                rule.claim,
                EXPECTED[rule.claim](self._closest),
                show_claim(self._claims, rule.claim),
                partial(self._check_rule, rule),
                tuple(needs),
            )

    def _find_closest(self, read: Mapping[str, object]) -> int:
        """Return which of the accepted kinds of token the verifier's reason is about."""
        broken = []
        for number, (token, rules) in enumerate(self._contract.accepted):
            rule = find_broken_rule(read, token, rules)
            if rule is None:
                return number
            broken.append(rule)
        return broken.index(find_furthest(broken))

    def _check_rule(self, rule: Rule) -> None:
        if find_broken_rule(self._claims, self._closest, (rule,)) is not None:
            raise TokenRejected(rule.reason)

    def _explain_times(self) -> None:
        validity = self._try(
            "times",
            "exp, and nbf or iat, in seconds since 1970, at most 2 days apart",
            self._describe_times(),
            lambda: parse_validity(self._claims, self._contract.leeway),
            ("claims",),
        )
        self._try(
            "validity",
            f"now, {show_time(self._now)}, or {show_duration(self._contract.leeway)} beside it",
            self._describe_validity(validity),
            lambda: check_validity(*validity, self._now) if validity is not None else None,
            ("times",),
        )
        self._try(
            "order",
            "exp not before nbf and iat",
            self._describe_times(),
            lambda: check_order(self._claims),
            ("times",),
        )

    def _describe_times(self) -> str:
        times = (claims.ISSUED_AT, claims.NOT_BEFORE, claims.EXPIRES_AT)
        said = [f"{name} {show_time(self._claims[name])}" for name in times if name in self._claims]
        return ", ".join(said) or "absent"

    def _describe_validity(self, validity: tuple[float, float] | None) -> str:
        if validity is None:
            return ""
        leeway = self._contract.leeway
        begins, ends = validity[0] + leeway, validity[1] - leeway
        if self._now < begins:
            return f"begins in {show_duration(begins - self._now)}"
        if self._now >= ends:
            return f"ended {show_duration(self._now - ends)} ago"
        return f"ends in {show_duration(ends - self._now)}"

    # --- who vouches for it

    def _explain_signature(self, parts: _Parts) -> bool:
        closest = self._closest
        key_id = self._header.get("kid")
        # The keys of another tenant are other keys, so to look for its key here tells nothing.
        key = self._try(
            "key",
            f"a key that the tenant {closest.tenant_id} publishes",
            show_header_member(self._header, "kid"),
            lambda: self._get_key(str(key_id)),
            ("kid", claims.TENANT_ID),
        )
        self._try(
            "key_issuer",
            f"a key of {closest.key_issuer}, or of none in particular",
            "" if key is None else show(key.issuer) if key.issuer else "of none in particular",
            lambda: check_key_issuer(key.issuer if key is not None else None, closest),
            ("key",),
        )
        self._try(
            "signature",
            f"{ALGORITHM} by that key, over header and claims",
            "checked",
            lambda: _check_signature(key, parts),
            ("key",),
        )
        return {"key_issuer", "signature"} <= self._passed

    def _get_key(self, key_id: str) -> SigningKey:
        key = self._key_sources[self._closest.tenant_id].get_signing_key(key_id)
        if key is None:
            raise TokenRejected(Reason.UNKNOWN_KEY)
        return key

    # --- what the caller may do

    def _explain_access(self) -> Principal | None:
        contract = self._contract
        # As though the signature had passed: whether it has is another check's, and to explain what
        # a token says grants nothing.
        supposed = SignedClaims(dict(self._claims))
        lending = sorted(contract.delegated_scopes)
        is_app_only = self._try(
            claims.IDENTITY_TYPE,
            "app without scp, or user with scp; without it, sub and oid alike or scp",
            self._describe_identity_type(),
            lambda: check_identity_type(supposed),
            (claims.OBJECT_ID,),
        )
        self._try(
            "roles_in_token",
            "no reference in place of the roles",
            "absent" if "_claim_names" not in supposed else "there is a reference",
            lambda: check_roles_are_here(supposed),
            ("claims",),
        )
        named = self._try_principal(supposed)
        self._try(
            "client",
            f"one of ALLOWED_CLIENT_IDS: {list_names(contract.client_ids)}",
            "" if named is None else show(named.client_id),
            lambda: None if named is None else check_client(named, contract),
            (self._closest.client_claim, claims.OBJECT_ID, claims.ROLES),
        )
        lent = self._try(
            claims.SCOPES,
            f"absent, or one of {list_names(lending)}"
            if lending
            else "absent: no user's token is taken",
            show_claim(supposed, claims.SCOPES),
            lambda: self._lend(supposed, named, is_app_only=bool(is_app_only)),
            (claims.IDENTITY_TYPE, self._closest.client_claim, claims.ROLES),
        )
        self._try(
            "role",
            f"one of {list_names(contract.roles)}",
            describe_roles(supposed, lent),
            lambda: None if lent is None else check_roles(lent),
            (claims.SCOPES, "roles_in_token"),
        )
        is_admitted = {"client", "role"} <= self._passed
        return lent if is_admitted else None

    def _try_principal(self, supposed: SignedClaims) -> Principal | None:
        if {self._closest.client_claim, claims.OBJECT_ID, claims.ROLES} <= self._passed:
            return read_principal(supposed, self._closest, self._contract)
        return None

    def _lend(
        self, supposed: SignedClaims, named: Principal | None, *, is_app_only: bool
    ) -> Principal | None:
        if named is None or is_app_only:
            return named
        return lend_roles(supposed.get(claims.SCOPES), self._contract.delegated_scopes, named)

    def _describe_identity_type(self) -> str:
        said = show_claim(self._claims, claims.IDENTITY_TYPE)
        return f"{said}, {'with' if claims.SCOPES in self._claims else 'without'} scp"


def _check_signature(key: SigningKey | None, parts: _Parts) -> None:
    if key is None or not key.verifies(parts.signing_input, parts.signature):
        raise TokenRejected(Reason.BAD_SIGNATURE)
