"""Remembers tokens whose signature has passed, so that it is computed once for each.

An entry is good only while its token is, and only while the key that verified it is still the one
that the issuer publishes: a removed key ends it at once. The token itself is what it is found by,
and stays in this process's memory: a digest would need a hash at every call, and a library that
takes longer to load than the rest of the authorizer (docs/adr/0006).
"""

from collections import OrderedDict
from contextlib import suppress
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


class VerifiedTokenCache:
    """At most `capacity` verified tokens; the oldest one makes room."""

    def __init__(self, capacity: int) -> None:
        """Take the number of tokens; zero remembers none."""
        self._capacity = capacity
        # Not a plain one: to find its oldest entry takes longer, the more were removed before.
        self._entries: OrderedDict[bytes, VerifiedToken] = OrderedDict()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._entries)

    def get(self, token: bytes) -> VerifiedToken | None:
        """Return what is remembered of a token, if anything is."""
        return self._entries.get(token)

    def put(self, token: bytes, verified: VerifiedToken) -> None:
        """Remember a token that has just been verified."""
        if self._capacity <= 0:
            return
        entries = self._entries
        while len(entries) >= self._capacity:
            # There may be none when another thread was quicker.
            with suppress(KeyError):
                entries.popitem(last=False)
        entries[token] = verified

    def drop(self, token: bytes) -> None:
        """Forget a token."""
        self._entries.pop(token, None)
