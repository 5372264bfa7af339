"""What a process remembers of a feed."""

from dataclasses import replace

import pytest

from aws_backend.feed.known_feed import KnownFeed, SeenFeed
from aws_backend.table_layout import Counter, FeedState

FIRST = Counter(b"f" * 16, 7, "a", shards=4)


def test_when_a_feed_is_learned_then_it_is_known_until_it_is_forgotten() -> None:
    """Afterwards a new feed's number of shards is the best guess again."""
    known = KnownFeed(2)
    assert (None, 2) == (known.seen, known.likely_shards)

    known.learn(FIRST)
    assert (SeenFeed(FIRST.feed_id, 4), 4) == (known.seen, known.likely_shards)

    known.forget()
    assert (None, 2) == (known.seen, known.likely_shards)


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        (FIRST, True),
        (replace(FIRST, sequence=0, last_id=""), True),
        (replace(FIRST, feed_id=b"g" * 16), False),
        (replace(FIRST, feed_id=b"e" * 16), False),
        (replace(FIRST, shards=5), False),
        (replace(FIRST, shards=3), False),
        (replace(FIRST, state=FeedState.RENEWING), False),
        (replace(FIRST, state=FeedState.IMPORTING), False),
        (None, False),
    ],
)
def test_when_a_counter_is_read_then_only_one_of_the_open_feed_is_its_own(
    counter: Counter | None,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A counter of another feed, of a closed one or none sends the process back to shard 0."""
    assert expected is SeenFeed(FIRST.feed_id, FIRST.shards).owns(counter)


@pytest.mark.parametrize("new_shards", [2, 8])
def test_when_the_feed_has_other_shards_than_the_settings_say_then_one_warning_says_so(
    caplog: pytest.LogCaptureFixture, new_shards: int
) -> None:
    """Each feed once, not each request; for more as for fewer."""
    known = KnownFeed(new_shards)
    for counter in (FIRST, FIRST, replace(FIRST, sequence=9)):
        known.learn(counter)

    assert [("WARNING", "feed_shards_ignored")] == [
        (record.levelname, record.getMessage()) for record in caplog.records
    ]


def test_when_the_feed_has_the_shards_that_the_settings_say_then_there_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That is how it is everywhere."""
    KnownFeed(4).learn(FIRST)

    assert [] == caplog.records


@pytest.mark.parametrize("feed_id", [b"e" * 16, b"g" * 16])
def test_when_another_feed_has_other_shards_too_then_a_warning_says_so_again(
    caplog: pytest.LogCaptureFixture, feed_id: bytes
) -> None:
    """IDs are random: none of them comes after another."""
    known = KnownFeed(2)
    known.learn(FIRST)
    known.learn(replace(FIRST, feed_id=feed_id))

    assert ["feed_shards_ignored"] * 2 == caplog.messages
