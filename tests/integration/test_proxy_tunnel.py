"""The transport through an HTTPS proxy: what the proxy gets to see, and how it can fail."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from azure_function_app.aws_api.direct_client import DirectClient
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded
from azure_function_app.http1.errors import CertificateError, TunnelRefused
from azure_function_app.proxy_address import ProxyAddress
from shared.clock import SystemClock
from tests.integration.test_transport_faults import closed_port
from tests.support.connect_proxy import ESTABLISHED, ConnectProxy, connect_proxy
from tests.support.faulty_server import faulty_server, say_nothing
from tests.support.odd_answers import echo
from tests.support.transport_calls import open_descriptors, tls_contexts, transport_of, until

CLOCK = SystemClock()
SECRET = "Basic cHJveHk6cGFzc3dvcmQ="
TOKEN = "made-up.access.token"


@asynccontextmanager
async def client_through(
    port: int, tls: ssl.SSLContext | None = None, *, connect_seconds: float = 5.0
) -> AsyncIterator[DirectClient]:
    """A client that goes through the proxy."""
    proxy = ProxyAddress("127.0.0.1", port, SECRET)
    transport = transport_of(tls, connect_seconds=connect_seconds, proxy=proxy)
    async with DirectClient(transport, httpx.Timeout(None)) as client:
        yield client


async def test_when_a_proxy_is_set_then_each_side_gets_its_own_secret_only() -> None:
    """The proxy sees host and port and its password; the server sees the token."""
    tls = tls_contexts()
    async with (
        faulty_server(echo, tls=tls.server) as server,
        connect_proxy() as proxy,
        client_through(proxy.port, tls.client) as client,
    ):
        for n in range(3):
            response = await client.get(
                f"https://127.0.0.1:{server.port}/{n}",
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=5,
            )
            assert f"/{n}".encode() == response.content

    authority = f"127.0.0.1:{server.port}"
    assert [
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
        f"Proxy-Authorization: {SECRET}\r\n\r\n".encode()
    ] == proxy.heads
    assert TOKEN.encode() not in bytes(proxy.sent_on)
    assert 3 == len(server.requests)
    for request in server.requests:
        assert [f"Bearer {TOKEN}"] == request.values("authorization")
        assert [] == request.values("proxy-authorization")
        assert SECRET not in str(request)


@pytest.mark.parametrize("status", [100, 199, 301, 400, 403, 407, 500, 502, 503, 504, 999])
async def test_when_the_proxy_refuses_then_it_is_a_connect_error_that_says_so(status: int) -> None:
    """Nothing was sent, so that even a POST may be sent again."""
    reply = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    async with (
        connect_proxy(reply) as proxy,
        client_through(proxy.port) as client,
    ):
        with pytest.raises(TunnelRefused, match=str(status)) as caught:
            await client.post("https://127.0.0.1:9/", content=b"x", timeout=5)

        assert await until(lambda: proxy.open_connections == 0)
    assert isinstance(caught.value, httpx.ConnectError)
    assert SECRET not in str(caught.value)


async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    del reader
    writer.close()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing."""
    del writer
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a head that never ends."""
    del reader
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-A: b\r\n")
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "reply",
    [
        ESTABLISHED + b"x",
        ESTABLISHED + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n",
        b"\r\n\r\n",
    ],
)
async def test_when_the_proxys_answer_is_odd_then_nothing_is_sent(reply: bytes) -> None:
    """More than its answer, another protocol, too much, too little."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with (
        connect_proxy(behavior=behave) as proxy,
        client_through(proxy.port) as client,
    ):
        with pytest.raises(httpx.ConnectError):
            await client.post("https://127.0.0.1:9/", content=b"x", timeout=5)


async def test_when_the_proxy_dies_then_it_is_a_connect_error() -> None:
    """Nothing was sent."""
    async with connect_proxy(behavior=die) as proxy, client_through(proxy.port) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post("https://127.0.0.1:9/", content=b"x", timeout=5)


async def test_when_the_proxy_drips_its_head_then_it_is_refused_before_long() -> None:
    """Its head has a limit, too."""
    async with connect_proxy(behavior=drip) as proxy, client_through(proxy.port) as client:
        with pytest.raises(TunnelRefused):
            await client.post("https://127.0.0.1:9/", content=b"x", timeout=5)


async def test_when_the_proxy_hangs_then_it_is_a_connect_timeout_or_the_deadline() -> None:
    """The time for connecting covers the tunnel, and nothing is left of it."""
    async with (
        connect_proxy(behavior=hang) as proxy,
        client_through(proxy.port, connect_seconds=0.2) as client,
    ):
        descriptors = open_descriptors()
        with pytest.raises(httpx.ConnectTimeout):
            await client.post("https://127.0.0.1:9/", content=b"x")
        with pytest.raises(DeadlineExceeded):
            await client.post(
                "https://127.0.0.1:9/",
                content=b"x",
                extensions={DEADLINE_EXTENSION: Deadline.after(0.1, CLOCK)},
            )
        assert await until(lambda: proxy.open_connections == 0)
        assert await until(lambda: descriptors == open_descriptors())


async def test_when_the_call_is_cancelled_in_the_tunnel_then_nothing_is_left() -> None:
    """The socket is not a connection yet, so nobody else would close it."""
    async with connect_proxy(behavior=hang) as proxy, client_through(proxy.port) as client:
        task = asyncio.create_task(client.get("https://127.0.0.1:9/"))
        assert await until(lambda: bool(proxy.heads))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert task.cancelled()
        assert await until(lambda: proxy.open_connections == 0)


async def test_when_nobody_listens_at_the_proxy_then_it_is_a_connect_error() -> None:
    """And the server is not asked directly."""
    tls = tls_contexts()
    with closed_port() as port:
        async with (
            faulty_server(echo, tls=tls.server) as server,
            client_through(port, tls.client) as client,
        ):
            with pytest.raises(httpx.ConnectError):
                await client.post(f"https://127.0.0.1:{server.port}/", content=b"x")

    assert 0 == server.connections


async def test_when_the_proxy_puts_itself_between_then_its_certificate_is_refused() -> None:
    """TLS is with the server, whoever carries it."""
    trusted, other = tls_contexts(), tls_contexts()
    async with (
        faulty_server(echo, tls=other.server) as server,
        connect_proxy() as proxy,
        client_through(proxy.port, trusted.client) as client,
    ):
        with pytest.raises(CertificateError):
            await client.get(f"https://127.0.0.1:{server.port}/", timeout=5)

    assert [] == server.requests


async def test_when_the_proxy_dies_under_a_call_then_it_may_have_been_read() -> None:
    """The tunnel was open, so this is no connect error; the next call gets a new tunnel."""
    tls = tls_contexts()
    async with (
        faulty_server(echo, say_nothing, echo, tls=tls.server) as server,
        connect_proxy() as proxy,
        client_through(proxy.port, tls.client) as client,
    ):
        url = f"https://127.0.0.1:{server.port}"
        await client.get(f"{url}/1", timeout=5)
        call = asyncio.create_task(client.post(f"{url}/2", content=b"x", timeout=5))
        assert await until(lambda: len(server.requests) == 2)
        await kill(proxy)
        with pytest.raises(httpx.TransportError) as caught:
            await call
        after = await client.get(f"{url}/3", timeout=5)

    assert not isinstance(caught.value, (httpx.ConnectError, httpx.ConnectTimeout))
    assert b"/3" == after.content


async def kill(proxy: ConnectProxy) -> None:
    """End every tunnel, and go on listening."""
    await proxy.stop()
