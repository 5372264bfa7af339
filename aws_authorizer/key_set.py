"""Which keys may vouch for a token right now: fresh, stale or expired, and when to fetch again.

    fresh     younger than its maximal age: used as it is; an unknown `kid` causes a fetch
    stale     older: a fetch is due, and while that fails the set is still used (last known good)
    expired   older than its bound: not used; without a new one nothing can be decided

Every attempt to fetch starts a cool-down in which there is no other, unless it found the key that
it was made for: then a key that is rotated the next moment need not wait. Without a usable set the
first cool-down is short, because every call fails until it ends; each further failure doubles it.
A cool-down ends with the set that it was made for, at the latest.
One fetch is in flight at a time. An answer without a usable key never replaces a set that has some.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from aws_authorizer.errors import KeySetUnavailable
from aws_authorizer.key_set_fetch import Fetch, FetchFailed
from aws_authorizer.signing_key import KeySetMalformed, SigningKey, parse_key_set
from shared.clock import Clock

MIN_MAX_AGE_SECONDS: Final = 300.0
"""A server that forbids caching would have every sandbox ask at every call."""


class KeySource(Protocol):
    """Says which key has an ID."""

    def get_signing_key(self, key_id: str) -> SigningKey | None:
        """Return the key; None if the issuer publishes none with this ID.

        Raises:
            KeySetUnavailable: there is no usable set to tell by.

        """


class StaticKeySet:
    """Keys that never change: for tests, benchmarks, and use without a network."""

    def __init__(self, keys: Mapping[str, SigningKey]) -> None:
        """Take the keys by their ID."""
        self._keys = keys

    def get_signing_key(self, key_id: str) -> SigningKey | None:
        """Return the key, or None."""
        return self._keys.get(key_id)


class KeySetPolicy(NamedTuple):
    """How long a key set may be used, and how often one may be asked for. Seconds throughout."""

    max_age: float = 3_600.0
    """Fresh for so long at most, whatever the server allows."""
    max_stale: float = 86_400.0
    """Expired from then on, counted like the age from the moment of the fetch."""
    cool_down: float = 30.0
    """Between two attempts."""
    first_cool_down_without_keys: float = 0.75
    """After the first failed attempt with no set to fall back on; each further one doubles it."""
    cool_down_without_keys: float = 5.0
    """The longest that the doubling comes to."""

    def back_off(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, with no set to fall back on."""
        doubled = self.first_cool_down_without_keys * (1 << min(max(failures - 1, 0), 16))
        return min(doubled, self.cool_down_without_keys)


class FetchResult(NamedTuple):
    """What came of one attempt to fetch a key set."""

    code: str
    """`ok`, or a stable code that says why there is no new set."""
    seconds: float
    contradicted_key_ids: frozenset[str] = frozenset()
    """The IDs under which the new set has several keys, or a private one; none of them is used."""


class Moment(NamedTuple):
    """A moment on both clocks.

    The monotonic clock may stand still while Lambda freezes the process, and the wall clock may be
    set back, so whichever says that more time has passed is believed.
    """

    monotonic: float
    wall: float

    def age(self, clock: Clock) -> float:
        """Return how many seconds ago it was."""
        return max(clock.monotonic() - self.monotonic, clock.now() - self.wall)

    def plus(self, seconds: float) -> "Moment":
        """Return the moment that much later."""
        return Moment(self.monotonic + seconds, self.wall + seconds)

    def or_earlier(self, other: "Moment") -> "Moment":
        """Return this moment or the other one, on each clock the earlier."""
        return Moment(min(self.monotonic, other.monotonic), min(self.wall, other.wall))

    def has_come(self, clock: Clock) -> bool:
        """Return whether it is now, or past."""
        return clock.now() >= self.wall or clock.monotonic() >= self.monotonic


def read_moment(clock: Clock) -> Moment:
    """Return the present moment."""
    return Moment(clock.monotonic(), clock.now())


class HeldKeySet(NamedTuple):
    """A key set and its times."""

    keys: Mapping[str, SigningKey]
    since: Moment
    """When the issuer answered with it."""
    fresh_until: Moment
    usable_until: Moment


def hold_bundled_key_set(
    keys: Mapping[str, SigningKey],
    retrieved_at: float,
    clock: Clock,
    *,
    fresh_for: float,
    max_age: float,
) -> HeldKeySet | None:
    """Return a key set from the deployment bundle, for the time until the first fetch.

    A process that has just started uses it without a network for `fresh_for` seconds, then tries to
    fetch. It expires `max_age` seconds after it was retrieved; None if it has already, or if it
    says that it comes from the future.
    """
    age = clock.now() - retrieved_at
    remaining = max_age - age
    if remaining <= 0 or age < -MIN_MAX_AGE_SECONDS:
        return None
    now = read_moment(clock)
    return HeldKeySet(
        keys, now.plus(-age), now.plus(min(fresh_for, remaining)), now.plus(remaining)
    )


