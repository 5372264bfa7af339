"""Ports on the loopback address, the only one that the local stack listens on."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def find_free_port() -> int:
    """A port that nothing listens on, at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def is_port_free(port: int) -> bool:
    """Whether a server could listen on the port now; 0, which takes any port, always is."""
    with socket.socket() as probe:
        # As the servers do: a port that only waits out old connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
