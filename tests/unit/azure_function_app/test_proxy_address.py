"""An HTTP proxy, as a setting spells it."""

from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_function_app.proxy_address import ProxyAddress, parse_proxy_address

TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.example:8080", ProxyAddress("proxy.example", 8080)),
        ("http://proxy:3128/", ProxyAddress("proxy", 3128)),
        ("HTTP://Proxy.Example:8080", ProxyAddress("proxy.example", 8080)),
        ("http://10.0.0.4:1", ProxyAddress("10.0.0.4", 1)),
        ("http://[fd00::4]:65535", ProxyAddress("fd00::4", 65535)),
        ("http://me:it@p.example:8080", ProxyAddress("p.example", 8080, "Basic bWU6aXQ=")),
        ("http://me@p.example:8080", ProxyAddress("p.example", 8080, "Basic bWU6")),
        (
            "http://me:a%3Ab%40@p.example:8080",
            ProxyAddress("p.example", 8080, "Basic bWU6YTpiQA=="),
        ),
    ],
)
def test_when_a_url_names_a_proxy_then_it_is_taken_apart(text: str, expected: ProxyAddress) -> None:
    """Credentials become the value of Proxy-Authorization (RFC 7617)."""
    assert expected == parse_proxy_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy.example:8080",
        "http://proxy.example",
        "http://proxy.example:0",
        "http://proxy.example:65536",
        "http://proxy.example:port",
        "https://proxy.example:8080",
        "socks5://proxy.example:1080",
        "http://:8080",
        "http://proxy.example:8080/path",
        "http://proxy.example:8080?a",
        "http://proxy.example:8080#a",
        "http://pro_xy.example:8080",
        "http://pro xy.example:8080",
        "http://proxy.exämple:8080",
        "http://256.0.0.1:8080",
        "http://[fd00::4:8080",
        "http://[proxy.example]:8080",
        "http://:secret@proxy.example:8080",
        "http://me%3Ayou:secret@proxy.example:8080",
        "http://me:sec%ret@proxy.example:8080",
        "http://me:secret%0d%0aHost:x@proxy.example:8080",
        "http://me:secret%ff@proxy.example:8080",
        "http://proxy.example:8080\r\nHost: x",
        "http://proxy\\.example:8080",
    ],
)
def test_when_a_url_names_no_proxy_then_it_is_refused_and_not_repeated(text: str) -> None:
    """Port included: there is none that all proxies share."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the reader of settings says what is wrong
        parse_proxy_address(text)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(user=TEXT.filter(lambda text: text and ":" not in text), password=TEXT)
def test_when_credentials_are_encoded_then_they_arrive_as_they_are(
    user: str, password: str
) -> None:
    """Whatever signs they hold; and the URL that is made of them says the same again."""
    text = f"http://{quote(user, safe='')}:{quote(password, safe='')}@proxy.example:8080"
    proxy = parse_proxy_address(text)

    assert f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}" == proxy.authorization
    assert proxy == parse_proxy_address(proxy.url)


@pytest.mark.parametrize("text", ["http://proxy.example:8080", "http://[fd00::4]:8080"])
def test_when_a_proxy_has_no_credentials_then_its_url_has_none(text: str) -> None:
    """And an IPv6 address has its brackets."""
    assert text == parse_proxy_address(text).url


def test_when_a_proxy_is_shown_then_its_password_is_not() -> None:
    """Nor what it is encoded as."""
    shown = repr(parse_proxy_address("http://me:made-up-password@proxy.example:8080"))

    assert "ProxyAddress(host='proxy.example', port=8080)" == shown
