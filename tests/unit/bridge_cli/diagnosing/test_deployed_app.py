"""Asking a deployed app for its report, whatever answers in its place."""

from collections.abc import Iterator

import httpx
import pytest

from bridge_cli.diagnosing.deployed_app import DeployedAppError, check_url, fetch_report
from tests.support.fake_clock import FakeClock

KEY = "marked-key-5512"


class Dripping(httpx.SyncByteStream):
    """A body that never ends, and of which each piece takes a second."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.pieces = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.pieces < 1_000:
            self.pieces += 1
            self._clock.advance(1.0)
            yield b"["


def test_when_an_answer_never_ends_then_the_command_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes within the client's limit, which is no limit of the whole."""
    clock = FakeClock()
    body = Dripping(clock)
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body)))
    monkeypatch.setattr(httpx, "Client", lambda **_: client)

    with pytest.raises(DeployedAppError, match="too long"):
        fetch_report("https://app.example", KEY, seconds=5.0, clock=clock)

    assert 7 > body.pieces


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://app:port", KEY),
        ("https://app\x7f.example", KEY),
        ("https://app.example", f"{KEY}\u00e4\u2028"),
    ],
)
def test_when_a_url_or_a_key_cannot_be_sent_then_one_sentence_says_so(url: str, key: str) -> None:
    """No traceback, and no part of the key."""
    with pytest.raises(DeployedAppError) as raised:
        fetch_report(check_url(url), key)

    assert raised.value.__suppress_context__
    assert KEY not in str(raised.value)
