"""How the transport comes to a connection: names, addresses that race each other, TLS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from azure_function_app.http1.errors import CertificateError
from shared.clock import SystemClock
from tests.integration.test_transport_faults import client_of, closed_port, unanswering_port
from tests.support.faulty_server import Exchange, answer, faulty_server
from tests.support.odd_answers import echo
from tests.support.transport_calls import resolve_to, tls_contexts, transport_of, until

CLOCK = SystemClock()
NAME = "http://api.example/"


async def test_when_the_first_address_swallows_everything_then_the_second_one_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next address is tried beside it after a quarter of a second."""
    async with faulty_server(answer(200, b"second")) as server, client_of() as client:
        with unanswering_port() as port:
            resolve_to(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", server.port))
            started = CLOCK.monotonic()
            response = await client.get(NAME)
            took = CLOCK.monotonic() - started

    assert b"second" == response.content
    assert 0.2 <= took <= 0.4


async def test_when_the_first_address_refuses_then_the_second_one_is_tried_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal is an answer, so there is nothing to wait for."""
    async with faulty_server(answer(200, b"second")) as server, client_of() as client:
        with closed_port() as port:
            resolve_to(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", server.port))
            started = CLOCK.monotonic()
            response = await client.get(NAME)
            took = CLOCK.monotonic() - started

    assert b"second" == response.content
    assert took <= 0.2


async def test_when_every_address_refuses_then_the_name_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was sent; and what is remembered of the name is of no use."""
    async with client_of() as client:
        with closed_port() as port:
            asked = resolve_to(monkeypatch, ("127.0.0.1", port), ("127.0.0.2", port))
            for _ in range(2):
                with pytest.raises(httpx.ConnectError):
                    await client.post(NAME, content=b"x")

    assert ["api.example"] * 2 == asked


async def test_when_no_address_answers_in_time_then_the_name_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name whose addresses have moved is found within one attempt, not within a minute."""
    async with faulty_server(answer()) as server, client_of(connect_seconds=0.3) as client:
        with unanswering_port() as port:
            resolve_to(monkeypatch, ("127.0.0.1", port))
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(NAME)
        resolve_to(monkeypatch, ("127.0.0.1", server.port))
        response = await client.get(NAME)

    assert 200 == response.status_code


async def test_when_many_ask_at_once_then_the_name_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixty-four cold callers, one question; and no other one while its answer is fresh."""
    async with (
        faulty_server(echo) as server,
        client_of(connections=64) as client,
    ):
        asked = resolve_to(monkeypatch, ("127.0.0.1", server.port), seconds=0.05)
        answers = await asyncio.gather(*(client.get(f"{NAME}{n}") for n in range(64)))
        for writer in server.writers:
            writer.close()
        await until(lambda: server.open_connections == 0)
        await client.get(NAME)

    assert [f"/{n}".encode() for n in range(64)] == [one.content for one in answers]
    assert ["api.example"] == asked


@pytest.mark.parametrize("error", [socket.gaierror("no such name"), UnicodeError("no name")])
async def test_when_the_name_is_not_found_then_it_is_a_connect_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent."""

    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with client_of() as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(NAME, content=b"x")


async def test_when_a_look_up_takes_too_long_then_it_is_a_connect_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time for connecting covers the look-up."""
    resolve_to(monkeypatch, ("127.0.0.1", 9), seconds=5.0)
    async with client_of(connect_seconds=0.1) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.post(NAME, content=b"x")


@asynccontextmanager
async def silent_tls_server() -> AsyncIterator[int]:
    """A server that takes connections and never says a word of TLS."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        port: int = listener.getsockname()[1]
        yield port


async def test_when_the_handshake_hangs_then_it_is_a_connect_timeout() -> None:
    """The time for connecting covers TLS."""
    async with silent_tls_server() as port, client_of(connect_seconds=0.2) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.post(f"https://127.0.0.1:{port}/", content=b"x")


async def test_when_an_answer_comes_with_the_handshake_then_nothing_was_sent() -> None:
    """It answers no request, so the connection is ended before it carries one."""
    tls = tls_contexts()
    # In TLS 1.3 the request leaves together with the end of the handshake.
    tls.server.maximum_version = ssl.TLSVersion.TLSv1_2

    async def push(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = tls.server.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65_536))
            else:
                break
        session.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign")
        # In one segment with the end of the handshake.
        writer.write(outgoing.read())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(push, "127.0.0.1", 0)
    async with server, client_of(tls=tls.client) as client:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(httpx.ConnectError):
            await client.post(url, content=b"x", timeout=2)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("is_cut_off", [False, True])
async def test_when_tls_is_cut_off_then_a_body_without_length_is_not_whole(
    version: ssl.TLSVersion, *, is_cut_off: bool
) -> None:
    """Only the server's closure alert ends such a body: the end of the connection can be forged."""
    tls = tls_contexts()
    tls.server.maximum_version = version

    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\nall or not")
        if is_cut_off:
            sock: socket.socket = exchange.writer.get_extra_info("socket")
            with socket.socket(fileno=socket.dup(sock.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)
        else:
            exchange.close()

    async with faulty_server(behave, tls=tls.server) as server, client_of(tls=tls.client) as client:
        url = f"https://127.0.0.1:{server.port}/"
        if is_cut_off:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(url)
        else:
            response = await client.get(url)
            assert b"all or not" == response.content


async def test_when_a_tls_connection_is_kept_then_it_is_used_again() -> None:
    """Session tickets that come after the handshake are nobody's answer."""
    tls = tls_contexts()
    async with faulty_server(echo, tls=tls.server) as server, client_of(tls=tls.client) as client:
        for n in range(20):
            response = await client.get(f"https://127.0.0.1:{server.port}/{n}")
            assert f"/{n}".encode() == response.content

    assert 1 == server.connections


async def test_when_the_server_wants_a_certificate_of_us_then_its_own_is_not_to_blame() -> None:
    """It is not the server's certificate that is wrong; and the caller hears of it in time."""
    tls = tls_contexts()
    tls.server.verify_mode = ssl.CERT_REQUIRED
    async with (
        faulty_server(answer(), tls=tls.server) as server,
        client_of(tls=tls.client) as client,
    ):
        with pytest.raises(httpx.TransportError) as caught:
            await client.get(f"https://127.0.0.1:{server.port}/", timeout=2)

    assert not isinstance(caught.value, (CertificateError, httpx.TimeoutException))
    assert [] == server.requests


async def test_when_the_host_is_an_ipv6_address_then_it_is_reached() -> None:
    """Brackets belong to the URL and not to the address."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "::1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = transport_of()
    async with server:
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(httpx.Request("GET", f"http://[::1]:{port}/"))
        await transport.aclose()
