"""Verifies one access token: what it proves, or a typed reason why it proves nothing.

Built from plain values; it reads no environment and, unless its key source does, no network. The
order is: form, cheap refusals, key, signature, and only then anything that grants.
"""

from collections.abc import Mapping

from aws_authorizer.claim_checks import (
    ClaimContract,
    SignedClaims,
    check_access,
    check_identity,
    check_key_issuer,
    check_order,
    check_validity,
    parse_validity,
)
from aws_authorizer.errors import TokenRejected
from aws_authorizer.key_set import KeySource
from aws_authorizer.token import encode_token, parse_token
from aws_authorizer.verified_token_cache import VerifiedToken, VerifiedTokenCache
from shared.clock import Clock
from shared.principal import Principal
from shared.reasons import Reason


class Verifier:
    """Verifies access tokens against one claim contract."""

    def __init__(
        self,
        contract: ClaimContract,
        key_sources: Mapping[str, KeySource],
        clock: Clock,
        *,
        cache_size: int = 1_024,
    ) -> None:
        """Take the contract, and where the keys of each tenant in it come from.

        Raises:
            ValueError: a tenant of the contract has no key source.

        """
        if contract.tenant_ids - key_sources.keys():
            raise ValueError("a tenant without keys")
        self._contract = contract
        self._key_sources = key_sources
        self._clock = clock
        self._cache = VerifiedTokenCache(cache_size)

    def verify(self, unverified_token: str) -> Principal:
        """Return the caller that the token proves.

        Not checked: whether the caller's roles open the route that was asked for, which the policy
        decides, and whether Entra ID has revoked the token since, which only Entra ID knows.

        Raises:
            TokenRejected: it proves nothing here.
            AccessDenied: it proves a caller whom the contract does not admit.
            KeySetUnavailable: its signature cannot be checked.

        """
        token = encode_token(unverified_token)
        known = self._cache.get(token)
        if known is not None:
            if self._is_still_good(known):
                return known.principal
            self._cache.drop(token)
        verified = self._verify_signature(token)
        self._cache.put(token, verified)
        return verified.principal

    def _is_still_good(self, known: VerifiedToken) -> bool:
        _, begins, ends, key, tenant_id = known
        return (
            begins <= self._clock.now() < ends
            and self._key_sources[tenant_id].get_signing_key(key.key_id) is key
        )

    def _verify_signature(self, token: bytes) -> VerifiedToken:
        contract = self._contract
        key_id, unverified_claims, signing_input, signature = parse_token(token)
        accepted = check_identity(unverified_claims, contract)
        begins, ends = parse_validity(unverified_claims, contract.leeway)
        check_validity(begins, ends, self._clock.now())
        check_order(unverified_claims)
        tenant_id = accepted.tenant_id
        key = self._key_sources[tenant_id].get_signing_key(key_id)
        if key is None:
            raise TokenRejected(Reason.UNKNOWN_KEY)
        check_key_issuer(key.issuer, accepted)
        if not key.verifies(signing_input, signature):
            raise TokenRejected(Reason.BAD_SIGNATURE)
        principal = check_access(SignedClaims(unverified_claims), accepted, contract)
        return VerifiedToken(principal, begins, ends, key, tenant_id)
