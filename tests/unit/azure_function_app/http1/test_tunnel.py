import asyncio
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.http1.errors import TunnelForbidden, TunnelRefused
from azure_function_app.http1.origin import Origin
from azure_function_app.http1.tunnel import open_tunnel
from azure_function_app.proxy_address import ProxyAddress

SERVER = Origin("https", "api.example", 443)
PROXY = ProxyAddress("proxy.example", 3128, "Basic dTpw")
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n"


class SocketLoop:
    """Sends to nobody, and receives what the test says."""

    def __init__(self, *pieces: bytes) -> None:
        """Take what arrives; after that, the end."""
        self.sent = b""
        self._pieces = [piece for piece in pieces if piece]

    async def sock_sendall(self, sock: object, data: bytes) -> None:
        """Keep it."""
        del sock
        self.sent += data

    async def sock_recv(self, sock: object, size: int) -> bytes:
        """Return the next piece."""
        del sock
        if not self._pieces:
            return b""
        piece, rest = self._pieces[0][:size], self._pieces[0][size:]
        self._pieces[:1] = [rest] if rest else []
        return piece


async def tunnel(loop: SocketLoop, proxy: ProxyAddress = PROXY, origin: Origin = SERVER) -> None:
    """Ask for a tunnel."""
    await open_tunnel(cast("asyncio.AbstractEventLoop", loop), cast("Any", None), proxy, origin)


async def test_when_a_tunnel_is_asked_for_then_these_bytes_go_out() -> None:
    """Host, port and the proxy's own secret; nothing of the request."""
    loop = SocketLoop(ESTABLISHED)
    await tunnel(loop)

    assert (
        b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"
        b"Proxy-Authorization: Basic dTpw\r\n\r\n" == loop.sent
    )


async def test_when_the_server_is_an_ipv6_address_and_nobody_asks_for_a_password() -> None:
    """Brackets, and no empty field."""
    loop = SocketLoop(ESTABLISHED)
    await tunnel(loop, ProxyAddress("::1", 3128), Origin("https", "::1", 8443))

    assert b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n" == loop.sent


@given(places=st.lists(st.integers(0, len(ESTABLISHED)), max_size=8))
def test_when_the_answer_is_cut_anywhere_then_the_tunnel_opens(places: list[int]) -> None:
    """Segments mean nothing."""
    ends = [*sorted(places), len(ESTABLISHED)]
    pieces = [ESTABLISHED[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    asyncio.run(tunnel(SocketLoop(*pieces)))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 407 Who\r\n\r\n", "407: check its user and password"),
        (b"HTTP/1.1 403 No\r\n\r\n", "403: it must allow this host"),
        (b"HTTP/1.1 502 Bad\r\n\r\n", "502"),
        (b"HTTP/1.0 302\r\n\r\n", "302"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" + ESTABLISHED, "100"),
        (b"HTTP/2 200 OK\r\n\r\n", "something else than HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "something else than HTTP"),
        (b"\x16\x03\x01\r\n\r\n", "something else than HTTP"),
        (ESTABLISHED + b"x", "more than its answer"),
        (b"", "ended the connection"),
        (b"HTTP/1.1 200 OK\r\n", "ended the connection"),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 20_000, "ended the connection"),
    ],
)
async def test_when_the_answer_is_another_one_then_it_is_refused_with_its_reason(
    reply: bytes, words: str
) -> None:
    """As a connect error, since nothing of the request was sent; without the proxy's own words."""
    with pytest.raises(TunnelRefused, match=words) as caught:
        await tunnel(SocketLoop(reply))

    assert isinstance(caught.value, httpx.ConnectError)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (399, TunnelRefused),
        (400, TunnelForbidden),
        (407, TunnelForbidden),
        (499, TunnelForbidden),
        (500, TunnelRefused),
    ],
)
async def test_when_the_proxy_answers_4xx_then_it_is_not_worth_another_attempt(
    status: int, kind: type[Exception]
) -> None:
    """It forbids the tunnel; another refusal may pass."""
    with pytest.raises(TunnelRefused) as caught:
        await tunnel(SocketLoop(f"HTTP/1.1 {status} No\r\n\r\n".encode()))

    assert kind is type(caught.value)


@pytest.mark.parametrize(
    "value", ["", " ", "a\r\nX-A: b", "a\n", "\ta", "a\x00", "a ", "\N{SNOWMAN}", "a\x7f"]
)
def test_when_the_secret_cannot_be_a_header_field_then_it_is_refused(value: str) -> None:
    """A line break in it would be another field; the message does not repeat it."""
    words = "^the proxy's authorization cannot be sent as a header field$"
    with pytest.raises(ValueError, match=words):
        ProxyAddress("proxy.example", 3128, value)


def test_when_the_address_is_shown_then_its_secret_is_not() -> None:
    """It could be logged."""
    assert "dTpw" not in repr(PROXY)
