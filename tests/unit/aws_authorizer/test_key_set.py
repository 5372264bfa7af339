"""The key set policy, by the clock."""

import threading
from collections.abc import Callable

import pytest

from aws_authorizer.errors import KeySetUnavailable
from aws_authorizer.key_set import (
    FetchResult,
    HeldKeySet,
    KeySetPolicy,
    Moment,
    RemoteKeySet,
    StaticKeySet,
    hold_bundled_key_set,
    read_moment,
)
from aws_authorizer.key_set_fetch import FetchedKeySet, FetchFailed
from aws_authorizer.signing_key import parse_key_set
from tests.support.fake_clock import FakeClock
from tests.support.keys import KEY_ID, jwk, key_set, signing_key

POLICY = KeySetPolicy(max_age=3600, max_stale=86_400, cool_down=30, cool_down_without_keys=5)
NEW_ID = "key-2"
ONE_KEY = key_set()


class FakeFetch:
    """Answers with what tests put in, and counts how often it was asked."""

    def __init__(self, answer: bytes | FetchFailed = ONE_KEY, max_age: float | None = None) -> None:
        """Answer with a body, or fail."""
        self.answer = answer
        self.max_age = max_age
        self.calls = 0
        self.before_answer: Callable[[], object] = lambda: None

    def __call__(self) -> FetchedKeySet:
        """One attempt."""
        self.calls += 1
        self.before_answer()
        if isinstance(self.answer, FetchFailed):
            raise self.answer
        return FetchedKeySet(self.answer, self.max_age)


DOWN = FetchFailed("unreachable")


def remote(
    fetch: FakeFetch,
    clock: FakeClock,
    *,
    bundled: HeldKeySet | None = None,
    results: list[FetchResult] | None = None,
) -> RemoteKeySet:
    """A key set under the test's policy."""
    seen = [] if results is None else results
    return RemoteKeySet(fetch, clock, POLICY, bundled=bundled, on_fetch=seen.append)


def has(keys: RemoteKeySet, key_id: str = KEY_ID) -> bool:
    """Whether the key is found."""
    return keys.get_signing_key(key_id) is not None


def test_when_no_policy_is_given_then_these_are_its_times() -> None:
    """An hour fresh, a day usable, half a minute between attempts, less without any key."""
    assert (3_600, 86_400, 30, 0.75, 5) == tuple(KeySetPolicy())


def test_when_keys_are_static_then_they_are_what_they_are() -> None:
    """Found or not, never anything else."""
    key = signing_key()

    assert key is StaticKeySet({KEY_ID: key}).get_signing_key(KEY_ID)
    assert StaticKeySet({}).get_signing_key(KEY_ID) is None


def test_when_nothing_is_held_then_the_first_call_fetches() -> None:
    """And the second does not."""
    fetch = FakeFetch()
    keys = remote(fetch, FakeClock())

    assert keys.get_age_seconds() is None
    assert has(keys)
    assert has(keys)
    assert 1 == fetch.calls


@pytest.mark.parametrize(
    ("max_age", "fresh_for"),
    [(None, 3600), (1800.0, 1800), (86_400.0, 3600), (0.0, 300), (299.0, 300), (301.0, 301)],
)
def test_when_the_server_says_max_age_then_it_counts_within_bounds(
    max_age: float | None, fresh_for: float
) -> None:
    """Cache-Control is honored, but neither below five minutes nor above the policy."""
    fetch, clock = FakeFetch(max_age=max_age), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(fresh_for - 1)
    has(keys)
    assert 1 == fetch.calls

    clock.advance(1)
    has(keys)
    assert 2 == fetch.calls


