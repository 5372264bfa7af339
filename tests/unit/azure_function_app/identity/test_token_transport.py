"""What a transport for token requests is told, before anything is sent."""

import pytest

from azure_function_app.identity.token_transport import Endpoint, build_transport
from shared.clock import SystemClock


@pytest.mark.parametrize(
    "url",
    [
        "https://proxy.example:3128",
        "socks5://proxy.example:1080",
        "proxy.example:3128",
        "http://",
        "http://proxy.example:99999",
        "http://user:hunter2@proxy.example:3128/path",
    ],
)
def test_when_the_proxys_url_is_none_then_it_is_refused_without_its_password(url: str) -> None:
    """Only plain HTTP is spoken to a proxy; what goes through the tunnel is TLS."""
    with pytest.raises(ValueError, match=r"[Pp]ort|must be http://") as caught:
        build_transport(Endpoint.ENTRA, SystemClock(), proxy_url=url)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [404, 410])
def test_when_a_page_is_not_there_then_only_a_managed_identity_is_asked_again(status: int) -> None:
    """Its endpoint answers so while it is being updated."""
    assert Endpoint.MANAGED_IDENTITY.is_busy(status)
    assert not Endpoint.ENTRA.is_busy(status)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 499, 600])
def test_when_the_answer_is_an_answer_then_nobody_is_asked_again(status: int) -> None:
    """Both sides of what counts as a server's error."""
    assert not any(endpoint.is_busy(status) for endpoint in Endpoint)


@pytest.mark.parametrize("status", [429, 500, 599])
def test_when_any_endpoint_is_busy_then_it_is_asked_again(status: int) -> None:
    """Too many requests, and errors of the server's own."""
    assert all(endpoint.is_busy(status) for endpoint in Endpoint)
