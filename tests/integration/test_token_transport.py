"""How tokens are asked for, on real sockets: no stranger's proxy, bounded time, our own retries."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import TokenAcquisitionError
from azure_function_app.identity import credentials, token_transport
from azure_function_app.identity.credential_kinds import CredentialKind, TokenSource
from azure_function_app.identity.credentials import request_token
from azure_function_app.identity.token_transport import Endpoint, build_transport
from azure_function_app.settings import load_settings
from emulator.entra.local_entra import LocalEntra
from shared.clock import SystemClock
from shared.entra import TokenVersion, parse_local_authority
from tests.support.fake_clock import FakeClock
from tests.support.faulty_server import (
    Behavior,
    FaultyServer,
    answer,
    close_after_reading,
    drip_body,
    drip_head,
    faulty_server,
    reset_after_reading,
    say_nothing,
    send_garbage,
)
from tests.support.local_entra import (
    API,
    CLIENT,
    CLIENT_SECRET,
    DIRECTORY,
    TENANT_ID,
    USER_ASSIGNED,
    trust,
    with_client,
)
from tests.support.tunnel_proxy import TunnelProxy, tunnel_proxy

CLOCK = SystemClock()
SECRET = "made-up-identity-header"

type Wait = Callable[[float], None]


def token_source(authority: str = "https://localhost:1", **environment: str) -> TokenSource:
    """The token source of these settings."""
    return load_settings(
        {
            "AWS_API_BASE_URL": "http://127.0.0.1:9/prod",
            "ENTRA_TENANT_ID": TENANT_ID,
            "API_CLIENT_ID": API.client_id,
            "ENTRA_AUTHORITY": "http://127.0.0.1:9",
            "AZURE_AUTHORITY_HOST": authority,
        }
        | environment
    ).token_source


def secret_of(entra: LocalEntra) -> TokenSource:
    """A service principal with a secret."""
    return token_source(
        entra.https_authority_host,
        CREDENTIAL="client_secret",
        AZURE_CLIENT_ID=CLIENT.client_id,
        AZURE_CLIENT_SECRET=CLIENT_SECRET,
    )


def identity_token(life: float = 3600) -> bytes:
    """What a managed identity's endpoint answers."""
    return json.dumps(
        {"access_token": "a.b.c", "expires_on": str(int(CLOCK.now() + life)), "resource": "api"}
    ).encode()


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from or while, and so on."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> Callable[[FaultyServer], TokenSource]:
    """Makes the server the managed identity's endpoint."""

    def point_at(server: FaultyServer) -> TokenSource:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", SECRET)
        return token_source()

    return point_at


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause between two attempts, none of which is waited for."""
    waited: list[float] = []
    build = build_transport

    def without_waiting(*arguments: object, **options: object) -> object:
        return build(*arguments, **options, sleep=waited.append)  # type: ignore[arg-type] # as it is called

    monkeypatch.setattr(credentials, "build_transport", without_waiting)
    return waited


@pytest.mark.parametrize(
    "names",
    [
        ("HTTP_PROXY",),
        ("http_proxy",),
        ("ALL_PROXY",),
        ("all_proxy",),
        ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"),
    ],
)
@pytest.mark.parametrize("exceptions", [None, "", "*", "127.0.0.1", "example.com", " ,,::1,;"])
async def test_when_the_environment_names_a_proxy_then_the_identitys_secret_does_not_go_there(
    monkeypatch: pytest.MonkeyPatch,
    asks: Callable[[FaultyServer], TokenSource],
    names: tuple[str, ...],
    exceptions: str | None,
) -> None:
    """The endpoint is on this machine, and the header is all that it asks for."""
    async with faulty_server(answer(200, identity_token())) as server, tunnel_proxy() as proxy:
        for name in names:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        if exceptions is not None:
            monkeypatch.setenv("NO_PROXY", exceptions)
            monkeypatch.setenv("no_proxy", exceptions)
        token = await asyncio.to_thread(request_token, asks(server))

    assert "a.b.c" == token.value
    assert [] == proxy.heads
    assert [[SECRET]] == [request.values("X-IDENTITY-HEADER") for request in server.requests]


async def test_when_a_proxy_is_set_then_a_managed_identity_still_goes_without(
    asks: Callable[[FaultyServer], TokenSource],
) -> None:
    """The setting is for Entra ID."""
    async with faulty_server(answer(200, identity_token())) as server, tunnel_proxy() as proxy:
        await asyncio.to_thread(
            request_token, asks(server), proxy_url=f"http://127.0.0.1:{proxy.port}"
        )

    assert [] == proxy.heads


async def test_when_an_identity_vouches_then_only_entra_is_asked_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the identity inside a federation use the environment's proxy, or the setting's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    issuer = parse_local_authority(f"http://127.0.0.1:{port}").issuer(TENANT_ID, TokenVersion.V2)
    directory = with_client(
        federated_credentials=(trust(issuer, USER_ASSIGNED.object_id),), secrets=()
    )
    async with (
        LocalEntra.start(directory, folder=tmp_path, http_port=port) as entra,
        tunnel_proxy() as proxy,
        tunnel_proxy() as strangers,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{strangers.port}")
        monkeypatch.setenv("IDENTITY_ENDPOINT", entra.identity_endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", entra.identity_header)
        source = token_source(
            entra.https_authority_host,
            CREDENTIAL="managed_identity_federation",
            AZURE_CLIENT_ID=CLIENT.client_id,
            MANAGED_IDENTITY_CLIENT_ID=USER_ASSIGNED.client_id,
        )
        await asyncio.to_thread(
            request_token,
            source,
            proxy_url=f"http://127.0.0.1:{proxy.port}",
            ca_file=str(entra.ca_file),
        )

    authority = entra.https_authority_host.removeprefix("https://").encode()
    assert [] == strangers.heads
    assert {b"CONNECT %s HTTP/1.1" % authority} == {
        head.split(b"\r\n", maxsplit=1)[0] for head in proxy.heads
    }
    assert 1 == entra.requests["managed_identity"]


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_when_the_environment_names_a_proxy_then_entra_is_not_asked_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A client's secret goes where the settings say."""
    async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra, tunnel_proxy() as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await asyncio.to_thread(request_token, secret_of(entra), ca_file=str(entra.ca_file))

    assert [] == proxy.heads


