"""PostgreSQL as a process: it comes up, as root or not, and never stays behind."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from emulator.loopback import LOOPBACK
from emulator.postgres import Postgres, PostgresError, PostgresPrograms
from shared.clock import SystemClock

CHECKOUT = Path(__file__).parents[2]

START_AND_DIE = """
import os, sys, time
from pathlib import Path
from emulator.postgres import Postgres, PostgresPrograms
from shared.clock import SystemClock

postgres = Postgres.start(
    PostgresPrograms.under(Path(".tools")), Path(sys.argv[1]), clock=SystemClock(), sleep=time.sleep
)
print(postgres.port, flush=True)
os._exit(9)
"""


def listens(port: int) -> bool:
    """Whether anybody takes connections there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=2).close()
    except OSError:
        return False
    return True


def start(folder: Path) -> Postgres:
    """A server whose log is in that folder."""
    return Postgres.start(
        PostgresPrograms.under(CHECKOUT / ".tools"), folder, clock=SystemClock(), sleep=time.sleep
    )


def test_when_postgres_is_started_then_it_listens_until_it_is_stopped(tmp_path: Path) -> None:
    """Whoever we are; and nothing of it is left in the system's folder of temporary files."""
    postgres = start(tmp_path)
    rooms = list(postgres._rooms)
    try:
        listened = listens(postgres.port)
        owner = Path(f"/proc/{postgres.process_id}").stat().st_uid if sys.platform == "linux" else 1
    finally:
        postgres.stop()
        postgres.stop()

    assert listened
    assert 0 != owner
    assert not listens(postgres.port)
    assert [] == [room for room in rooms if room.exists()]


def test_when_whoever_started_it_dies_then_postgres_ends_too(tmp_path: Path) -> None:
    """A process that was killed leaves no server behind."""
    died = subprocess.run(
        [sys.executable, "-c", START_AND_DIE, tmp_path],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    port = int(died.stdout.strip() or 0)

    deadline = time.monotonic() + 10  # noqa: TID251 - a real process takes real time to end
    while listens(port) and time.monotonic() < deadline:  # noqa: TID251 - the same
        time.sleep(0.05)

    assert 9 == died.returncode, died.stderr
    assert not listens(port)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers have a room elsewhere")
def test_when_a_server_was_left_behind_then_the_next_one_clears_up_after_it(
    tmp_path: Path,
) -> None:
    """What a killed test run leaves in the system's folder does not add up."""
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, stdout=subprocess.PIPE
    )
    left = Path(tempfile.mkdtemp(prefix=f"bridge-postgres-{int(ended.stdout)}-"))

    start(tmp_path).stop()

    assert not left.exists()


def test_when_postgres_is_not_installed_then_the_error_says_how_to(tmp_path: Path) -> None:
    """One command mends it."""
    with pytest.raises(PostgresError, match="make postgres"):
        PostgresPrograms.under(tmp_path)


def test_when_postgres_cannot_start_then_its_log_is_named(tmp_path: Path) -> None:
    """And nobody waits for it."""
    with pytest.raises(PostgresError, match=r"postgres\.log"):
        Postgres.start(
            PostgresPrograms.under(CHECKOUT / ".tools"),
            tmp_path,
            clock=SystemClock(),
            sleep=time.sleep,
            settings={"no_such_setting": "1"},
        )