def test_when_a_set_is_stale_and_the_endpoint_is_down_then_it_serves_until_its_bound() -> None:
    """Last known good, bounded, with one attempt a cool-down."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    fetch.answer = DOWN
    clock.advance(86_399)

    assert has(keys)
    assert 2 == fetch.calls

    clock.advance(1)
    with pytest.raises(KeySetUnavailable, match="unreachable"):
        has(keys)


def test_when_a_stale_set_is_fetched_anew_then_removed_keys_are_gone() -> None:
    """The new answer replaces the old one whole."""
    fetch, clock = FakeFetch(key_set(jwk(), jwk(NEW_ID))), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    fetch.answer = key_set(jwk(NEW_ID))
    clock.advance(3600)

    assert not has(keys)
    assert has(keys, NEW_ID)


def test_when_a_fetch_fails_then_the_cool_down_holds_all_the_same() -> None:
    """Armed on every attempt, not on success alone; and when it is over, there is one attempt."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    fetch.answer = DOWN
    clock.advance(3600)
    for _ in range(50):
        assert has(keys)
    assert 2 == fetch.calls

    clock.advance(29)
    has(keys)
    assert 2 == fetch.calls

    clock.advance(1)
    has(keys)
    assert 3 == fetch.calls


def test_when_there_are_no_keys_then_the_first_attempt_is_repeated_within_a_second() -> None:
    """One lost packet at a cold start must not cost every caller of five seconds a 500."""
    fetch, clock = FakeFetch(DOWN), FakeClock()
    keys = remote(fetch, clock)
    for _ in range(50):
        with pytest.raises(KeySetUnavailable):
            has(keys)
    clock.advance(0.5)
    with pytest.raises(KeySetUnavailable):
        has(keys)
    assert 1 == fetch.calls

    clock.advance(0.5)
    fetch.answer = key_set()
    assert has(keys)
    assert 2 == fetch.calls


def test_when_there_are_no_keys_then_each_failure_doubles_the_cool_down() -> None:
    """Up to five seconds: an endpoint that is down is not hammered by every cold start."""
    fetch, clock = FakeFetch(DOWN), FakeClock()
    keys = remote(fetch, clock)
    attempts: list[float] = []
    for tick in range(1_000):
        with pytest.raises(KeySetUnavailable):
            has(keys)
        if fetch.calls > len(attempts):
            attempts.append(tick / 64)
        clock.advance(1 / 64)

    assert [0, 0.75, 2.25, 5.25, 10.25, 15.25] == attempts


def test_when_a_set_expires_in_a_cool_down_then_the_next_attempt_does_not_wait() -> None:
    """The cool-down may be an hour, and from the bound on every call fails."""
    clock, fetch = FakeClock(), FakeFetch()
    keys = remote(fetch, clock)
    assert has(keys)
    clock.advance(POLICY.max_stale - 1)
    fetch.answer = DOWN
    assert has(keys)
    fetch.answer = ONE_KEY
    clock.advance(0.9)
    assert has(keys)
    assert 2 == fetch.calls
    clock.advance(0.2)

    assert has(keys)
    assert 3 == fetch.calls


def test_when_a_fetch_succeeds_then_the_next_failure_counts_as_the_first() -> None:
    """What failed an hour ago says nothing about now."""
    fetch, clock = FakeFetch(DOWN), FakeClock()
    keys = remote(fetch, clock)
    for _ in range(5):
        with pytest.raises(KeySetUnavailable):
            has(keys)
        clock.advance(5)
    fetch.answer = ONE_KEY
    assert has(keys)
    calls = fetch.calls
    fetch.answer = DOWN
    clock.advance(86_400)
    with pytest.raises(KeySetUnavailable):
        has(keys)
    clock.advance(1)
    with pytest.raises(KeySetUnavailable):
        has(keys)
    assert calls + 2 == fetch.calls

    clock.advance(1)
    with pytest.raises(KeySetUnavailable):
        has(keys)
    assert calls + 2 == fetch.calls
    clock.advance(0.5)
    with pytest.raises(KeySetUnavailable):
        has(keys)
    assert calls + 3 == fetch.calls


def test_when_a_new_key_signs_then_it_is_found_at_once() -> None:
    """An unknown ID causes a fetch although the set is fresh."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(30)
    fetch.answer = key_set(jwk(), jwk(NEW_ID))

    assert has(keys, NEW_ID)
    assert 2 == fetch.calls


def test_when_a_key_is_rotated_right_after_a_fetch_then_it_is_found_at_once() -> None:
    """A fetch that found what it was made for leaves no cool-down to wait for."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    fetch.answer = key_set(jwk(), jwk(NEW_ID))

    assert has(keys, NEW_ID)
    assert 2 == fetch.calls