async def test_when_a_proxy_is_set_then_entra_is_asked_through_a_tunnel(tmp_path: Path) -> None:
    """The proxy sees the host's name and who we are to it, and nothing of what is said."""
    async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra, tunnel_proxy() as proxy:
        token = await asyncio.to_thread(
            request_token,
            secret_of(entra),
            proxy_url=f"http://user:p%40ss@127.0.0.1:{proxy.port}",
            ca_file=str(entra.ca_file),
        )

    authority = entra.https_authority_host.removeprefix("https://").encode()
    lines = proxy.heads[0].split(b"\r\n")
    assert token.value
    assert [
        b"CONNECT %s HTTP/1.1" % authority,
        b"Host: %s" % authority,
        b"Proxy-Authorization: Basic dXNlcjpwQHNz",
    ] == lines[:3]


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        (TunnelProxy(407), "refused to open a tunnel"),
        (TunnelProxy(200, is_silent=True), "timed out"),
    ],
)
async def test_when_the_proxy_opens_no_tunnel_then_there_is_no_answer(
    proxy: TunnelProxy, reason: str
) -> None:
    """It wants another password, or says nothing until the time is over."""
    async with tunnel_proxy(proxy.status, is_silent=proxy.is_silent) as running:
        with pytest.raises(AzureError, match=reason):
            await exchange(
                "https://localhost:9/", 0.3, proxy_url=f"http://127.0.0.1:{running.port}"
            )


async def test_when_the_proxy_hangs_up_then_there_is_no_answer() -> None:
    """Each of the three times."""
    async with faulty_server(close_after_reading) as proxy:
        with pytest.raises(AzureError, match="no answer to CONNECT"):
            await exchange(
                "https://localhost:9/",
                5,
                proxy_url=f"http://127.0.0.1:{proxy.port}",
                sleep=lambda _: None,
            )

    assert ["CONNECT"] * 3 == [request.method for request in proxy.requests]


