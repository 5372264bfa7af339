"""Reading the answer's headers, and which URLs may be fetched; the rest needs sockets."""

import pytest

from aws_authorizer.key_set_fetch import FetchFailed, fetch_key_set, parse_max_age


@pytest.mark.parametrize(
    ("cache_control", "age", "expected"),
    [
        ("", "", None),
        ("private", "", None),
        ("max-age=86400, private", "", 86_400.0),
        ("private, Max-Age=60", "", 60.0),
        ('max-age="60"', "", 60.0),
        ("max-age = 60", "", 60.0),
        ("max-age=60", "20", 40.0),
        ("max-age=60", "61", 0.0),
        ("max-age=60", "-5", 60.0),
        ("max-age=60", "soon", 60.0),
        ("max-age=60", "9" * 30, 60.0),
        ("max-age=60", "\u0665", 60.0),
        ("max-age=0", "", 0.0),
        ("no-store", "", 0.0),
        ("no-cache, max-age=60", "", 0.0),
        ('no-cache="set-cookie", max-age=60', "", 0.0),
        ("max-age=-1", "", None),
        ("max-age=1.5", "", None),
        ("max-age=99999999999", "", None),
        ("s-maxage=60", "", None),
        ("x-max-age=60", "", None),
        ("x-no-store", "", None),
    ],
)
def test_when_an_answer_may_be_reused_then_its_headers_say_for_how_long(
    cache_control: str, age: str, expected: float | None
) -> None:
    """RFC 9111: `max-age` less `Age`; what cannot be read says nothing."""
    assert expected == parse_max_age(cache_control, age)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://login.microsoftonline.com/t/discovery/v2.0/keys",
        "http://localhost:8080/keys",
        "http://127.0.0.1.example.com/keys",
        "http://169.254.169.254/keys",
        "http://0.0.0.0/keys",
        "https://user@login.microsoftonline.com/keys",
        "https://login.microsoftonline.com",
        "https://login.microsoftonline.com/keys\r\nHost: x",
        "https://login.microsoftonline.com/ke ys",
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
    ],
)
def test_when_a_url_is_neither_https_nor_loopback_then_nothing_is_sent(url: str) -> None:
    """Plain http stays on the machine; nothing but http is spoken."""
    with pytest.raises(FetchFailed, match="bad_url"):
        fetch_key_set(url, 1.0)
