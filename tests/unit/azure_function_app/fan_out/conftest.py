"""What the fan-out's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.sharded_sync import ShardedPlace


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[ShardedPlace]:
    """A feed of three shards, empty at first, and a store."""
    place = ShardedPlace(tmp_path)
    yield place
    await place.store.aclose()