async def test_when_a_proxy_is_set_then_nothing_is_sent_through_it_in_plain_text() -> None:
    """Only a tunnel keeps a secret from it."""
    async with tunnel_proxy() as proxy:
        with pytest.raises(AzureError, match="https only"):
            await exchange("http://localhost:9/", 0.3, proxy_url=f"http://127.0.0.1:{proxy.port}")

    assert [] == proxy.heads


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_when_the_environment_names_an_authority_then_it_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float], name: str
) -> None:
    """Whom to trust is said by the caller; and no second attempt would change the certificate."""
    async with LocalEntra.start(DIRECTORY, folder=tmp_path) as entra:
        monkeypatch.setenv(name, str(entra.ca_file))
        with pytest.raises(TokenAcquisitionError) as caught:
            await asyncio.to_thread(request_token, secret_of(entra))

    assert any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes(caught.value))
    assert 0 == entra.requests.get("token", 0)
    assert [] == pauses


async def test_when_the_certificate_is_another_hosts_then_it_is_not_trusted(
    tmp_path: Path,
) -> None:
    """An extra authority vouches for names, as the public ones do."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with faulty_server(answer(), tls=tls) as server:
        with pytest.raises(AzureError, match="CERTIFICATE_VERIFY_FAILED"):
            await exchange(
                f"https://localhost:{server.port}/", 0.5, ca_file=str(tmp_path / "ca.pem")
            )

    assert [] == server.requests


def test_when_the_file_of_authorities_is_not_there_then_no_token_is_asked_for() -> None:
    """As a certificate that is not there."""
    with pytest.raises(TokenAcquisitionError) as caught:
        request_token(token_source(), ca_file="/nowhere/ca.pem")

    assert isinstance(caught.value.__cause__, OSError)


async def test_when_the_endpoint_is_an_ipv6_address_that_ends_in_letters_then_it_is_reached() -> (
    None
):
    """They are no port."""
    server = await asyncio.start_server(tell, "127.0.0.10", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await exchange(f"http://[::ffff:7f00:a]:{port}/", 5.0)

    assert b"told" == told


async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntold")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "told",
    [
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"access_token": 5, "expires_on": "99999999999"}',
        b'{"access_token": "a.b.c", "expires_on": Infinity}',
    ],
    ids=["list", "text", "deep", "number", "infinity"],
)
async def test_when_what_is_answered_is_no_answer_then_the_error_is_ours(
    asks: Callable[[FaultyServer], TokenSource], told: bytes
) -> None:
    """Whatever the libraries make of it; and it is asked for once."""
    async with faulty_server(answer(200, told)) as server:
        source = asks(server)
        with pytest.raises(TokenAcquisitionError) as caught:
            await asyncio.to_thread(request_token, source)

    assert "token_unavailable" == caught.value.code
    assert 1 == len(server.requests)


async def exchange(
    url: str, seconds: float, endpoint: Endpoint = Endpoint.MANAGED_IDENTITY, **options: object
) -> bytes:
    """The body of what is answered by the deadline."""

    def send() -> bytes:
        deadline = Deadline.after(seconds, CLOCK)
        with build_transport(endpoint, CLOCK, deadline=deadline, **options) as transport:  # type: ignore[arg-type] # each option is checked by its name
            return bytes(transport.send(HttpRequest("GET", url)).read())

    return await asyncio.to_thread(send)


@pytest.mark.parametrize("behavior", [drip_head, drip_body, say_nothing])
async def test_when_the_endpoint_drips_then_the_exchange_ends_by_its_deadline(
    behavior: Behavior,
) -> None:
    """Each byte comes in time, and the whole never would."""
    async with faulty_server(behavior) as server:
        started = CLOCK.monotonic()
        with pytest.raises(AzureError):
            await exchange(f"http://127.0.0.1:{server.port}/", 0.5)

    assert CLOCK.monotonic() - started < 1.0


async def test_when_the_endpoint_drips_then_the_request_for_a_token_ends(
    monkeypatch: pytest.MonkeyPatch, asks: Callable[[FaultyServer], TokenSource]
) -> None:
    """The SDK between has no time of its own; its log says what it was."""
    monkeypatch.setattr(credentials, "EXCHANGE_SECONDS", 0.5)
    async with faulty_server(drip_body) as server:
        started = CLOCK.monotonic()
        with pytest.raises(TokenAcquisitionError, match="managed identity endpoint"):
            await asyncio.to_thread(request_token, asks(server))

    assert CLOCK.monotonic() - started < 1.0


async def test_when_a_handshake_hangs_then_the_exchange_ends_by_its_deadline() -> None:
    """A server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = CLOCK.monotonic()
        with pytest.raises(AzureError):
            await exchange(f"https://127.0.0.1:{silent.getsockname()[1]}/", 0.5)

    assert CLOCK.monotonic() - started < 1.0


