"""What the settings for a company's network put on the wire, over real sockets."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from azure_function_app import bootstrap
from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BackendUnavailable, RequestRefused, TokenAcquisitionError
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.settings import load_settings
from shared.clock import SystemClock
from tests.support.faulty_server import Exchange, answer, faulty_server
from tests.support.functions_app import NEEDED
from tests.support.tunnel_proxy import tunnel_proxy

TOKEN = "made-up.access.token"
KEY = "made-up-key-0123456789"
GET = ApiRequest("GET", "/v1/records")


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token without a token endpoint: what is asked of that one is not the subject here."""
    clock = SystemClock()
    monkeypatch.setattr(
        bootstrap, "request_token", lambda *_, **__: AccessToken(TOKEN, clock.now() + 3600)
    )


@asynccontextmanager
async def api_from_settings(**environment: str) -> AsyncIterator[ApiClient]:
    """The API client that these settings make, closed at the end of the block."""
    apis = bootstrap.build_api_clients(load_settings(NEEDED | environment), SystemClock())
    try:
        yield apis.proxy
    finally:
        await apis.aclose()


def soon() -> Deadline:
    """A deadline that only a fault reaches."""
    return Deadline.after(5.0, SystemClock())


async def test_when_an_api_key_is_set_then_it_goes_out_beside_the_token() -> None:
    """Once, whatever the request brings."""
    request = ApiRequest("GET", "/v1/records", headers=(("x-api-key", "theirs"),))
    async with (
        faulty_server(answer()) as server,
        api_from_settings(
            AWS_API_BASE_URL=f"http://127.0.0.1:{server.port}/prod", AWS_API_KEY=KEY
        ) as api,
    ):
        await api.fetch(request, deadline=soon())

    (received,) = server.requests
    assert [KEY] == received.values("x-api-key")
    assert [f"Bearer {TOKEN}"] == received.values("authorization")


@pytest.mark.parametrize(
    ("environment", "host", "api_ids"),
    [
        ({}, "127.0.0.1", []),
        ({"AWS_API_HOST": "abc.execute-api.eu-west-1.amazonaws.com"},
         "abc.execute-api.eu-west-1.amazonaws.com", []),
        ({"AWS_API_ID": "abc123"}, "127.0.0.1", ["abc123"]),
    ],
)  # fmt: skip
async def test_when_the_api_is_private_then_the_endpoint_hears_which_one_is_meant(
    environment: dict[str, str], host: str, api_ids: list[str], tmp_path: Path
) -> None:
    """By one Host header or one API ID; the server's name in TLS stays the URL's."""
    authority = trustme.CA()
    ca_file = written(authority.cert_pem, tmp_path / "ca.pem")
    async with faulty_server(answer(), tls=tls_server(authority)) as server:
        settings = {"AWS_API_BASE_URL": f"https://127.0.0.1:{server.port}/prod"} | environment
        async with api_from_settings(EXTRA_CA_FILE=ca_file, **settings) as api:
            response = await api.fetch(GET, deadline=soon())

    (received,) = server.requests
    assert 200 == response.status_code
    assert [host if "AWS_API_HOST" in environment else f"{host}:{server.port}"] == received.values(
        "host"
    )
    assert api_ids == received.values("x-apigw-api-id")


async def test_when_a_request_brings_a_host_of_its_own_then_nothing_is_sent() -> None:
    """Whoever builds requests cannot point the token at another API."""
    request = ApiRequest("GET", "/v1/records", headers=(("Host", "evil.example"),))
    async with faulty_server(answer()) as server:
        url = f"http://127.0.0.1:{server.port}/prod"
        async with api_from_settings(AWS_API_BASE_URL=url) as api:
            with pytest.raises(RequestRefused):
                await api.fetch(request, deadline=soon())

    assert [] == server.requests


async def hang(_: Exchange) -> None:
    """Read the request, and never answer."""


