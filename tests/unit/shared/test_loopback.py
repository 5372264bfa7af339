"""Loopback addresses."""

import pytest

from shared.loopback import is_loopback_address


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_when_a_host_is_a_loopback_address_then_it_is_this_machine(host: str) -> None:
    """All of 127.0.0.0/8, and IPv6's one."""
    assert is_loopback_address(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "0.0.0.0",  # noqa: S104 - refused
        "10.0.0.1",
        "169.254.169.254",
        "::",
        "::2",
        "127.1",
        "127.0.0.1.example",
        "127.0.0.256",
        "0127.0.0.1",
        "2130706433",
        "\u0661\u0662\u0667.0.0.1",
    ],
)
def test_when_a_host_is_anything_else_then_it_is_not(host: str) -> None:
    """Names, other addresses, and spellings that only some resolvers read as an address."""
    assert not is_loopback_address(host)
