"""Ports on the loopback address, and who uses them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emulator import loopback
from emulator.loopback import (
    LOOPBACK,
    bind_listener,
    find_free_port,
    find_port_user,
    is_port_free,
    why_port_is_unusable,
)

LISTENER = """
import socket, sys
listener = socket.socket(int(sys.argv[1]))
listener.bind((sys.argv[2], 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_when_a_listener_is_bound_then_its_port_is_not_free_for_another() -> None:
    """On loopback only, at a port of its own; a second one there is refused and left closed."""
    with bind_listener(0) as listener:
        address, port = listener.getsockname()
        listener.listen()

        assert LOOPBACK == address
        with pytest.raises(OSError, match="in use"):
            bind_listener(port)
    assert is_port_free(port)


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


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, LOOPBACK), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")],  # noqa: S104 - as other servers do
)
def test_when_another_process_listens_then_its_id_and_name_are_said(
    family: socket.AddressFamily, address: str
) -> None:
    """On whatever address it listens that keeps us from ours; its arguments are not shown."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(int(family)), address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as listener:
        assert listener.stdout is not None
        port = int(listener.stdout.readline())
        command = Path(sys.executable).resolve().name
        reason = why_port_is_unusable(port)
        listener.communicate()

    assert f"on 127.0.0.1 is taken by process {listener.pid} ({command})" == reason
    assert is_port_free(port)


def test_when_a_client_uses_the_port_then_the_client_is_named() -> None:
    """A port that an outgoing connection has is taken too."""
    with socket.create_server((LOOPBACK, 0)) as server:
        client = socket.create_connection(server.getsockname())
        with client:
            user = find_port_user(client.getsockname()[1])

    assert user is not None
    assert os.getpid() == user.process_id


def test_when_the_machine_does_not_say_who_then_the_sentence_is_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no /proc on a Mac."""
    monkeypatch.setattr(loopback, "_PROC", tmp_path)
    with socket.create_server((LOOPBACK, 0)) as server:
        reason = why_port_is_unusable(server.getsockname()[1])

    assert "on 127.0.0.1 is taken" == reason


def test_when_a_port_is_privileged_then_it_is_not_called_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What helps is another port, not another process that is ended."""

    class Refused(socket.socket):
        def bind(self, _address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Refused)

    assert "is for the administrator only: ports below 1024 often are" == why_port_is_unusable(80)