@pytest.mark.parametrize("kind", ["PROXY", "SYNC"])
async def test_when_read_seconds_are_set_then_an_attempt_waits_so_long_and_no_longer(
    kind: str,
) -> None:
    """The first attempt is given up for the second, which is answered; the other kind's is not."""
    async with faulty_server(hang, answer()) as server:
        environment = {
            "AWS_API_BASE_URL": f"http://127.0.0.1:{server.port}/prod",
            f"{kind}_READ_SECONDS": "1",
        }
        async with api_from_settings(**environment) as api:
            call = api.fetch if kind == "PROXY" else api.read
            clock = SystemClock()
            started = clock.monotonic()
            response = await call(GET, deadline=soon())
            seconds = clock.monotonic() - started

    assert 200 == response.status_code
    assert 2 == len(server.requests)
    assert 1.0 <= seconds < 3.0


def tls_server(authority: trustme.CA, *, clients: trustme.CA | None = None) -> ssl.SSLContext:
    """A server of that authority; one that wants certificates of clients if they have one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    return context


def written(blob: trustme.Blob, path: Path) -> str:
    """The path, with the blob in it."""
    blob.write_to_path(str(path))
    return str(path)


async def test_when_an_authority_is_added_then_its_servers_are_trusted(tmp_path: Path) -> None:
    """And only with the setting, and only that authority's."""
    ours, other = trustme.CA(), trustme.CA()
    ca_file = written(ours.cert_pem, tmp_path / "ca.pem")
    other_file = written(other.cert_pem, tmp_path / "other.pem")
    async with faulty_server(answer(), tls=tls_server(ours)) as server:
        url = f"https://127.0.0.1:{server.port}/prod"
        async with api_from_settings(AWS_API_BASE_URL=url, EXTRA_CA_FILE=ca_file) as api:
            response = await api.fetch(GET, deadline=soon())
        for environment in ({}, {"EXTRA_CA_FILE": other_file}):
            async with api_from_settings(AWS_API_BASE_URL=url, **environment) as api:
                with pytest.raises(BackendUnavailable) as caught:
                    await api.fetch(GET, deadline=soon())
            assert "backend_tls" == caught.value.code

    assert 200 == response.status_code
    assert 1 == len(server.requests)


@pytest.mark.parametrize("has_key_file", [True, False])
async def test_when_the_api_wants_a_certificate_then_ours_is_shown(
    tmp_path: Path, *, has_key_file: bool
) -> None:
    """Without it, or with one of another authority, no request is read."""
    ours, other = trustme.CA(), trustme.CA()
    ca_file = written(ours.cert_pem, tmp_path / "ca.pem")
    good, bad = ours.issue_cert("function-app.example"), other.issue_cert("function-app.example")
    both = written(good.private_key_and_cert_chain_pem, tmp_path / "both.pem")
    shown = {"API_CLIENT_CERTIFICATE_PATH": both}
    if has_key_file:
        shown = {
            "API_CLIENT_CERTIFICATE_PATH": written(good.cert_chain_pems[0], tmp_path / "cert.pem"),
            "API_CLIENT_CERTIFICATE_KEY_PATH": written(good.private_key_pem, tmp_path / "key.pem"),
        }
    unknown = written(bad.private_key_and_cert_chain_pem, tmp_path / "unknown.pem")
    async with faulty_server(answer(), tls=tls_server(ours, clients=ours)) as server:
        environment = {
            "AWS_API_BASE_URL": f"https://127.0.0.1:{server.port}/prod",
            "EXTRA_CA_FILE": ca_file,
        }
        async with api_from_settings(**environment, **shown) as api:
            response = await api.fetch(GET, deadline=soon())
        for wrong in ({}, {"API_CLIENT_CERTIFICATE_PATH": unknown}):
            async with api_from_settings(**environment, **wrong) as api:
                with pytest.raises(BackendUnavailable):
                    await api.fetch(GET, deadline=soon())

    assert 200 == response.status_code
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("credentials", "expected"), [("", None), ("me:it%40@", b"Basic bWU6aXRA")]
)
async def test_when_a_proxy_is_set_then_the_api_is_called_through_it(
    credentials: str, expected: bytes | None, tmp_path: Path
) -> None:
    """It sees where to, and nothing of what is said there; the token least of all."""
    authority = trustme.CA()
    ca_file = written(authority.cert_pem, tmp_path / "ca.pem")
    async with (
        faulty_server(answer(), tls=tls_server(authority)) as server,
        tunnel_proxy() as proxy,
    ):
        environment = {
            "AWS_API_BASE_URL": f"https://127.0.0.1:{server.port}/prod",
            "API_HTTPS_PROXY": f"http://{credentials}127.0.0.1:{proxy.port}",
            "EXTRA_CA_FILE": ca_file,
        }
        async with api_from_settings(**environment) as api:
            response = await api.fetch(GET, deadline=soon())

    (head,) = proxy.heads
    sent = [line for line in head.split(b"\r\n") if line.lower().startswith(b"proxy-auth")]
    assert 200 == response.status_code
    assert head.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1".encode())
    assert ([] if expected is None else [b"Proxy-Authorization: " + expected]) == sent
    assert TOKEN.encode() not in head


