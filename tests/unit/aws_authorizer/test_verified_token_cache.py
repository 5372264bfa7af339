"""The verified-token cache."""

import time

from aws_authorizer.verified_token_cache import VerifiedToken, VerifiedTokenCache
from shared.principal import Principal
from tests.support.keys import TENANT_ID, signing_key
from tests.support.tokens import CLIENT_ID, OBJECT_ID

TOKEN = VerifiedToken(
    Principal(OBJECT_ID, TENANT_ID, CLIENT_ID, frozenset(), ""), 0.0, 1.0, signing_key(), TENANT_ID
)


def test_when_a_token_is_put_then_it_is_found() -> None:
    """That token and no other."""
    cache = VerifiedTokenCache(2)
    cache.put(b"a", TOKEN)

    assert TOKEN is cache.get(b"a")
    assert cache.get(b"b") is None


def test_when_the_cache_is_full_then_the_oldest_makes_room() -> None:
    """It never holds more than its capacity."""
    cache = VerifiedTokenCache(2)
    for token in (b"a", b"b", b"c"):
        cache.put(token, TOKEN)

    assert 2 == len(cache)
    assert cache.get(b"a") is None
    assert TOKEN is cache.get(b"c")


def test_when_the_capacity_is_zero_then_nothing_is_remembered() -> None:
    """Zero turns the cache off."""
    cache = VerifiedTokenCache(0)
    cache.put(b"a", TOKEN)

    assert 0 == len(cache)


def test_when_a_token_is_dropped_then_it_is_gone() -> None:
    """Dropping what is not there is no fault."""
    cache = VerifiedTokenCache(2)
    cache.put(b"a", TOKEN)
    cache.drop(b"a")
    cache.drop(b"a")

    assert cache.get(b"a") is None


def test_when_a_large_cache_is_full_then_a_token_takes_no_longer_to_remember() -> None:
    """A flood of good tokens costs each of them the same, whatever the capacity."""

    def fill(capacity: int) -> float:
        cache = VerifiedTokenCache(capacity)
        for i in range(capacity):
            cache.put(b"%d" % i, TOKEN)
        begun = time.thread_time()
        for i in range(100_000):
            cache.put(b"further %d" % i, TOKEN)
        return time.thread_time() - begun

    assert fill(50_000) < 8 * min(fill(1_000) for _ in range(3))
