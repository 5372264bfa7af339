"""Each way in which a run can end, and each code of the stores, is on the troubleshooting page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from azure_function_app.errors import (
    FeedMissing,
    ShardMessageInvalid,
    ShardsUnsupported,
    StoreUnavailable,
)
from azure_function_app.fan_out.plan import SHARDS_NOT_RUNNING
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.stored_text import decode_checkpoint

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def _codes() -> Iterator[str]:
    kinds: list[type[StoreUnavailable]] = [StoreUnavailable]
    for kind in kinds:
        yield kind.code
        kinds += kind.__subclasses__()
    for text in ("", "{}", '{"cursor": "", "format": 9}'):
        with pytest.raises(StoreUnavailable) as raised:
            decode_checkpoint(text, "")
        yield raised.value.code
    yield "deletions_held"
    yield from (
        SHARDS_NOT_RUNNING,
        ShardMessageInvalid.code,
        ShardsUnsupported.code,
        FeedMissing.code,
    )


@pytest.mark.parametrize("word", [*SyncStatus, *sorted(set(_codes()))])
def test_when_a_run_can_end_so_then_the_page_says_what_to_do(word: str) -> None:
    """Each has a row of its own."""
    assert f"\n| `{word}` |" in PAGE
