"""Azurite for the tests of what is kept in Table Storage."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azurite import Azurite, AzuritePrograms
from shared.clock import SystemClock

_CHECKOUT = Path(__file__).parents[2]


def no_credential() -> Any:
    """Azurite needs none, so asking for one is an error."""
    raise AssertionError("a credential was asked for")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for all tests of a module; each test has tables of its own in it."""
    azurite = Azurite.start(
        AzuritePrograms.under(_CHECKOUT / ".tools"),
        tmp_path_factory.mktemp("azurite"),
        clock=SystemClock(),
        sleep=time.sleep,
    )
    yield azurite
    azurite.stop()
