"""Managed identity tokens are kept as Azure keeps them."""

from emulator.entra.identity_token_cache import IdentityTokenCache
from tests.support.fake_clock import FakeClock

DAY = 86_400


class Endpoint:
    """Makes a token response that is good for a day, and counts."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.made = 0

    def __call__(self) -> dict[str, object]:
        self.made += 1
        return {"access_token": f"t{self.made}", "expires_on": str(int(self.clock.now()) + DAY)}


def test_when_it_is_asked_again_within_the_day_then_the_token_is_the_same() -> None:
    """Until five minutes before its end, whatever has changed."""
    clock = FakeClock()
    cache, make = IdentityTokenCache(clock), Endpoint(clock)
    first = cache.get("id", "api://x", make)
    clock.advance(DAY - 301)

    assert first == cache.get("id", "api://x", make)
    clock.advance(1)
    assert first != cache.get("id", "api://x", make)
    assert 2 == make.made


def test_when_the_resource_or_the_identity_differs_then_so_does_the_token() -> None:
    """Each pair has its own."""
    clock = FakeClock()
    cache, make = IdentityTokenCache(clock), Endpoint(clock)

    tokens = {
        str(cache.get(identity, resource, make)["access_token"])
        for identity in ("a", "b")
        for resource in ("api://x", "api://y")
    }

    assert 4 == len(tokens)


def test_when_what_it_gave_is_changed_then_what_it_keeps_is_not() -> None:
    """A caller's dict is the caller's."""
    clock = FakeClock()
    cache, make = IdentityTokenCache(clock), Endpoint(clock)
    cache.get("id", "api://x", make).clear()

    assert "t1" == cache.get("id", "api://x", make)["access_token"]