def test_when_the_first_ids_are_bogus_then_they_cause_one_fetch() -> None:
    """A fetch that was due but did not find the key starts the cool-down like any other."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    for number in range(1_000):
        assert not has(keys, f"bogus-{number}")

    assert 1 == fetch.calls


def test_when_bogus_ids_flood_then_there_is_one_fetch_a_cool_down() -> None:
    """A thousand tokens with unknown IDs cause at most one fetch in each cool-down."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(30)
    for number in range(1_000):
        assert not has(keys, f"bogus-{number}")
        clock.advance(0.06)

    # Sixty seconds: at their beginning, and when each of the cool-downs is over.
    assert 1 + 2 <= fetch.calls <= 1 + 3


def test_when_bogus_ids_flood_then_a_new_key_waits_one_cool_down_at_most() -> None:
    """And known keys do not wait at all."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(30)
    assert not has(keys, "bogus")
    fetch.answer = key_set(jwk(), jwk(NEW_ID))

    assert has(keys)
    clock.advance(29)
    assert not has(keys, NEW_ID)
    clock.advance(1)
    assert has(keys, NEW_ID)


def test_when_an_unknown_key_cannot_be_looked_up_then_nothing_is_decided() -> None:
    """It may be a new one. Once a fetch succeeds, an unknown key is unknown."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(30)
    fetch.answer = DOWN
    for _ in range(2):
        with pytest.raises(KeySetUnavailable, match="unreachable"):
            has(keys, NEW_ID)
    assert has(keys)

    clock.advance(30)
    fetch.answer = key_set()
    assert not has(keys, NEW_ID)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (key_set()[:100], "not_json"),
        (b'{"keys":[]}', "no_usable_key"),
        (key_set(jwk(), jwk(issuer=None)), "contradicted_keys"),
    ],
    ids=["empty", "no JSON", "cut off", "no key", "one ID twice"],
)
def test_when_an_answer_has_no_usable_key_then_it_replaces_nothing(body: bytes, code: str) -> None:
    """An outage with status 200 is an outage."""
    fetch, clock, results = FakeFetch(), FakeClock(), list[FetchResult]()
    keys = remote(fetch, clock, results=results)
    has(keys)
    fetch.answer = body
    clock.advance(3600)

    assert has(keys)
    assert [FetchResult("ok", 0.0), FetchResult(code, 0.0)] == results


def test_when_a_key_has_not_changed_then_it_stays_the_same_object() -> None:
    """So what it verified stays verified; a key with the same ID and other material does not."""
    fetch, clock = FakeFetch(key_set(jwk(), jwk(NEW_ID))), FakeClock()
    keys = remote(fetch, clock)
    same, other = keys.get_signing_key(KEY_ID), keys.get_signing_key(NEW_ID)
    clock.advance(3600)
    fetch.answer = key_set(jwk(), jwk("key-3") | {"kid": NEW_ID})

    assert same is keys.get_signing_key(KEY_ID)
    assert other is not keys.get_signing_key(NEW_ID)


def test_when_two_keys_swap_their_ids_then_neither_stays_the_same_object() -> None:
    """A key is the same by its material alone, whichever way the new material sorts."""
    fetch, clock = FakeFetch(key_set(jwk(), jwk(NEW_ID))), FakeClock()
    keys = remote(fetch, clock)
    one, other = keys.get_signing_key(KEY_ID), keys.get_signing_key(NEW_ID)
    clock.advance(3600)
    fetch.answer = key_set(jwk() | {"kid": NEW_ID}, jwk(NEW_ID) | {"kid": KEY_ID})

    assert one is not keys.get_signing_key(KEY_ID)
    assert other is not keys.get_signing_key(NEW_ID)


def test_when_a_fetch_is_made_then_its_result_and_duration_are_told() -> None:
    """For the metrics: one report for each attempt."""
    fetch, clock, results = FakeFetch(DOWN), FakeClock(), list[FetchResult]()
    fetch.before_answer = lambda: clock.advance(1.5)
    keys = remote(fetch, clock, results=results)
    with pytest.raises(KeySetUnavailable):
        has(keys)

    assert [FetchResult("unreachable", 1.5)] == results


