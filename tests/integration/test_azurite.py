"""Azurite as a process: it comes up, it says where, and it never stays behind."""

import http.client
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.data.tables import TableServiceClient

from emulator.azurite import Azurite, AzuriteError, AzuritePrograms
from shared.clock import SystemClock

CHECKOUT = Path(__file__).parents[2]

START_AND_DIE = """
import os, sys, time
from pathlib import Path
from emulator.azurite import Azurite, AzuritePrograms
from shared.clock import SystemClock

azurite = Azurite.start(
    AzuritePrograms.under(Path(".tools")), Path(sys.argv[1]), clock=SystemClock(), sleep=time.sleep
)
print(azurite.table_url, flush=True)
os._exit(9)
"""


def answers(url: str) -> bool:
    """Whether anybody listens there."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except OSError:
        return False
    finally:
        connection.close()
    return True


def test_when_azurite_is_started_then_all_its_services_answer(tmp_path: Path) -> None:
    """On loopback ports of their own, under the connection string that it names."""
    azurite = Azurite.start(
        AzuritePrograms.under(CHECKOUT / ".tools"), tmp_path, clock=SystemClock(), sleep=time.sleep
    )
    try:
        urls = [azurite.blob_url, azurite.queue_url, azurite.table_url]
        assert [True] * 3 == [answers(url) for url in urls]
        assert 3 == len({urlsplit(url).port for url in urls})
        assert {"127.0.0.1"} == {urlsplit(url).hostname for url in urls}
        with TableServiceClient.from_connection_string(azurite.connection_string) as service:
            assert [] == list(service.list_tables())
    finally:
        azurite.stop()
        azurite.stop()

    assert [False] * 3 == [answers(url) for url in urls]


def test_when_whoever_started_it_dies_then_azurite_ends_too(tmp_path: Path) -> None:
    """A process that was killed leaves no server behind."""
    died = subprocess.run(
        [sys.executable, "-c", START_AND_DIE, tmp_path],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    url = died.stdout.strip()

    deadline = time.monotonic() + 10  # noqa: TID251 - a real process takes real time to end
    while answers(url) and time.monotonic() < deadline:  # noqa: TID251 - the same
        time.sleep(0.05)

    assert 9 == died.returncode, died.stderr
    assert not answers(url)


def test_when_azurite_is_not_installed_then_the_error_says_how_to(tmp_path: Path) -> None:
    """One sentence with the command in it."""
    with pytest.raises(AzuriteError, match="run: make azurite"):
        AzuritePrograms.under(tmp_path)