class RemoteKeySet:
    """The key set of one tenant, fetched when it must be, held as long as it may be."""

    def __init__(
        self,
        fetch: Fetch,
        clock: Clock,
        policy: KeySetPolicy,
        *,
        bundled: HeldKeySet | None = None,
        on_fetch: Callable[[FetchResult], None] = lambda _result: None,
    ) -> None:
        """Take the way to fetch, and a set to begin with.

        `on_fetch` is told what came of each attempt.
        """
        self._fetch = fetch
        self._clock = clock
        self._policy = policy
        self._on_fetch = on_fetch
        self._held = bundled
        self._flight = threading.Lock()
        self._may_attempt_at: Moment | None = None
        self._last_failure: str | None = None
        self._failures_in_a_row = 0

    def get_signing_key(self, key_id: str) -> SigningKey | None:
        """Return the key; None if the tenant publishes none with this ID.

        Raises:
            KeySetUnavailable: there is no usable set, or the key is not in the last known good one
                and the latest attempt to get a newer one has failed.

        """
        held = self._held
        if held is not None and not held.fresh_until.has_come(self._clock):
            key = held.keys.get(key_id)
            if key is not None:
                return key
        return self._get_after_refresh(key_id)

    def get_age_seconds(self) -> float | None:
        """Return how long ago the issuer answered with the set that is held; None without one."""
        return None if self._held is None else self._held.since.age(self._clock)

    def _get_after_refresh(self, key_id: str) -> SigningKey | None:
        held = self._get_usable()
        # A caller with a key to go on with does not wait for another caller's fetch.
        self._refresh(key_id, wait=held is None or key_id not in held.keys)
        held = self._get_usable()
        if held is None:
            raise KeySetUnavailable(self._last_failure or "never_fetched")
        key = held.keys.get(key_id)
        if key is None and self._last_failure is not None:
            raise KeySetUnavailable(self._last_failure)
        return key

    def _get_usable(self) -> HeldKeySet | None:
        held = self._held
        return None if held is None or held.usable_until.has_come(self._clock) else held

    def _refresh(self, key_id: str, *, wait: bool) -> None:
        if not self._flight.acquire(blocking=wait):
            return
        try:
            # A caller that waited finds what came of that fetch: the key, or the
            # cool-down.
            if not self._has_fresh(key_id) and (
                self._may_attempt_at is None or self._may_attempt_at.has_come(self._clock)
            ):
                self._attempt(key_id)
        finally:
            self._flight.release()

    def _has_fresh(self, key_id: str) -> bool:
        held = self._held
        return (
            held is not None and not held.fresh_until.has_come(self._clock) and key_id in held.keys
        )

    def _attempt(self, key_id: str) -> None:
        began = self._clock.monotonic()
        self._arm_cool_down()
        contradicted: frozenset[str] = frozenset()
        try:
            answer = self._fetch()
            keys, contradicted = parse_key_set(answer.body)
        except (FetchFailed, KeySetMalformed) as failure:
            self._note_failure(str(failure))
        except Exception as fault:  # noqa: BLE001 - whatever it is, there may be a stale set to go on with
            self._note_failure(f"failed_{type(fault).__name__}")
        else:
            self._last_failure = None
            self._failures_in_a_row = 0
            self._hold(dict(keys), answer.max_age)
        if self._has_fresh(key_id):
            self._may_attempt_at = None
        else:
            # Again, because the fetch took time and may have changed what there is to fall back on.
            self._arm_cool_down()
        seconds = self._clock.monotonic() - began
        self._on_fetch(FetchResult(self._last_failure or "ok", seconds, contradicted))

    def _note_failure(self, code: str) -> None:
        self._last_failure = code
        self._failures_in_a_row += 1

    def _arm_cool_down(self) -> None:
        now, held = read_moment(self._clock), self._get_usable()
        if held is None:
            wait = self._policy.back_off(self._failures_in_a_row)
            self._may_attempt_at = now.plus(wait)
        else:
            # When the set expires, every call fails until there is another one.
            self._may_attempt_at = now.plus(self._policy.cool_down).or_earlier(held.usable_until)

    def _hold(self, keys: dict[str, SigningKey], max_age: float | None) -> None:
        policy = self._policy
        if self._held is not None:
            # A key that has not changed stays the same object, so what it verified stays verified.
            for key_id, known in self._held.keys.items():
                if key_id in keys and keys[key_id].material == known.material:
                    keys[key_id] = known
        allowed = policy.max_age if max_age is None else min(max_age, policy.max_age)
        fresh_for = max(allowed, min(MIN_MAX_AGE_SECONDS, policy.max_age))
        now = read_moment(self._clock)
        self._held = HeldKeySet(keys, now, now.plus(fresh_for), now.plus(policy.max_stale))
