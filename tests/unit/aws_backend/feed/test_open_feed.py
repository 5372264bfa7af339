"""The counters of a feed: how many requests they take, and what is made of what is answered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from aws_backend.errors import (
    ApiError,
    FeedImportFailed,
    FeedImporting,
    FeedRenewing,
    StorageUnavailable,
)
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.feed.open_feed import (
    COUNTER_ATTEMPTS,
    check_open,
    read_all_counters,
    read_counters_of,
)
from aws_backend.table_layout import Counter, FeedState

FEED = tuple(Counter(b"f" * 16, sequence, "", shards=3) for sequence in (7, 8, 9))
OTHER = replace(FEED[1], feed_id=b"g" * 16)


class ScriptedCounters:
    """A table that answers with these counters, and goes on with the last ones."""

    def __init__(self, *answers: Sequence[Counter | None]) -> None:
        """Take what each request is answered with: the table's counters by shard."""
        self._answers = list(answers)
        self.asked: list[list[int]] = []
        self.pauses: list[int] = []

    def pause(self, attempt: int) -> None:
        """Note the pause."""
        self.pauses.append(attempt)

    def get_counters(self, shards: Sequence[int]) -> list[Counter | None]:
        """The counters of these shards."""
        counters = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.asked.append(list(shards))
        return [counters[shard] if shard < len(counters) else None for shard in shards]


def read_all(table: Any, known: KnownFeed) -> tuple[Counter, ...] | None:
    """All counters of the table."""
    return read_all_counters(table, known)


def read_of(table: Any, known: KnownFeed, shard: int) -> tuple[Counter, Counter] | None:
    """The counters of shard 0 and of this one."""
    return read_counters_of(table, known, shard)


def test_when_the_number_of_shards_is_another_one_then_a_second_request_reads_them_all() -> None:
    """Without a pause, as nothing is being replaced; and the next time one request does."""
    table, known = ScriptedCounters(FEED), KnownFeed(1)

    assert FEED == read_all(table, known)
    assert FEED == read_all(table, known)
    assert ([[0], [0, 1, 2], [0, 1, 2]], []) == (table.asked, table.pauses)


@pytest.mark.parametrize("between", [OTHER, None, replace(FEED[1], state=FeedState.RENEWING)])
def test_when_a_counter_is_of_no_such_open_feed_then_all_are_read_again(
    between: Counter | None,
) -> None:
    """A page over counters of two feeds would skip what one of them has."""
    table = ScriptedCounters((FEED[0], between, FEED[2]), FEED)

    assert FEED == read_all(table, KnownFeed(3))
    assert [[0, 1, 2]] * 2 == table.asked


def test_when_the_counters_never_agree_then_the_reader_is_told_after_a_few_attempts() -> None:
    """The second attempt is at once, each later one after a longer pause."""
    table = ScriptedCounters((FEED[0], OTHER, FEED[2]))

    with pytest.raises(StorageUnavailable):
        read_all(table, KnownFeed(3))
    assert COUNTER_ATTEMPTS == len(table.asked)
    assert [2, 3, 4] == table.pauses


def test_when_the_table_has_no_feed_any_more_then_the_one_before_is_forgotten() -> None:
    """The next feed may have another number of shards."""
    known = KnownFeed(1)
    known.learn(FEED[0])

    assert None is read_all(ScriptedCounters((None,)), known)
    assert None is known.seen


@pytest.mark.parametrize("shard", [1, 2])
def test_when_one_shard_is_asked_for_then_its_counter_and_the_first_come_in_one_request(
    shard: int,
) -> None:
    """Also in a process that knows nothing of the feed yet."""
    table = ScriptedCounters(FEED)

    assert (FEED[0], FEED[shard]) == read_of(table, KnownFeed(1), shard)
    assert [[0, shard]] == table.asked


def test_when_the_first_shard_is_asked_for_then_its_counter_is_read_once() -> None:
    """A batch that names an item twice would be refused."""
    table = ScriptedCounters(FEED)

    assert (FEED[0], FEED[0]) == read_of(table, KnownFeed(3), 0)
    assert [[0]] == table.asked


@pytest.mark.parametrize("shard", [3, 4, 63])
def test_when_the_feed_has_no_such_shard_then_there_is_no_counter(shard: int) -> None:
    """It is what a reader of a feed with more shards finds after another one took its place."""
    assert None is read_of(ScriptedCounters(FEED), KnownFeed(1), shard)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (FeedState.IMPORTING, FeedImporting),
        (FeedState.IMPORT_FAILED, FeedImportFailed),
        (FeedState.RENEWING, FeedRenewing),
    ],
)
def test_when_the_feed_is_closed_then_each_state_has_an_error_of_its_own(
    state: FeedState, error: type[ApiError]
) -> None:
    """Closed feeds are not read, whatever their counters say."""
    closed = tuple(replace(counter, state=state) for counter in FEED)

    with pytest.raises(error):
        read_all(ScriptedCounters(closed), KnownFeed(3))


@pytest.mark.parametrize(
    ("since", "said"), [("2026-01-01T00:00:00Z", " since 2026-01-01T00:00:00Z;"), ("", "renewed;")]
)
def test_when_the_feed_is_closed_then_the_error_says_since_when_if_that_is_known(
    since: str, said: str
) -> None:
    """Who reads it can tell an hour from a day."""
    with pytest.raises(FeedRenewing, match=said):
        check_open(replace(FEED[0], state=FeedState.RENEWING, since=since))