def test_when_a_fetch_takes_long_then_the_cool_down_counts_from_its_end() -> None:
    """Or a slow endpoint would be asked again as soon as it had been waited for."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(3600)
    fetch.answer = DOWN
    fetch.before_answer = lambda: clock.advance(40)
    has(keys)
    has(keys)

    assert 2 == fetch.calls


# --- clocks -------------------------------------------------------------------------------------


class SplitClock(FakeClock):
    """Lets each of the two clocks move alone."""

    def advance_wall(self, seconds: float) -> None:
        """Move the wall clock alone, as when Lambda has frozen the process."""
        self._now += seconds

    def advance_monotonic(self, seconds: float) -> None:
        """Move the monotonic clock alone, as when somebody has set the wall clock back."""
        self._monotonic += seconds


@pytest.mark.parametrize("advance", [SplitClock.advance_wall, SplitClock.advance_monotonic])
def test_when_one_clock_stands_still_then_the_other_ages_the_set(
    advance: Callable[[SplitClock, float], None],
) -> None:
    """A frozen process must not keep a withdrawn key, nor must a clock that was set back."""
    fetch, clock = FakeFetch(), SplitClock()
    keys = remote(fetch, clock)
    has(keys)
    advance(clock, 3600)
    has(keys)
    assert 2 == fetch.calls
    assert 0 == keys.get_age_seconds()

    fetch.answer = DOWN
    advance(clock, 86_400)
    assert 86_400 == keys.get_age_seconds()
    with pytest.raises(KeySetUnavailable):
        has(keys)


def test_when_a_moment_is_compared_then_whichever_clock_is_ahead_counts() -> None:
    """For what has passed and for what has come."""
    clock = SplitClock(now=100, monotonic=10)
    moment = read_moment(clock)
    clock.advance_wall(-50)
    clock.advance_monotonic(3)

    assert Moment(10, 100) == moment
    assert 3 == moment.age(clock)
    assert moment.plus(2.9).has_come(clock)
    assert moment.plus(3).has_come(clock)
    assert not moment.plus(3.1).has_come(clock)

    clock.advance_wall(60)
    assert 10 == moment.age(clock)
    assert moment.plus(9.9).has_come(clock)
    assert moment.plus(10).has_come(clock)
    assert not moment.plus(10.1).has_come(clock)


# --- bundled ------------------------------------------------------------------------------------


def bundled(clock: FakeClock, age: float, max_age: float = 1_000) -> HeldKeySet | None:
    """A bundled set that was retrieved so long ago."""
    keys = parse_key_set(key_set()).keys
    return hold_bundled_key_set(keys, clock.now() - age, clock, fresh_for=300, max_age=max_age)


def test_when_a_set_is_bundled_then_a_cold_start_needs_no_network() -> None:
    """For five minutes; then a fetch is due, and while it fails the bundled set serves on."""
    fetch, clock = FakeFetch(DOWN), FakeClock()
    keys = remote(fetch, clock, bundled=bundled(clock, 100))
    clock.advance(299)
    assert has(keys)
    assert 399 == keys.get_age_seconds()
    assert 0 == fetch.calls

    clock.advance(1)
    assert has(keys)
    assert 1 == fetch.calls

    clock.advance(600)
    with pytest.raises(KeySetUnavailable):
        has(keys)


def test_when_a_bundled_set_lacks_the_key_then_it_is_fetched_at_once() -> None:
    """A key that is newer than the bundle is found like any new key."""
    fetch, clock = FakeFetch(key_set(jwk(), jwk(NEW_ID))), FakeClock()
    keys = remote(fetch, clock, bundled=bundled(clock, 100))

    assert has(keys, NEW_ID)


@pytest.mark.parametrize(
    ("age", "is_used"), [(999, True), (1_000, False), (1_001, False), (-300, True), (-301, False)]
)
def test_when_a_bundled_set_is_old_or_from_the_future_then_it_is_not_used(
    age: float,
    is_used: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """On both sides of both bounds."""
    assert is_used == (bundled(FakeClock(), age) is not None)


def test_when_a_bundled_set_is_about_to_expire_then_it_is_fresh_no_longer_than_usable() -> None:
    """Its own bound comes first."""
    clock = FakeClock()
    held = bundled(clock, 900)

    assert held is not None
    assert held.usable_until == held.fresh_until


# --- threads ------------------------------------------------------------------------------------


def meet(entered: threading.Event, release: threading.Event) -> None:
    """Tell that a fetch is in flight, and keep it there."""
    entered.set()
    release.wait(10)


def test_when_many_ask_at_once_then_one_fetch_is_in_flight() -> None:
    """Whoever has no key waits for that fetch, and all are served by it."""
    fetch, clock = FakeFetch(), FakeClock()
    entered, release = threading.Event(), threading.Event()
    fetch.before_answer = lambda: meet(entered, release)
    keys = remote(fetch, clock)
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(has(keys))) for _ in range(8)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    release.set()
    for thread in threads:
        thread.join(10)

    assert [True] * 8 == found
    assert 1 == fetch.calls


def test_when_a_fetch_is_in_flight_then_a_known_key_does_not_wait_for_it() -> None:
    """A stale set serves while another caller fetches."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(3600)
    entered, release = threading.Event(), threading.Event()
    fetch.before_answer = lambda: meet(entered, release)
    fetching = threading.Thread(target=lambda: has(keys))
    fetching.start()
    entered.wait(10)

    assert has(keys)
    assert fetching.is_alive()
    release.set()
    fetching.join(10)
    assert 2 == fetch.calls


