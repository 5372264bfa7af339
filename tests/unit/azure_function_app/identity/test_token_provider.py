"""The token provider, on a clock that tests move by hand."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest

from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity import token_provider
from azure_function_app.identity.access_token import LONGEST_TOKEN, AccessToken
from azure_function_app.identity.token_provider import (
    EXPIRY_MARGIN_SECONDS,
    MOST_THREADS,
    NEGATIVE_CACHE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    TokenProvider,
)
from tests.support.calling import build_token_provider, token_source
from tests.support.fake_clock import FakeClock
from tests.support.recorded_spans import recorded_spans

HOUR = 3600.0


class Issuer:
    """Issues numbered tokens that live for `life` seconds, or fails while it is down."""

    def __init__(self, clock: FakeClock, life: float = 2 * HOUR) -> None:
        self.clock = clock
        self.life = life
        self.asked = 0
        self.is_down = False

    def __call__(self) -> AccessToken:
        self.asked += 1
        if self.is_down:
            raise TokenAcquisitionError("No access token: down.", code="token_down")
        return AccessToken(f"token-{self.asked}", self.clock.now() + self.life)


def provider_of(
    source: Callable[[], AccessToken], clock: FakeClock, **options: object
) -> TokenProvider:
    """A provider whose jitter is always in the middle."""
    return build_token_provider(source, clock, **options)


async def error_of(provider: TokenProvider) -> TokenAcquisitionError:
    """The error that a caller gets."""
    with pytest.raises(TokenAcquisitionError) as caught:
        await provider.get_token()
    return caught.value


async def settle(provider: TokenProvider) -> None:
    """Let a background request that is under way end."""
    while provider._refreshing is not None:
        await asyncio.wait({provider._refreshing})


async def test_when_a_token_is_at_hand_then_nobody_is_asked() -> None:
    """The second call is answered from memory."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)

    first, second = await provider.get_token(), await provider.get_token()

    assert first is second
    assert 1 == issuer.asked