@pytest.mark.parametrize("status", [404, 410, 429, 500, 502, 503, 504, 599])
async def test_when_the_endpoint_is_busy_then_it_is_asked_three_times(
    status: int, asks: Callable[[FaultyServer], TokenSource], pauses: list[float]
) -> None:
    """A second passes before the next attempt, then two; the third's token serves."""
    script = (answer(status), answer(status), answer(200, identity_token()))
    async with faulty_server(*script) as server:
        token = await asyncio.to_thread(request_token, asks(server))

    assert "a.b.c" == token.value
    assert [1.0, 2.0] == pauses


@pytest.mark.parametrize("status", [404, 429, 500])
async def test_when_the_endpoint_stays_busy_then_it_is_not_asked_a_fourth_time(
    status: int, asks: Callable[[FaultyServer], TokenSource], pauses: list[float]
) -> None:
    """Neither by us nor by the SDK."""
    async with faulty_server(answer(status)) as server:
        with pytest.raises(TokenAcquisitionError):
            await asyncio.to_thread(request_token, asks(server))

    assert 3 == len(server.requests)
    assert [1.0, 2.0] == pauses


@pytest.mark.parametrize("status", [300, 302, 307, 400, 401, 403, 405, 408, 409, 425])
async def test_when_the_endpoint_refuses_then_it_is_asked_once(
    status: int, asks: Callable[[FaultyServer], TokenSource], pauses: list[float]
) -> None:
    """Nothing would change, a Retry-After notwithstanding; and no redirect is followed."""
    refusal = answer(status, b"{}", ("Retry-After", "1"), ("Location", "http://127.0.0.1:9/"))
    async with faulty_server(refusal) as server:
        with pytest.raises(TokenAcquisitionError):
            await asyncio.to_thread(request_token, asks(server))

    assert 1 == len(server.requests)
    assert [] == pauses


@pytest.mark.parametrize("status", [404, 410])
async def test_when_entra_knows_no_such_page_then_it_is_asked_once(status: int) -> None:
    """Those two mean something only at a managed identity's endpoint."""
    async with faulty_server(answer(status)) as server:
        await exchange(f"http://127.0.0.1:{server.port}/", 5, Endpoint.ENTRA)

    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    "behavior", [reset_after_reading, close_after_reading, send_garbage, answer(200, b"x" * 2**21)]
)
async def test_when_there_is_no_answer_then_another_attempt_may_have_one(
    behavior: Behavior, asks: Callable[[FaultyServer], TokenSource], pauses: list[float]
) -> None:
    """A dropped connection, or what is no answer to this."""
    async with faulty_server(behavior, answer(200, identity_token())) as server:
        token = await asyncio.to_thread(request_token, asks(server))

    assert "a.b.c" == token.value
    assert [1.0] == pauses


async def test_when_the_answer_is_coded_then_it_is_none() -> None:
    """It could unpack to any size, and nobody asked for it."""
    coded = answer(200, b"\x1f\x8b", ("Content-Encoding", "gzip"))
    async with faulty_server(coded) as server:
        with pytest.raises(AzureError, match="coding"):
            await exchange(f"http://127.0.0.1:{server.port}/", 5, sleep=lambda _: None)

    assert [["identity"]] * 3 == [request.values("accept-encoding") for request in server.requests]


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("0", [1.0]),
        ("1", [1.0]),
        ("7", [7.0]),
        ("10", [10.0]),
        ("11", []),
        ("86400", []),
        ("soon", [1.0]),
        ("Wed, 21 Oct 2095 07:28:00 GMT", [1.0]),
    ],
)
async def test_when_the_endpoint_asks_for_a_pause_then_it_is_kept_within_a_bound(
    asks: Callable[[FaultyServer], TokenSource],
    pauses: list[float],
    asked: str,
    waited: list[float],
) -> None:
    """One that is too long ends the attempts instead of holding a thread."""
    busy = answer(429, b"{}", ("Retry-After", asked))
    async with faulty_server(busy, answer(200, identity_token())) as server:
        try:
            await asyncio.to_thread(request_token, asks(server))
        except TokenAcquisitionError:
            assert [] == waited

    assert waited == pauses


