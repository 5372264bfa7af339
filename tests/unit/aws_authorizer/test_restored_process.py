"""A process that SnapStart restores weeks later: only one of its clocks has gone on."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aws_authorizer.bootstrap import Authorizer, build_authorizer
from aws_authorizer.errors import KeySetUnavailable, TokenRejected
from aws_authorizer.key_set_fetch import Fetch, FetchedKeySet, FetchFailed
from aws_authorizer.settings import load_settings
from shared.reasons import Reason
from tests.support.fake_clock import FakeClock
from tests.support.keys import KEY_ID, TENANT_ID, jwk, key_set
from tests.support.tokens import API_CLIENT_ID, CLIENT_ID, NOW, signed_token, valid_claims

CHECKOUT = Path(__file__).parents[3]
WEEKS = 21 * 86_400.0
COOL_DOWN = 30.0


class RestoredClock(FakeClock):
    """The clocks of a process that is written down and started again elsewhere."""

    def restore_after(self, seconds: float) -> None:
        """Let the wall clock go on; the monotonic one was written down with the process."""
        self._now += seconds


class Endpoint:
    """The tenant's key set, and how often it was asked for."""

    def __init__(self, body: bytes | None) -> None:
        """Answer with this body; None stands for an endpoint that is down."""
        self.body = body
        self.asked = 0

    def build_fetch(self, _url: str, _seconds: float) -> Fetch:
        """A way to fetch it."""

        def fetch() -> FetchedKeySet:
            self.asked += 1
            if self.body is None:
                raise FetchFailed("unreachable")
            return FetchedKeySet(self.body, None)

        return fetch


def authorizer(endpoint: Endpoint, clock: FakeClock, **environment: str) -> Authorizer:
    """The authorizer as it is deployed, but for the clock and the network."""
    required = {
        "ENTRA_TENANT_ID": TENANT_ID,
        "API_CLIENT_ID": API_CLIENT_ID,
        "ALLOWED_CLIENT_IDS": CLIENT_ID,
    }
    return build_authorizer(
        load_settings(required | environment),
        clock=clock,
        write=lambda _line: None,
        build_fetch=endpoint.build_fetch,
    )


def token_at(clock: FakeClock, kid: str = KEY_ID) -> str:
    """A good token that was issued just now."""
    now = int(clock.now())
    return signed_token(valid_claims(iat=now, nbf=now, exp=now + 3600), kid=kid)


def rejection(tested: Authorizer, token: str) -> Reason:
    """Why the token is rejected."""
    with pytest.raises(TokenRejected) as caught:
        tested.verifier.verify(token)
    return caught.value.reason


def test_when_it_is_restored_then_a_remembered_token_has_ended() -> None:
    """What it proved weeks ago it proves no longer, though the process is seconds old."""
    clock = RestoredClock(now=NOW)
    tested = authorizer(Endpoint(key_set()), clock)
    token = token_at(clock)
    tested.verifier.verify(token)

    clock.restore_after(WEEKS)
    assert Reason.EXPIRED is rejection(tested, token)


def test_when_it_is_restored_then_a_key_that_was_withdrawn_is_refused() -> None:
    """The first call asks again, also where the token was made today."""
    clock, endpoint = RestoredClock(now=NOW), Endpoint(key_set())
    tested = authorizer(endpoint, clock)
    tested.verifier.verify(token_at(clock))
    endpoint.body = key_set(jwk("key-2"))

    clock.restore_after(WEEKS)
    assert Reason.UNKNOWN_KEY is rejection(tested, token_at(clock))
    assert 2 == endpoint.asked


def test_when_it_is_restored_without_a_network_then_nothing_can_be_decided() -> None:
    """The key set that was written down is expired, and says so."""
    clock, endpoint = RestoredClock(now=NOW), Endpoint(key_set())
    tested = authorizer(endpoint, clock)
    tested.verifier.verify(token_at(clock))
    endpoint.body = None

    clock.restore_after(WEEKS)
    with pytest.raises(KeySetUnavailable):
        tested.verifier.verify(token_at(clock))


def test_when_it_is_restored_then_a_cool_down_has_ended() -> None:
    """One that began before the snapshot does not hold up the first call after it."""
    clock, endpoint = RestoredClock(now=NOW), Endpoint(None)
    tested = authorizer(endpoint, clock)
    with pytest.raises(KeySetUnavailable):
        tested.verifier.verify(token_at(clock))
    endpoint.body = key_set()

    clock.restore_after(WEEKS)
    tested.verifier.verify(token_at(clock))
    assert 2 == endpoint.asked


def test_when_it_is_restored_then_the_next_cool_down_is_as_long_as_ever() -> None:
    """A flood of made-up key IDs causes one fetch for each, by the clock that goes on."""
    clock, endpoint = RestoredClock(now=NOW), Endpoint(key_set())
    tested = authorizer(endpoint, clock)
    tested.verifier.verify(token_at(clock))
    clock.restore_after(WEEKS)
    asked = []

    for seconds in (0.0, COOL_DOWN / 2, COOL_DOWN / 2 - 1, 1.0):
        clock.restore_after(seconds)
        rejection(tested, token_at(clock, kid="made-up"))
        asked.append(endpoint.asked)

    assert [2, 2, 2, 3] == asked


def test_when_it_is_restored_then_the_bundled_key_set_is_as_old_as_it_is(tmp_path: Path) -> None:
    """Its age was right when the process was written down, and is not any more."""
    clock, endpoint = RestoredClock(now=NOW), Endpoint(None)
    file = tmp_path / "key_set.json"
    file.write_bytes(key_set(retrieved_at=int(NOW)))
    limit = str(int(WEEKS))
    tested = authorizer(endpoint, clock, KEY_SET_FILE=str(file), KEY_SET_FILE_MAX_AGE_SECONDS=limit)
    tested.verifier.verify(token_at(clock))
    assert 0 == endpoint.asked

    clock.restore_after(WEEKS - 1)
    tested.verifier.verify(token_at(clock))
    assert 1 == endpoint.asked

    clock.restore_after(1)
    with pytest.raises(KeySetUnavailable):
        tested.verifier.verify(token_at(clock))


def test_when_lambda_takes_its_snapshot_then_nothing_has_been_built() -> None:
    """It takes it once the handler is imported: without settings, keys, clocks or connections."""
    program = (
        "import threading, aws_authorizer.handler\n"
        "from aws_authorizer.bootstrap import get_authorizer\n"
        "assert 0 == get_authorizer.cache_info().currsize\n"
        "assert 1 == threading.active_count()\n"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (0, "") == (loaded.returncode, loaded.stderr)


def random_sources(source: str) -> Iterator[str]:
    """What a module takes from sources of chance that a snapshot would hold the state of."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in {"random", "uuid"})
            case ast.ImportFrom(module="random" | "uuid" as module):
                yield module


def test_when_chance_is_needed_then_it_comes_from_the_system() -> None:
    """Processes restored from one snapshot would draw the same numbers from their own generator."""
    files = [
        file
        for package in ("aws_authorizer", "aws_backend", "shared")
        for file in (CHECKOUT / package).rglob("*.py")
    ]

    assert len(files) > 40
    assert {} == {
        file.name: found for file in files if (found := list(random_sources(file.read_text())))
    }


@pytest.mark.parametrize("source", ["import random", "from uuid import uuid1"])
def test_when_a_module_draws_from_a_generator_of_its_own_then_it_is_seen(source: str) -> None:
    """Else the test above would find nothing in anything."""
    assert list(random_sources(source))
