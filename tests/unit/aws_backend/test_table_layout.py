"""How a counter lies in the table, in feeds of one shard and of several."""

from dataclasses import replace
from typing import Any

import pytest

from aws_backend.table_layout import (
    MAX_SHARDS,
    Counter,
    FeedState,
    counter_attribute,
    counter_to_item,
    item_to_counter,
)

COUNTER = Counter(b"f" * 16, 7, "a")

BEFORE_SHARDS: dict[str, Any] = {
    "collection": {"S": "counter"},
    "id": {"S": "counter"},
    "sequence": {"N": "7"},
    "feed_id": {"B": b"f" * 16},
    "last_id": {"S": "a"},
    "state": {"S": "open"},
    "since": {"S": ""},
    "is_importing": {"BOOL": False},
}
"""A counter as releases wrote it before a feed had shards."""
BEFORE_STATES = {name: BEFORE_SHARDS[name] for name in BEFORE_SHARDS.keys() - {"state", "since"}}
"""A counter as releases wrote it before a feed could be closed for other reasons."""


@pytest.mark.parametrize(
    "item", [BEFORE_SHARDS, BEFORE_STATES, BEFORE_SHARDS | {"shards": {"N": "1"}}]
)
def test_when_an_earlier_release_made_the_feed_then_its_counter_is_read(
    item: dict[str, Any],
) -> None:
    """It is the counter of a feed of one shard."""
    assert item_to_counter(item) == COUNTER


def test_when_a_feed_of_one_shard_is_moved_then_the_item_is_what_earlier_releases_read() -> None:
    """All that they wrote is there, byte for byte; the number of shards they do not look at."""
    assert counter_to_item(COUNTER) == BEFORE_SHARDS | {"shards": {"N": "1"}}


@pytest.mark.parametrize("shards", [2, MAX_SHARDS])
@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize("state", list(FeedState))
def test_when_a_feed_has_several_shards_then_no_counter_has_the_indexs_key(
    shards: int, shard: int, state: FeedState
) -> None:
    """Only an item that has the key is in an index."""
    counter = replace(COUNTER, shards=shards, state=state)
    item: dict[str, Any] = {**counter_to_item(counter, shard)}

    assert "sequence" not in item
    assert {"N": "7"} == item[counter_attribute(shards)]
    assert item_to_counter(item) == counter
