import httpx
import pytest

from azure_function_app.http1.origin import Origin, origin_of


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("https://api.example/v1", Origin("https", "api.example", 443), "api.example:443"),
        ("http://api.example/", Origin("http", "api.example", 80), "api.example:80"),
        ("https://API.example:8443/", Origin("https", "api.example", 8443), "api.example:8443"),
        ("https://[::1]:8443/", Origin("https", "::1", 8443), "[::1]:8443"),
        ("https://[2001:db8::1]/", Origin("https", "2001:db8::1", 443), "[2001:db8::1]:443"),
        ("https://b\u00fccher.example/", Origin("https", "xn--bcher-kva.example", 443), None),
        (
            "https://user:secret@api.example/",
            Origin("https", "api.example", 443),
            "api.example:443",
        ),
    ],
)
def test_when_a_url_names_a_server_then_that_is_its_origin(
    url: str, expected: Origin, authority: str | None
) -> None:
    """Default ports are filled in, names come as the resolver wants them."""
    origin = origin_of(httpx.URL(url))

    assert expected == origin
    assert authority in {origin.authority, None}


@pytest.mark.parametrize("url", ["", "/v1", "api.example", "ftp://api.example/", "http:///v1"])
def test_when_a_url_names_no_server_of_http_then_it_is_refused(url: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(httpx.UnsupportedProtocol):
        origin_of(httpx.URL(url))
