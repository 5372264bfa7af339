"""Ports on the loopback address, the only one that the local stack listens on."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

LOOPBACK: Final = "127.0.0.1"
_PROC: Final = Path("/proc")
_LISTENING: Final = "0A"


def bind_listener(port: int) -> socket.socket:
    """Return a socket for a server on the port; 0 takes any free one.

    Raises:
        OSError: the port is taken, or is not for this user.

    """
    # asyncio sets TCP_NODELAY only where the socket says that it speaks TCP; without it,
    # keep-alive requests stall for 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    return listener


class PortUser(NamedTuple):
    """The process that uses a port."""

    process_id: int
    command: str
    """What it calls itself and what it runs; not its arguments, which may hold secrets."""


def find_free_port() -> int:
    """Return a port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def is_port_free(port: int) -> bool:
    """Return whether a server could listen on the port now; 0 takes any free port, so it could."""
    return why_port_is_unusable(port) is None


def why_port_is_unusable(port: int) -> str | None:
    """Return what keeps a server from listening on the port now, or None if nothing does.

    The words follow "port 4566 ...". Who uses a taken port is said where Linux's /proc shows it.
    """
    if not 0 <= port <= 65535:  # noqa: PLR2004 - what TCP has
        return "is no port: ports go from 0 to 65535"
    with socket.socket() as probe:
        # As the servers do: a port that only waits out old connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            return "is for the administrator only: ports below 1024 often are"
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"cannot be used on {LOOPBACK} ({error.strerror})"
        else:
            return None
    user = find_port_user(port)
    by_whom = f" by process {user.process_id} ({user.command})" if user else ""
    return f"on {LOOPBACK} is taken{by_whom}"


def find_port_user(port: int) -> PortUser | None:
    """Return the process that uses a TCP port of this machine, a listening one first.

    None where there is no /proc, or the process is another user's.
    """
    sockets = list(_sockets_on(port))
    for wanted in sorted(sockets, key=lambda inode: not inode.is_listening):
        for process in _processes():
            if _has_socket(process, wanted.inode):
                return PortUser(int(process.name), _command(process))
    return None


class _Socket(NamedTuple):
    inode: str
    is_listening: bool


def _sockets_on(port: int) -> Iterator[_Socket]:
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for _, local, _, state, *rest in (row.split() for row in rows):
            inode = rest[5]
            # What has been closed, and waits only for its peer, has no process.
            if int(local.rpartition(":")[2], 16) == port and inode != "0":
                yield _Socket(inode, state == _LISTENING)


def _processes() -> Iterator[Path]:
    return (entry for entry in _PROC.iterdir() if entry.name.isdigit())


def _has_socket(process: Path, inode: str) -> bool:
    name = f"socket:[{inode}]"
    try:
        return any(str(entry.readlink()) == name for entry in (process / "fd").iterdir())
    except OSError:  # another user's, or it has ended
        return False


def _command(process: Path) -> str:
    try:
        name = (process / "comm").read_text(errors="replace").strip()
        program = (process / "exe").readlink().name
    except OSError:
        return "ended since"
    # A script's name says more than its interpreter's, and node calls itself MainThread.
    return program if program.startswith(name) else f"{name}, {program}"