async def test_when_no_time_is_left_for_a_pause_then_the_answer_is_handed_on() -> None:
    """The caller learns of the refusal, not of a time-out."""
    async with faulty_server(answer(503, b"busy")) as server:
        body = await exchange(f"http://127.0.0.1:{server.port}/", 0.5)

    assert b"busy" == body
    assert 1 == len(server.requests)


async def test_when_a_credential_is_kept_then_each_exchange_has_the_whole_time() -> None:
    """As the table store keeps one; only a request for one token has one deadline for all."""
    clock = FakeClock()
    async with faulty_server(answer(200, b"ok")) as server:
        request = HttpRequest("GET", f"http://127.0.0.1:{server.port}/")

        def send_two() -> list[bytes]:
            with build_transport(Endpoint.ENTRA, clock) as transport:
                first = transport.send(request).read()
                clock.advance(token_transport.EXCHANGE_SECONDS + 1)
                return [first, transport.send(request).read()]

        assert [b"ok", b"ok"] == await asyncio.to_thread(send_two)


async def test_when_one_address_refuses_then_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host's addresses are tried one after the other, within the same time."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()[1]
        async with faulty_server(answer(200, b"ok")) as server:
            found = [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
                for port in (dead, server.port)
            ]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            body = await exchange("http://two.example/", 5)

    assert b"ok" == body
    assert ["two.example"] == server.requests[0].values("Host")


@pytest.mark.parametrize("found", [[], [(2, 1, 6, "", ("127.0.0.1", 9))]])
async def test_when_no_address_answers_then_the_error_is_the_last_ones(
    monkeypatch: pytest.MonkeyPatch, found: list[object]
) -> None:
    """Or that there is none."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(AzureError, match="refused" if found else "no address"):
        await exchange("http://dead.example/", 0.5)


async def test_when_a_form_is_posted_then_it_arrives_as_it_is() -> None:
    """Percent-encoded once, with its length, and the port in Host."""
    async with faulty_server(answer(200, b"{}")) as server:

        def send() -> None:
            with build_transport(Endpoint.ENTRA, CLOCK) as transport:
                transport.send(
                    HttpRequest(
                        "POST",
                        f"http://127.0.0.1:{server.port}/a/token?x=%2B",
                        data={"scope": "api://x/.default", "secret": "a+b &c"},
                    )
                )

        await asyncio.to_thread(send)

    (request,) = server.requests
    assert ("POST", "/a/token?x=%2B") == (request.method, request.target)
    assert b"scope=api%3A%2F%2Fx%2F.default&secret=a%2Bb+%26c" == request.body
    assert [f"127.0.0.1:{server.port}"] == request.values("Host")


async def test_when_a_machine_two_hours_ahead_gets_a_token_then_it_has_expired_on_arrival(
    asks: Callable[[FaultyServer], TokenSource],
) -> None:
    """The identity endpoint says when in absolute time, and the SDK hands that on."""
    async with faulty_server(answer(200, identity_token(life=-3600))) as server:
        token = await asyncio.to_thread(request_token, asks(server))

    assert token.expires_at < CLOCK.now()


def test_when_the_managed_identity_is_the_default_then_its_kind_says_so() -> None:
    """What these tests mean by a token source without a CREDENTIAL."""
    assert CredentialKind.MANAGED_IDENTITY is token_source().credential.kind


async def test_when_the_caller_asks_for_something_else_then_requests_still_goes_our_way() -> None:
    """No proxy, time-out or certificate that requests is told of has a say."""
    async with faulty_server(answer(200, b"ok")) as server, tunnel_proxy() as proxy:

        def send() -> bytes:
            with build_transport(Endpoint.ENTRA, CLOCK) as transport:
                proxies = {"http": f"http://127.0.0.1:{proxy.port}"}
                request = HttpRequest("GET", f"http://127.0.0.1:{server.port}/")
                return bytes(transport.send(request, proxies=proxies, read_timeout=0.001).read())

        body = await asyncio.to_thread(send)

    assert b"ok" == body
    assert [] == proxy.heads