def test_when_a_fetch_is_in_flight_then_an_unknown_key_waits_for_it() -> None:
    """It may be in the answer, and a good token must not be refused for being early."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)
    clock.advance(3600)
    fetch.answer = key_set(jwk(), jwk(NEW_ID))
    entered, release = threading.Event(), threading.Event()
    fetch.before_answer = lambda: meet(entered, release)
    found: list[bool] = []
    fetching = threading.Thread(target=lambda: has(keys))
    waiting = threading.Thread(target=lambda: found.append(has(keys, NEW_ID)))
    fetching.start()
    entered.wait(10)
    waiting.start()
    waiting.join(0.05)  # whoever does not wait is done by then
    release.set()
    waiting.join(10)
    fetching.join(10)

    assert [True] == found
    assert 2 == fetch.calls


def test_when_a_fetch_breaks_then_the_next_one_is_not_blocked() -> None:
    """A fault in the fetching itself is a failed fetch: it leaves no lock behind."""
    fetch, clock, results = FakeFetch(), FakeClock(), list[FetchResult]()

    def break_down() -> None:
        raise RuntimeError("can't start new thread")

    fetch.before_answer = break_down
    keys = remote(fetch, clock, results=results)
    with pytest.raises(KeySetUnavailable, match="failed_RuntimeError"):
        has(keys)
    fetch.before_answer = lambda: None
    clock.advance(1)

    assert has(keys)
    assert ["failed_RuntimeError", "ok"] == [result.code for result in results]


def test_when_a_fetch_breaks_then_a_stale_set_serves_on() -> None:
    """Last known good, whatever went wrong with the attempt to get a newer one."""
    fetch, clock = FakeFetch(), FakeClock()
    keys = remote(fetch, clock)
    has(keys)

    def break_down() -> None:
        raise MemoryError

    fetch.before_answer = break_down
    clock.advance(3600)

    assert has(keys)
    assert 2 == fetch.calls


def test_when_a_set_contradicts_itself_then_that_is_told() -> None:
    """The key ID is public, and whoever reads the log must know which one to ask about."""
    results: list[FetchResult] = []
    fetch = FakeFetch(key_set(jwk(), jwk(NEW_ID), jwk(NEW_ID, issuer=None)))
    keys = remote(fetch, FakeClock(), results=results)

    assert has(keys)
    assert not has(keys, NEW_ID)
    assert {NEW_ID} == results[0].contradicted_key_ids
