"""Ports on the loopback address."""

import socket

from emulator.loopback import LOOPBACK, find_free_port, is_port_free


def test_when_a_port_is_found_then_it_is_free() -> None:
    """And zero, which takes any, always is."""
    assert is_port_free(find_free_port())
    assert is_port_free(0)


def test_when_something_listens_then_its_port_is_not_free() -> None:
    """A server there would fail to start."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()

        assert not is_port_free(taken.getsockname()[1])
