"""Remembers tokens whose signature has passed, so that it is computed once for each.

An entry is good only while its token is, and only while the key that verified it is still the one
that the issuer publishes: a removed key ends it at once. Tokens themselves are not kept, only their
digests.
"""

from hashlib import sha256
from typing import NamedTuple

from aws_authorizer.signing_key import SigningKey
from shared.principal import Principal


class VerifiedToken(NamedTuple):
    """What a token proved, and what that rests on."""

    principal: Principal
    begins: float
    """When the token begins to be good and when it ends, leeway included; seconds since 1970."""
    ends: float
    key: SigningKey
    tenant_id: str


def token_digest(octets: bytes) -> bytes:
    """What a token is remembered by."""
    return sha256(octets).digest()


class VerifiedTokenCache:
    """At most `capacity` verified tokens by their digests; the oldest one makes room."""

    def __init__(self, capacity: int) -> None:
        """Take the number of tokens; zero remembers none."""
        self._capacity = capacity
        self._entries: dict[bytes, VerifiedToken] = {}
        self.get = self._entries.get

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)

    def put(self, digest: bytes, token: VerifiedToken) -> None:
        """Remember a token that has just been verified."""
        if self._capacity <= 0:
            return
        entries = self._entries
        while len(entries) >= self._capacity:
            # None when another thread was quicker.
            entries.pop(next(iter(entries), b""), None)
        entries[digest] = token

    def drop(self, digest: bytes) -> None:
        """Forget a token."""
        self._entries.pop(digest, None)
