"""The transport on real sockets: what each fault becomes, and what is sent and received exactly."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
import trustme

from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.deadline import DEADLINE_EXTENSION, Deadline
from azure_function_app.errors import DeadlineExceeded, Overloaded
from azure_function_app.http1.errors import CertificateError
from shared.clock import SystemClock
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    abort_chunked,
    answer,
    close_after_reading,
    drip_body,
    drip_head,
    faulty_server,
    greet_with_garbage,
    reset_after_reading,
    reset_connection,
    say_nothing,
    send_garbage,
    truncate,
)

CLOCK = SystemClock()


@asynccontextmanager
async def client_of(
    *,
    connections: int = 10,
    waiting: int = 1000,
    connect_seconds: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that waits for a connection longer than a busy machine takes to open one."""
    client = build_client(
        connections=connections,
        waiting=waiting,
        connect_seconds=connect_seconds,
        ssl_context=tls,
    )
    async with client:
        yield client


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody takes it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def unanswering_port() -> Iterator[int]:
    """A port whose backlog is full, so that the kernel drops further connection requests."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for filler in (first, second):
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        (reset_after_reading, httpx.ReadError),
        (close_after_reading, httpx.RemoteProtocolError),
        (send_garbage, httpx.RemoteProtocolError),
        (truncate, httpx.RemoteProtocolError),
        (abort_chunked, httpx.RemoteProtocolError),
    ],
)
async def test_when_the_server_fails_after_reading_then_the_error_says_it_may_have_been_read(
    method: str, behavior: Behavior, expected: type[Exception]
) -> None:
    """Such a failure is never a connect error, and the transport itself sends once only."""
    async with faulty_server(behavior) as server, client_of() as client:
        with pytest.raises(expected) as caught:
            await client.request(method, f"http://127.0.0.1:{server.port}/", content=b"x")

    assert 1 == len(server.requests)
    assert not isinstance(caught.value, (httpx.ConnectError, httpx.ConnectTimeout))


async def test_when_the_connection_is_reset_unread_then_the_error_is_still_no_connect_error() -> (
    None
):
    """The client cannot know that nothing was read, so it must not claim it."""
    async with (
        faulty_server(answer(), on_connection=reset_connection) as server,
        client_of() as client,
    ):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.post(f"http://127.0.0.1:{server.port}/", content=b"x")

    assert 1 == server.connections


async def test_when_nobody_listens_then_it_is_a_connect_error() -> None:
    """A refused connection has carried nothing."""
    with closed_port() as port:
        async with client_of() as client:
            with pytest.raises(httpx.ConnectError):
                await client.post(f"http://127.0.0.1:{port}/", content=b"x")


async def test_when_connecting_takes_too_long_then_it_is_a_connect_timeout() -> None:
    """A connection that was never there has carried nothing either."""
    with unanswering_port() as port:
        async with client_of(connect_seconds=0.2) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.post(f"http://127.0.0.1:{port}/", content=b"x")


@pytest.mark.parametrize("behavior", [say_nothing, drip_head, drip_body])
async def test_when_the_server_is_slow_then_the_deadline_ends_the_call(behavior: Behavior) -> None:
    """Silence, a dripping head and a dripping body all end at the deadline, within a tenth."""
    async with faulty_server(behavior) as server, client_of() as client:
        started = CLOCK.monotonic()
        with pytest.raises(DeadlineExceeded):
            await client.get(
                f"http://127.0.0.1:{server.port}/",
                extensions={DEADLINE_EXTENSION: Deadline.after(1.0, CLOCK)},
                timeout=None,
            )
        took = CLOCK.monotonic() - started

    assert 1.0 <= took <= 1.1


async def test_when_connecting_outlasts_the_deadline_then_the_deadline_ends_the_call() -> None:
    """The deadline covers connecting too."""
    with unanswering_port() as port:
        async with client_of() as client:
            started = CLOCK.monotonic()
            with pytest.raises(DeadlineExceeded):
                await client.get(
                    f"http://127.0.0.1:{port}/",
                    extensions={DEADLINE_EXTENSION: Deadline.after(0.3, CLOCK)},
                )
            took = CLOCK.monotonic() - started

    assert 0.3 <= took <= 0.4


@pytest.mark.parametrize("behavior", [say_nothing, drip_head])
async def test_when_no_head_comes_in_the_read_timeout_then_it_is_a_read_timeout(
    behavior: Behavior,
) -> None:
    """The read time-out bounds the whole head, so that dripping it does not reset it."""
    async with faulty_server(behavior) as server, client_of() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://127.0.0.1:{server.port}/", timeout=0.2)


async def test_when_the_deadline_has_passed_then_nothing_is_sent() -> None:
    """A call without time left does not reach the server."""
    async with faulty_server(answer()) as server, client_of() as client:
        with pytest.raises(DeadlineExceeded):
            await client.get(
                f"http://127.0.0.1:{server.port}/",
                extensions={DEADLINE_EXTENSION: Deadline.after(0.0, CLOCK)},
            )

    assert 0 == server.connections


async def test_when_a_kept_connection_was_closed_meanwhile_then_a_new_one_is_opened() -> None:
    """A connection that the server is seen to have closed is not used again."""
    async with (
        faulty_server(answer(200, b"{}", ("Connection", "close"))) as server,
        client_of() as client,
    ):
        for _ in range(2):
            await client.post(f"http://127.0.0.1:{server.port}/", content=b"x")

    assert 2 == server.connections


async def test_when_a_connection_is_kept_then_it_is_used_again() -> None:
    """Answers that are read to their end leave their connection to the next request."""
    async with faulty_server(answer()) as server, client_of() as client:
        for _ in range(3):
            await client.get(f"http://127.0.0.1:{server.port}/")

    assert 1 == server.connections
    assert 3 == len(server.requests)


@pytest.mark.parametrize("trusts_the_authority", [False, True])
async def test_when_the_certificate_is_wrong_then_it_is_a_certificate_error(
    *, trusts_the_authority: bool
) -> None:
    """An unknown authority and a wrong name are both refused before anything is sent."""
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    name = "another.example" if trusts_the_authority else "127.0.0.1"
    authority.issue_cert(name).configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    if trusts_the_authority:
        authority.configure_trust(client_tls)
    async with (
        faulty_server(answer(), tls=server_tls) as server,
        client_of(tls=client_tls) as client,
    ):
        with pytest.raises(CertificateError):
            await client.post(f"https://127.0.0.1:{server.port}/", content=b"x")

    assert [] == server.requests


async def test_when_the_server_speaks_no_tls_then_it_is_a_connect_error() -> None:
    """A failed handshake has carried no request."""
    async with (
        faulty_server(answer(), on_connection=greet_with_garbage) as server,
        client_of() as client,
    ):
        with pytest.raises(httpx.ConnectError):
            await client.post(f"https://127.0.0.1:{server.port}/", content=b"x")

    assert [] == server.requests


async def test_when_the_certificate_is_right_then_the_call_succeeds() -> None:
    """The same server is answered when its authority is trusted and its name fits."""
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    async with (
        faulty_server(answer(200, b"yes"), tls=server_tls) as server,
        client_of(tls=client_tls) as client,
    ):
        response = await client.get(f"https://127.0.0.1:{server.port}/")

    assert b"yes" == response.content


async def test_when_the_server_redirects_then_the_answer_is_handed_on() -> None:
    """A redirect could carry the token elsewhere, so nobody follows it."""
    async with (
        faulty_server(answer(307, b"", ("Location", "http://127.0.0.2:9/"))) as server,
        client_of() as client,
    ):
        response = await client.get(f"http://127.0.0.1:{server.port}/")

    assert 307 == response.status_code
    assert 1 == len(server.requests)


async def test_when_the_server_sets_a_cookie_then_the_next_request_does_not_carry_it() -> None:
    """One caller's cookie never reaches the next, and each answer keeps its own unmerged."""
    setter = answer(200, b"", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"))
    async with faulty_server(setter) as server, client_of() as client:
        first = await client.get(f"http://127.0.0.1:{server.port}/")
        await client.get(f"http://127.0.0.1:{server.port}/")

    assert ["a=1", "b=2; Path=/"] == first.headers.get_list("set-cookie")
    assert [[], []] == [request.values("cookie") for request in server.requests]


async def test_when_the_environment_names_a_proxy_then_it_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests with a token go where the settings say, whatever the environment holds."""
    with closed_port() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        async with faulty_server(answer()) as server, client_of() as client:
            response = await client.get(f"http://127.0.0.1:{server.port}/")

    assert 200 == response.status_code


async def test_when_a_request_is_sent_then_the_server_sees_exactly_its_bytes() -> None:
    """Percent-encoding, query, header order and binary body arrive as they were given."""
    body = bytes(range(256))
    async with faulty_server(answer()) as server, client_of() as client:
        await client.send(
            httpx.Request(
                "PUT",
                f"http://127.0.0.1:{server.port}/a%2Fb%20c;d?x=%2B&x=2&y",
                headers=[("X-One", "1"), ("X-Two", "2"), ("x-one", "3")],
                content=body,
            )
        )

    (request,) = server.requests
    assert ("PUT", "/a%2Fb%20c;d?x=%2B&x=2&y") == (request.method, request.target)
    assert body == request.body
    assert ["1", "3"] == request.values("x-one")
    assert ["256"] == request.values("content-length")
    assert [] == request.values("user-agent") + request.values("content-type")


async def test_when_a_body_is_streamed_then_it_arrives_in_chunks_and_whole() -> None:
    """A body without a known length is sent chunked, once."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with faulty_server(answer()) as server, client_of() as client:
        await client.post(f"http://127.0.0.1:{server.port}/", content=pieces())

    (request,) = server.requests
    assert b"one two" == request.body
    assert ["chunked"] == request.values("transfer-encoding")


async def test_when_the_answer_is_coded_then_its_raw_bytes_are_handed_on() -> None:
    """What the server coded is for the caller to decode, or to pass on as it is."""
    coded = answer(200, b"\x1f\x8bnot really gzip", ("Content-Encoding", "gzip"))
    async with faulty_server(coded) as server, client_of() as client:
        request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
        response = await client.send(request, stream=True)
        raw = b"".join([piece async for piece in response.aiter_raw()])

    assert b"\x1f\x8bnot really gzip" == raw


@pytest.mark.parametrize("status", [204, 304])
async def test_when_the_status_has_no_body_then_none_is_waited_for(status: int) -> None:
    """204 and 304 end with their head."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(f"HTTP/1.1 {status} Told\r\nETag: x\r\n\r\n".encode())

    async with faulty_server(behave) as server, client_of() as client:
        response = await client.get(f"http://127.0.0.1:{server.port}/", timeout=2)

    assert (status, b"") == (response.status_code, response.content)


async def test_when_the_method_is_head_then_the_length_is_kept_and_no_body_read() -> None:
    """HEAD tells the length of a body that does not come."""
    async with faulty_server(answer(200, b"twelve bytes")) as server, client_of() as client:
        response = await client.head(f"http://127.0.0.1:{server.port}/", timeout=2)

    assert ("12", b"") == (response.headers["content-length"], response.content)


async def test_when_a_body_comes_in_pieces_then_they_are_handed_on_as_they_come() -> None:
    """A piece of the body is there before the server has sent the rest."""
    go_on = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        await go_on.wait()
        await exchange.send(b"two")

    async with faulty_server(behave) as server, client_of() as client:
        request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
        response = await client.send(request, stream=True)
        pieces = response.aiter_raw()
        first = await anext(pieces)
        go_on.set()
        rest = [piece async for piece in pieces]

    assert (b"one", [b"two"]) == (first, rest)


async def test_when_a_body_is_not_read_then_its_connection_is_closed_and_its_place_given_back() -> (
    None
):
    """A caller who closes early takes nothing from the pool."""
    async with (
        faulty_server(drip_body, answer()) as server,
        client_of(connections=1, waiting=0) as client,
    ):
        request = httpx.Request("GET", f"http://127.0.0.1:{server.port}/")
        await (await client.send(request, stream=True)).aclose()
        response = await client.get(f"http://127.0.0.1:{server.port}/", timeout=2)

    assert 200 == response.status_code
    assert 2 == server.connections


async def test_when_every_place_is_taken_then_the_next_call_is_refused_at_once() -> None:
    """The bulkhead refuses what it can neither send nor let wait."""
    arrived = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        arrived.set()
        await say_nothing(exchange)

    async with (
        faulty_server(behave) as server,
        client_of(connections=1, waiting=0) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        first = asyncio.create_task(client.get(url))
        await arrived.wait()
        with pytest.raises(Overloaded):
            await client.get(url)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_when_a_thousand_requests_were_cancelled_then_the_pool_answers_every_probe() -> None:
    """Cancelled requests leak no place: twenty probes of twenty are answered."""
    slow = {"yes": True}

    async def behave(exchange: Exchange) -> None:
        if slow["yes"]:
            await say_nothing(exchange)
        else:
            await answer()(exchange)

    async with faulty_server(behave) as server, client_of(connections=10) as client:
        url = f"http://127.0.0.1:{server.port}/"
        for _ in range(10):
            tasks = [asyncio.create_task(client.get(url)) for _ in range(100)]
            await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        slow["yes"] = False
        probes = await asyncio.gather(*(client.get(url, timeout=2) for _ in range(20)))

    assert [200] * 20 == [probe.status_code for probe in probes]


async def test_when_a_client_is_used_on_another_loop_then_it_says_so() -> None:
    """A connection belongs to the loop that opened it."""
    async with faulty_server(answer()) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}/"
        await client.get(url)

        def call() -> None:
            asyncio.run(client.get(url))

        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(call)


async def test_when_a_header_would_break_the_line_then_nothing_is_sent() -> None:
    """A line break in a header value is refused by the client."""
    async with faulty_server(answer()) as server, client_of() as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(f"http://127.0.0.1:{server.port}/", headers={"x-a": "1\r\nx-b: 2"})

    assert [] == server.requests


@pytest.mark.parametrize("origin", ["ftp://127.0.0.1:{port}", "ws://127.0.0.1:{port}", "http://"])
async def test_when_the_url_is_not_one_of_http_then_nothing_is_sent(origin: str) -> None:
    """Another scheme, or no host, is refused before any connection is opened."""
    async with faulty_server(answer()) as server, client_of() as client:
        url = origin.format(port=server.port) + "/"
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get(url)

    assert [] == server.requests
