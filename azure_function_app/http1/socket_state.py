"""What a socket knows of its other end that the event loop has not told yet."""

import select
import ssl
from collections.abc import Callable

type Readiness = Callable[[], bool]


def readiness(descriptor: int) -> Readiness:
    """Return what tells whether the socket has something to read, its end included."""
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: bool(poll.poll(0))


def is_closed_by_peer(tls: ssl.SSLObject | None) -> bool:
    """Return whether everything that the server sent has come, and not only what got through."""
    if tls is None:
        return True
    try:
        return tls.read(1) == b""
    except ssl.SSLError:  # it waits for more: the end of the connection was not the server's word
        return False
