"""A few seconds of `make soak`: many callers through the whole function, and the API killed."""

from pathlib import Path

import pytest

from benchmarks.client.soak import soak_function

CALLERS = 200
SECONDS = 6.0


@pytest.mark.timeout(120)
async def test_when_two_hundred_call_and_the_api_is_killed_then_nothing_is_mixed_up_or_kept(
    tmp_path: Path,
) -> None:
    """Each has its own answer, memory and descriptors stay, and the API's return is noticed."""
    soak = await soak_function(tmp_path, callers=CALLERS, seconds=SECONDS)

    assert [] == list(soak.problems()), soak.table()
    assert soak.answers["200"] > CALLERS
    assert soak.outage.total() > CALLERS
