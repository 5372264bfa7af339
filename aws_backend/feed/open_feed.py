"""Reads the counters of an open feed, so that they are all of the same one."""

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from aws_backend.errors import (
    FeedImportFailed,
    FeedImporting,
    FeedRenewing,
    StorageUnavailable,
)
from aws_backend.feed.feed_table import FeedTable
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.table_layout import Counter, FeedState

COUNTER_ATTEMPTS: Final = 5
"""How often the counters are read while they are not all of one feed."""


def check_open(first: Counter) -> None:
    """Raise the error that says why the feed is closed, if it is, by the counter of shard 0."""
    match first.state:
        case FeedState.OPEN:
            return
        case FeedState.IMPORTING:
            raise FeedImporting(
                f"The records are being imported{_since(first)}; try again when that is over. If"
                " no import runs any more, stop it with bridge feed stop-import."
            )
        case FeedState.IMPORT_FAILED:
            raise FeedImportFailed(
                "An import of the records has failed; import them into this table once more."
            )
        case FeedState.RENEWING:
            raise FeedRenewing(
                f"The feed is being renewed{_since(first)}; try again when that is over. If"
                " nobody renews it any more, run bridge feed renew."
            )
        case _:
            assert_never(first.state)


def read_all_counters(table: FeedTable, known: KnownFeed) -> tuple[Counter, ...] | None:
    """Return the counters of all shards, or None if there is no feed yet.

    One request, unless this process is wrong about the number of shards.

    Raises:
        FeedImporting, FeedImportFailed, FeedRenewing: the feed is closed.
        StorageUnavailable: it did not answer, or the feed has just been replaced.

    """
    return _read(table, known, range)


def read_counters_of(
    table: FeedTable, known: KnownFeed, shard: int
) -> tuple[Counter, Counter] | None:
    """Return the counters of shard 0, which says whether the feed is open, and of this one.

    None stands for a table without a feed, or whose feed has no such shard. It raises what
    `read_all_counters` does.
    """

    def choose(shards: int) -> Sequence[int]:
        return (0,) if shard == 0 or shard >= shards else (0, shard)

    counters = _read(table, known, choose, at_least=shard + 1)
    if counters is None or shard >= counters[0].shards:
        return None
    return counters[0], counters[-1]


def _read(
    table: FeedTable,
    known: KnownFeed,
    choose: Callable[[int], Sequence[int]],
    at_least: int = 1,
) -> tuple[Counter, ...] | None:
    """Return the chosen ones of so many shards, shard 0's first; None if there is no feed."""
    shards = max(known.likely_shards, at_least)
    for attempt in range(COUNTER_ATTEMPTS):
        # Between two attempts the feed was renewed or replaced; what it is now shows in a moment.
        if attempt > 1:
            table.pause(attempt)
        chosen = choose(shards)
        first, *others = table.get_counters(chosen)
        if first is None:
            known.forget()
            return None
        # Before any cursor is judged: a reader that is sent back to the start of half a feed would
        # take what is not there yet for deleted.
        check_open(first)
        seen = known.learn(first)
        if list(choose(first.shards)) != list(chosen):
            shards = first.shards
            continue
        counters = [first, *(counter for counter in others if counter is not None)]
        if len(counters) == len(chosen) and all(map(seen.owns, counters)):
            return tuple(counters)
    raise StorageUnavailable("The feed is being replaced; try again.")


def _since(counter: Counter) -> str:
    return f" since {counter.since}" if counter.since else ""