async def test_when_many_ask_at_once_then_the_issuer_is_asked_once() -> None:
    """Sixty-four cold callers share one request."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)

    tokens = await asyncio.gather(*(provider.get_token() for _ in range(64)))

    assert {"token-1"} == {token.value for token in tokens}
    assert 1 == issuer.asked


async def test_when_a_waiting_caller_is_cancelled_then_the_others_still_get_their_token() -> None:
    """Nobody's cancellation ends the shared request."""
    clock = FakeClock()
    go_on = threading.Event()
    issuer = Issuer(clock)

    def wait_then_issue() -> AccessToken:
        go_on.wait(10)
        return issuer()

    provider = provider_of(wait_then_issue, clock)
    first, second = (asyncio.create_task(provider.get_token()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    go_on.set()

    assert "token-1" == (await second).value
    assert first.cancelled()


@pytest.mark.parametrize(("share", "asked"), [(0.499, 1), (0.501, 2)])
async def test_when_half_of_its_life_is_over_then_a_token_is_renewed_in_the_background(
    share: float, asked: int
) -> None:
    """The caller gets the old one at once; the next caller gets the new one."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)
    await provider.get_token()
    clock.advance(share * issuer.life)

    served = await provider.get_token()
    await settle(provider)
    later = await provider.get_token()

    assert "token-1" == served.value
    assert asked == issuer.asked
    assert f"token-{asked}" == later.value


@pytest.mark.parametrize(
    ("random", "share", "renews"),
    [(0.0, 0.449, False), (0.0, 0.451, True), (1.0, 0.549, False), (1.0, 0.551, True)],
)
async def test_when_instances_differ_then_they_renew_at_different_times(
    random: float, share: float, *, renews: bool
) -> None:
    """Jitter spreads the moment by a tenth of the life."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = TokenProvider(issuer, clock=clock, random=lambda: random, wait_seconds=5)
    await provider.get_token()
    clock.advance(share * issuer.life)

    await provider.get_token()
    await settle(provider)

    assert renews == (issuer.asked == 2)


async def test_when_the_issuer_is_down_for_an_hour_then_no_call_fails() -> None:
    """A token valid for two hours carries every call over an outage at any moment of its life."""
    for outage_begins in range(0, 120, 10):
        clock = FakeClock()
        issuer = Issuer(clock)
        provider = provider_of(issuer, clock)
        for minute in range(4 * 60):
            issuer.is_down = outage_begins <= minute - 1 < outage_begins + 60
            token = await provider.get_token()
            await settle(provider)
            assert clock.now() < token.expires_at
            clock.advance(60)


@pytest.mark.parametrize(
    ("random", "pauses"),
    [(1.0, [15, 30, 60, 120, 240, 300, 300]), (0.0, [8, 15, 30, 60, 120, 150, 150])],
)
async def test_when_renewing_fails_then_the_next_try_waits_longer_each_time(
    random: float, pauses: list[int]
) -> None:
    """Up to five minutes, less up to a half by jitter; calls come once a second."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = TokenProvider(issuer, clock=clock, random=lambda: random, wait_seconds=5)
    await provider.get_token()
    issuer.is_down = True
    clock.advance(0.6 * issuer.life)
    moments: list[int] = []
    for second in range(sum(pauses) + 1):
        asked = issuer.asked
        await provider.get_token()
        await settle(provider)
        moments += [second] * (issuer.asked - asked)
        clock.advance(1)

    assert pauses == [later - earlier for earlier, later in pairwise(moments)]


async def test_when_renewing_succeeds_then_earlier_failures_are_forgotten() -> None:
    """The next outage begins with the shortest pause again."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = TokenProvider(issuer, clock=clock, random=lambda: 1.0, wait_seconds=5)
    for is_down in (False, True, False, True):
        issuer.is_down = is_down
        clock.advance(0.6 * issuer.life)
        await provider.get_token()
        await settle(provider)
    asked = issuer.asked
    for wait in (14.9, 0.1):
        clock.advance(wait)
        await provider.get_token()
        await settle(provider)

    assert (4, 5) == (asked, issuer.asked)


async def test_when_a_renewal_is_under_way_then_the_old_token_serves_without_another() -> None:
    """Nobody waits for what is renewed in the background."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)
    first = await provider.get_token()
    clock.advance(0.6 * issuer.life)

    tokens = [await provider.get_token()]
    # The pause after a failure is over, and the request is still in flight.
    clock.advance(SHORTEST_PAUSE_SECONDS)
    tokens.append(await provider.get_token())
    await settle(provider)

    assert [first, first] == tokens
    assert 2 == issuer.asked


@pytest.mark.parametrize(
    ("life", "margin"), [(HOUR, 10.0), (100.0, 10.0), (90.0, 9.0), (25.0, 2.5)]
)
@pytest.mark.parametrize(("before", "serves"), [(0.001, "token-1"), (0.0, "token-2")])
async def test_when_the_margin_begins_then_the_old_token_serves_no_more(
    life: float, margin: float, before: float, serves: str
) -> None:
    """Ten seconds, and a tenth of the life of one that lives for less than a hundred."""
    clock = FakeClock()
    provider = provider_of(Issuer(clock, life=life), clock)
    await provider.get_token()
    clock.advance(life - margin - before)

    assert serves == (await provider.get_token()).value
    await settle(provider)


async def test_when_the_newer_token_sorts_before_the_rejected_one_then_it_still_serves() -> None:
    """Tokens are compared for being others, and have no order."""
    clock = FakeClock()
    provider = provider_of(token_source(clock, "b", "a"), clock)
    rejected = await provider.get_token()
    await provider.refresh_after_rejection(rejected)

    assert "a" == (await provider.refresh_after_rejection(rejected)).value


async def test_when_asking_fails_then_the_log_says_what_still_serves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A warning while an old token is valid, an error when there is none; with the cause."""
    clock = FakeClock()
    issuer = Issuer(clock, life=HOUR)
    provider = provider_of(issuer, clock)
    await provider.get_token()
    issuer.is_down = True
    with caplog.at_level(logging.INFO):
        clock.advance(0.6 * HOUR)
        await provider.get_token()
        await settle(provider)
        clock.advance(0.4 * HOUR)
        await error_of(provider)
        clock.advance(NEGATIVE_CACHE_SECONDS)
        await error_of(provider)

    lines = [line for line in caplog.records if line.getMessage() == "token_request_failed"]
    assert [("WARNING", True), ("ERROR", False), ("ERROR", False)] == [
        (line.levelname, vars(line)["bridge_fields"]["old_token_serves"]) for line in lines
    ]
    assert {
        "code": "token_down",
        "message": "No access token: down.",
        "cause": None,
        "old_token_serves": False,
    } == vars(lines[1])["bridge_fields"]


async def test_when_asking_fails_unexpectedly_then_the_log_names_the_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By its class only: its message can hold anything."""

    def explode() -> AccessToken:
        raise ZeroDivisionError("made-up secret")

    await error_of(provider_of(explode, FakeClock()))

    (line,) = caplog.records
    assert "ZeroDivisionError" == vars(line)["bridge_fields"]["cause"]
    assert "made-up" not in str(vars(line)["bridge_fields"])


async def test_when_tokens_come_then_the_log_says_which_were_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Platforms hand out the same one again, which explains what follows."""
    clock = FakeClock()
    provider = provider_of(token_source(clock, "b", "b", "a", "c"), clock)
    with caplog.at_level(logging.INFO):
        await provider.get_token()
        for _ in range(3):
            clock.advance(0.6 * HOUR)
            await provider.get_token()
            await settle(provider)

    fields = [vars(line)["bridge_fields"] for line in caplog.records]
    assert [False, True, False, False] == [line["same_as_before"] for line in fields]
    assert {3600} == {line["lives_seconds"] for line in fields}


def test_when_the_process_ends_then_a_hanging_request_does_not_hold_it() -> None:
    """A host that restarts the app waits for no endpoint."""
    program = (
        "import asyncio, time\n"
        "from azure_function_app.identity.token_provider import TokenProvider\n"
        "from shared.clock import SystemClock\n"
        "async def main():\n"
        "    provider = TokenProvider(\n"
        "        lambda: time.sleep(60), clock=SystemClock(), random=float, wait_seconds=0.01)\n"
        "    await asyncio.wait([asyncio.create_task(provider.get_token())])\n"
        "    await provider.aclose()\n"
        "asyncio.run(main())\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20)  # noqa: PLW1510 - asserted

    assert 0 == ended.returncode


async def test_when_renewing_fails_then_the_old_token_serves_to_its_last_moment() -> None:
    """Also within the margin, in which a new one is waited for first; not a moment longer."""
    clock = FakeClock()
    issuer = Issuer(clock, life=HOUR)
    provider = provider_of(issuer, clock)
    token = await provider.get_token()
    issuer.is_down = True

    clock.advance(HOUR - EXPIRY_MARGIN_SECONDS / 2)
    in_margin = await provider.get_token()
    clock.advance(EXPIRY_MARGIN_SECONDS / 2)

    assert token is in_margin
    with pytest.raises(TokenAcquisitionError):
        await provider.get_token()


async def test_when_a_failed_renewal_pauses_then_no_expired_token_is_served_meanwhile() -> None:
    """The pause after a failure can be longer than what is left of the token."""
    clock = FakeClock()
    issuer = Issuer(clock, life=HOUR)
    provider = provider_of(issuer, clock)
    await provider.get_token()
    clock.advance(HOUR - EXPIRY_MARGIN_SECONDS - 1)
    issuer.is_down = True
    await provider.get_token()
    await settle(provider)
    issuer.is_down = False
    clock.advance(EXPIRY_MARGIN_SECONDS + 1)

    assert clock.now() < (await provider.get_token()).expires_at


async def test_when_the_token_is_about_to_expire_then_a_new_one_is_waited_for() -> None:
    """Within the margin a token might expire on its way to the API."""
    clock = FakeClock()
    issuer = Issuer(clock, life=HOUR)
    provider = provider_of(issuer, clock)
    await provider.get_token()
    clock.advance(HOUR - EXPIRY_MARGIN_SECONDS)

    assert "token-2" == (await provider.get_token()).value


@pytest.mark.parametrize(("later", "asked"), [(4.9, 1), (5.0, 2)])
async def test_when_asking_failed_then_it_is_not_repeated_for_a_moment(
    later: float, asked: int
) -> None:
    """Callers without a token are told of the last failure, and in how long to come back."""
    clock = FakeClock()
    issuer = Issuer(clock)
    issuer.is_down = True
    provider = provider_of(issuer, clock)
    with pytest.raises(TokenAcquisitionError):
        await provider.get_token()
    clock.advance(later)

    with pytest.raises(TokenAcquisitionError, match=r"down\.") as caught:
        await provider.get_token()

    assert "token_down" == caught.value.code
    assert 0 < (caught.value.retry_after_seconds or 0) <= NEGATIVE_CACHE_SECONDS
    assert asked == issuer.asked


async def test_when_the_issuer_recovers_then_the_next_caller_gets_a_token() -> None:
    """A failure is forgotten with the next success."""
    clock = FakeClock()
    issuer = Issuer(clock)
    issuer.is_down = True
    provider = provider_of(issuer, clock)
    with pytest.raises(TokenAcquisitionError):
        await provider.get_token()
    issuer.is_down = False
    clock.advance(NEGATIVE_CACHE_SECONDS)

    assert "token-2" == (await provider.get_token()).value


async def test_when_the_issuer_hangs_then_callers_wait_for_the_limit_and_no_longer() -> None:
    """They get a typed error; the request goes on, and a late token serves the next caller."""
    clock = FakeClock()
    go_on = threading.Event()
    issuer = Issuer(clock)

    def hang() -> AccessToken:
        go_on.wait(10)
        return issuer()

    provider = provider_of(hang, clock, wait_seconds=0.01)
    with pytest.raises(TokenAcquisitionError) as caught:
        await provider.get_token()
    go_on.set()
    await settle(provider)
    late = await provider.get_token()

    assert "token_timeout" == caught.value.code
    assert "token-1" == late.value


async def test_when_a_caller_has_less_time_then_it_waits_for_less() -> None:
    """A caller's own deadline is shorter than the provider's limit."""
    clock = FakeClock()
    go_on = threading.Event()

    def hang() -> AccessToken:
        go_on.wait(10)
        return AccessToken("late", clock.now() + HOUR)

    provider = provider_of(hang, clock, wait_seconds=60)
    with pytest.raises(TokenAcquisitionError):
        await provider.get_token(wait_seconds=0.0)
    go_on.set()
    await settle(provider)


async def test_when_asking_fails_unexpectedly_then_callers_get_a_typed_error_all_the_same() -> None:
    """A bug in a credential is no reason for a caller to see a stranger's exception."""

    def explode() -> AccessToken:
        raise ZeroDivisionError

    with pytest.raises(TokenAcquisitionError) as caught:
        await provider_of(explode, FakeClock()).get_token()

    assert "token_unavailable" == caught.value.code
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("life", [0.0, -1.0, -7200.0])
async def test_when_a_token_has_expired_on_arrival_then_the_error_names_the_clock(
    life: float,
) -> None:
    """The issuer's clock or ours is wrong; a token that cannot be valid is not sent."""
    clock = FakeClock()

    with pytest.raises(TokenAcquisitionError, match="Check this machine's clock") as caught:
        await provider_of(token_source(clock, life=life), clock).get_token()

    assert "token_expired_on_arrival" == caught.value.code


@pytest.mark.parametrize("life", [-7200.0, 0.0, 0.001, 1.0, NEGATIVE_CACHE_SECONDS])
async def test_when_every_token_expires_at_once_then_it_is_not_asked_in_a_storm(
    life: float,
) -> None:
    """Our clock may be hours ahead; each call would cost a request otherwise."""
    clock = FakeClock()
    issuer = Issuer(clock, life=life)
    provider = provider_of(issuer, clock)
    for _ in range(600):
        with suppress(TokenAcquisitionError):
            token = await provider.get_token()
            assert clock.now() < token.expires_at
        clock.advance(0.1)

    assert 60 / NEGATIVE_CACHE_SECONDS - 1 <= issuer.asked <= 60 / NEGATIVE_CACHE_SECONDS + 1


async def test_when_a_newer_token_has_expired_on_arrival_then_the_old_one_serves() -> None:
    """What is good already is not given up for what is not."""
    clock = FakeClock()
    issuer = Issuer(clock, life=HOUR)
    provider = provider_of(issuer, clock)
    first = await provider.get_token()
    issuer.life = -1.0
    clock.advance(0.6 * HOUR)

    await provider.get_token()
    await settle(provider)

    assert 2 == issuer.asked
    assert first is await provider.get_token()


async def test_when_a_token_lives_for_a_moment_then_it_serves_for_that_moment() -> None:
    """It is valid, and the API may take it."""
    clock = FakeClock()
    provider = provider_of(Issuer(clock, life=1.0), clock)

    first = await provider.get_token()
    clock.advance(0.999)

    assert first is await provider.get_token()


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a b",
        "a\r\nX-Injected: 1",
        "a\n",
        "a\x00",
        "a\x7f",
        "t\u00f6ken",
        "a\ud800",
        "a=b",
        "=",
        "a,b",
        '"a"',
        "Bearer a",
    ],
)
async def test_when_a_token_cannot_be_a_header_then_it_is_refused_when_it_arrives(
    value: str,
) -> None:
    """With a code of its own, and without being asked for by each caller."""
    clock = FakeClock()
    asked = 0

    def request_token() -> AccessToken:
        nonlocal asked
        asked += 1
        return AccessToken(value, clock.now() + HOUR)

    provider = provider_of(request_token, clock)
    errors = [await error_of(provider) for _ in range(3)]

    assert 1 == asked
    assert [("token_malformed", str(errors[0]))] * 3 == [
        (error.code, str(error)) for error in errors
    ]
    assert "no header can carry it" in str(errors[0])


@pytest.mark.parametrize("value", ["a", "a.b.c", "AZaz09-._~+/", "YQ==", "x" * LONGEST_TOKEN])
async def test_when_a_token_can_be_a_header_then_it_is_served(value: str) -> None:
    """RFC 6750 section 2.1 says of what a bearer token is made; it need be no JWT."""
    clock = FakeClock()

    assert value == (await provider_of(token_source(clock, value), clock).get_token()).value


async def test_when_a_token_is_too_long_for_the_gateway_then_it_is_refused_when_it_arrives() -> (
    None
):
    """API Gateway would answer that the headers are too large, and nobody could tell why."""
    clock = FakeClock()
    provider = provider_of(token_source(clock, "x" * (LONGEST_TOKEN + 1)), clock)

    with pytest.raises(TokenAcquisitionError, match="fewer roles") as caught:
        await provider.get_token()

    assert "token_too_long" == caught.value.code


async def test_when_what_comes_is_no_token_at_all_then_callers_get_a_typed_error() -> None:
    """JSON has numbers too, and the SDK hands on what it was given."""
    clock = FakeClock()
    provider = provider_of(lambda: AccessToken(7, clock.now() + HOUR), clock)  # type: ignore[arg-type] # that is the point

    assert ["token_unavailable"] * 2 == [(await error_of(provider)).code for _ in range(2)]


class HangingIssuer(Issuer):
    """Hangs at every request until it is let go; then each ends, the first one first."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.go_on = threading.Semaphore(0)
        self.started = 0
        self.is_down = False

    def __call__(self) -> AccessToken:
        self.started += 1
        self.go_on.acquire(timeout=10)
        return super().__call__()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingIssuer]:
    """An issuer that hangs for longer than a request is waited for."""
    monkeypatch.setattr(token_provider, "REQUEST_LIMIT_SECONDS", 0.01)
    issuer = HangingIssuer(FakeClock())
    yield issuer
    issuer.go_on.release(100)


async def until(condition: Callable[[], bool]) -> None:
    """Let threads and callbacks run until it holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the end of a thread sets no event
            await asyncio.sleep(0)


async def fail_to_get(provider: TokenProvider, clock: FakeClock) -> str:
    """The code with which a request for a token ends; the next one is not told of it."""
    error = await error_of(provider)
    clock.advance(NEGATIVE_CACHE_SECONDS)
    return error.code


async def test_when_requests_hang_then_no_more_than_two_threads_ever_wait(
    hanging: HangingIssuer,
) -> None:
    """However long the endpoint hangs, and however many ask."""
    provider = provider_of(hanging, hanging.clock)
    codes = {await fail_to_get(provider, hanging.clock) for _ in range(10)}

    assert {"token_timeout"} == codes
    assert MOST_THREADS == 2 == hanging.started


async def test_when_a_hanging_request_ends_then_another_may_be_made(
    hanging: HangingIssuer,
) -> None:
    """Its thread counts as long as it lives, and no longer; its failure is old news."""
    hanging.is_down = True
    provider = provider_of(hanging, hanging.clock)
    for _ in range(3):
        await fail_to_get(provider, hanging.clock)

    hanging.go_on.release()
    await until(lambda: provider._live_threads == 1)
    await fail_to_get(provider, hanging.clock)

    assert 3 == hanging.started


async def test_when_a_token_comes_after_its_request_was_given_up_then_it_is_kept(
    hanging: HangingIssuer,
) -> None:
    """The next caller gets it from memory; nobody asks again."""
    provider = provider_of(hanging, hanging.clock)
    await fail_to_get(provider, hanging.clock)

    hanging.go_on.release()
    await until(lambda: provider._token is not None)

    assert "token-1" == (await provider.get_token()).value
    assert 1 == hanging.started


@pytest.mark.parametrize(("late_life", "serves"), [(0.5, "first"), (1.0, "first"), (1.5, "late")])
async def test_when_a_late_token_is_no_better_then_the_one_at_hand_stays(
    monkeypatch: pytest.MonkeyPatch, late_life: float, serves: str
) -> None:
    """A request that was given up may have been answered long ago."""
    monkeypatch.setattr(token_provider, "REQUEST_LIMIT_SECONDS", 0.05)
    clock = FakeClock()
    go_on = threading.Event()
    asked = 0

    def request_token() -> AccessToken:
        nonlocal asked
        asked += 1
        if asked == 1:
            go_on.wait(10)
            return AccessToken("late", 1_700_000_000.0 + late_life * HOUR)
        return AccessToken("first", 1_700_000_000.0 + HOUR)

    provider = provider_of(request_token, clock)
    await fail_to_get(provider, clock)
    await provider.get_token()
    go_on.set()
    await until(lambda: provider._live_threads == 0)
    await asyncio.sleep(0)

    assert serves == (await provider.get_token()).value


async def test_when_a_late_token_cannot_be_sent_then_it_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked at as any other."""
    monkeypatch.setattr(token_provider, "REQUEST_LIMIT_SECONDS", 0.01)
    clock = FakeClock()
    go_on = threading.Event()

    def request_token() -> AccessToken:
        go_on.wait(10)
        return AccessToken("not sendable", clock.now() + HOUR)

    provider = provider_of(request_token, clock)
    await fail_to_get(provider, clock)
    go_on.set()
    await until(lambda: provider._live_threads == 0)
    await asyncio.sleep(0)

    assert provider._token is None


@pytest.mark.parametrize("wait_seconds", [None, 0.02, 60.0])
async def test_when_a_token_is_rejected_while_the_issuer_hangs_then_the_wait_is_bounded(
    wait_seconds: float | None,
) -> None:
    """By the provider's limit, however much time the caller has; the rejected one comes back."""
    clock = FakeClock()
    go_on = threading.Event()
    issuer = Issuer(clock)

    def issue_once_then_hang() -> AccessToken:
        if issuer.asked:
            go_on.wait(10)
        return issuer()

    provider = provider_of(issue_once_then_hang, clock, wait_seconds=0.05)
    rejected = await provider.get_token()
    async with asyncio.timeout(1):
        same = await provider.refresh_after_rejection(rejected, wait_seconds=wait_seconds)
        again = await provider.refresh_after_rejection(rejected, wait_seconds=wait_seconds)
    go_on.set()
    await settle(provider)

    assert rejected is same is again


async def test_when_asking_ends_the_thread_then_callers_get_a_typed_error() -> None:
    """What would end a program ends only the request."""

    def leave() -> AccessToken:
        raise SystemExit(1)

    with pytest.raises(TokenAcquisitionError) as caught:
        await provider_of(leave, FakeClock()).get_token()

    assert "token_unavailable" == caught.value.code


async def test_when_the_platform_hands_out_the_same_token_then_it_is_not_asked_in_a_storm() -> None:
    """Managed identities answer from a cache of a day; halves of what is left go on for ever."""
    clock = FakeClock()
    expires_at = clock.now() + HOUR
    asked = 0

    def request_token() -> AccessToken:
        nonlocal asked
        asked += 1
        return AccessToken("the-same", expires_at)

    provider = provider_of(request_token, clock)
    while clock.now() < expires_at - SHORTEST_PAUSE_SECONDS:
        await provider.get_token()
        await settle(provider)
        clock.advance(1)

    assert asked <= 10


async def test_when_the_api_rejects_the_token_then_a_newer_one_is_asked_for() -> None:
    """The caller gets the new one."""
    clock = FakeClock()
    provider = provider_of(Issuer(clock), clock)
    rejected = await provider.get_token()

    assert "token-2" == (await provider.refresh_after_rejection(rejected)).value


async def test_when_many_see_the_rejection_then_one_new_token_is_asked_for() -> None:
    """Whoever comes while it is asked for joins, whoever comes later gets it from memory."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)
    rejected = await provider.get_token()

    newer = await asyncio.gather(*(provider.refresh_after_rejection(rejected) for _ in range(64)))
    later = await provider.refresh_after_rejection(rejected)

    assert {"token-2"} == {token.value for token in [*newer, later]}
    assert 2 == issuer.asked


@pytest.mark.parametrize(("pause", "asked"), [(59.9, 2), (60.0, 3)])
async def test_when_every_token_is_rejected_then_a_new_one_is_asked_for_once_a_minute(
    pause: float, asked: int
) -> None:
    """A wrong setting must not make a token request of every call."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)
    token = await provider.refresh_after_rejection(await provider.get_token())
    clock.advance(pause)

    again = await provider.refresh_after_rejection(token)

    assert asked == issuer.asked
    assert (again is token) == (asked == 2)


async def test_when_no_newer_token_can_be_had_then_the_rejected_one_is_handed_back() -> None:
    """The caller sees that it is the same, and reports the API's own answer."""
    clock = FakeClock()
    issuer = Issuer(clock)
    provider = provider_of(issuer, clock)
    rejected = await provider.get_token()
    issuer.is_down = True

    assert rejected is await provider.refresh_after_rejection(rejected)


async def test_when_the_first_token_comes_then_it_is_shown_once() -> None:
    """Later ones are of the same kind, so they are not looked at again."""
    clock = FakeClock()
    shown: list[AccessToken] = []
    provider = provider_of(Issuer(clock), clock, on_first_token=shown.append)
    first = await provider.get_token()

    await provider.refresh_after_rejection(first)

    assert [first] == shown


async def test_when_the_provider_is_closed_then_nothing_is_left_running() -> None:
    """A request under way is given up, and the token at hand still serves."""
    clock = FakeClock()
    go_on = threading.Event()
    issuer = Issuer(clock)

    def issue_once_then_hang() -> AccessToken:
        if issuer.asked:
            go_on.wait(10)
        return issuer()

    provider = provider_of(issue_once_then_hang, clock)
    await provider.get_token()
    clock.advance(HOUR + 1)
    await provider.get_token()

    await provider.aclose()
    go_on.set()

    assert provider._refreshing is None
    assert "token-1" == (await provider.get_token(wait_seconds=0)).value
    await provider.aclose()


def test_when_a_token_is_shown_then_its_value_is_not() -> None:
    """Neither repr nor str gives the token away."""
    token = AccessToken("made-up.access.token", 1.0)

    assert "made-up" not in f"{token!r} {token}"
    assert "Bearer made-up.access.token" == token.authorization


async def test_when_a_token_is_asked_for_then_that_is_a_span_of_the_call_that_needed_it() -> None:
    """One that is at hand costs no span; one that does not come is a failed one."""
    clock = FakeClock()
    issuer = Issuer(clock)
    with recorded_spans() as spans:
        provider = provider_of(issuer, clock, spans=spans)
        with spans.span("call") as call:
            await provider.get_token()
            await provider.get_token()
        issuer.is_down = True
        clock.advance(2 * HOUR)
        await error_of(provider)
        spans.close()
        asked = [span for span in spans.memory.get_finished_spans() if span.name == "get_token"]

    assert call.context is not None
    assert call.context.span_id == f"{asked[0].parent.span_id:016x}"  # type: ignore[union-attr]
    assert [None, "token_down"] == [(span.attributes or {}).get("error.type") for span in asked]
    assert "token-1" not in "".join(span.to_json() for span in asked)