@pytest.mark.parametrize("status", [407, 403, 502])
async def test_when_the_proxy_refuses_then_nothing_reaches_the_api(status: int) -> None:
    """And neither error nor cause shows the password."""
    async with faulty_server(answer()) as server, tunnel_proxy(status) as proxy:
        environment = {
            "AWS_API_BASE_URL": f"https://127.0.0.1:{server.port}/prod",
            "API_HTTPS_PROXY": f"http://me:made-up-password@127.0.0.1:{proxy.port}",
        }
        async with api_from_settings(**environment) as api:
            with pytest.raises(BackendUnavailable) as caught:
                await api.fetch(GET, deadline=soon())

    assert [] == server.requests
    assert "made-up-password" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_when_the_environment_names_a_proxy_then_the_api_is_called_without(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only our own setting does."""
    async with faulty_server(answer()) as server, tunnel_proxy() as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        url = f"http://127.0.0.1:{server.port}/prod"
        async with api_from_settings(AWS_API_BASE_URL=url) as api:
            await api.fetch(GET, deadline=soon())

    assert [] == proxy.heads
    assert 1 == len(server.requests)


async def test_when_a_token_proxy_is_set_then_entra_is_asked_through_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the authorities of the setting trusted on that leg, too."""
    monkeypatch.undo()
    authority = trustme.CA()
    ca_file = written(authority.cert_pem, tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    token = b'{"token_type":"Bearer","expires_in":3600,"access_token":"made-up.access.token"}'
    entra_answer = answer(200, token, ("Content-Type", "application/json"))
    async with (
        faulty_server(answer()) as server,
        faulty_server(entra_answer, tls=context) as entra,
        tunnel_proxy() as proxy,
    ):
        environment = {
            "AWS_API_BASE_URL": f"http://127.0.0.1:{server.port}/prod",
            "ENTRA_AUTHORITY": "http://127.0.0.1:9",
            "AZURE_AUTHORITY_HOST": f"https://localhost:{entra.port}",
            "CREDENTIAL": "client_secret",
            "AZURE_CLIENT_ID": NEEDED["API_CLIENT_ID"],
            "AZURE_CLIENT_SECRET": "made-up",
            "TOKEN_HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
            "EXTRA_CA_FILE": ca_file,
        }
        async with api_from_settings(**environment) as api:
            with suppress(TokenAcquisitionError):
                await api.fetch(GET, deadline=soon())

    assert proxy.heads
    assert all(f"CONNECT localhost:{entra.port}".encode() in head for head in proxy.heads)
    assert entra.requests
