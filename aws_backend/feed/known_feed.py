"""What one process remembers of the table's feed, so that it need not ask for it every time."""

import logging
from dataclasses import dataclass
from threading import Lock

from aws_backend.table_layout import Counter, FeedState
from shared.log import log_event

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SeenFeed:
    """A feed that this process has seen open."""

    feed_id: bytes
    shards: int

    def owns(self, counter: Counter | None) -> bool:
        """Return whether the counter is one of this feed's, and the feed still open."""
        return (
            counter is not None
            and counter.state is FeedState.OPEN
            and (counter.feed_id, counter.shards) == (self.feed_id, self.shards)
        )


class KnownFeed:
    """The feed as this process saw it last. Whoever uses it checks it against a shard's counter.

    It may be used by several threads.
    """

    def __init__(self, new_shards: int) -> None:
        """Know nothing; `new_shards` is how many a feed gets that this process makes."""
        self.new_shards = new_shards
        self._seen: SeenFeed | None = None
        self._complained_of = b""
        self._lock = Lock()

    @property
    def seen(self) -> SeenFeed | None:
        """The feed that was seen last; None before the first one, and after `forget`."""
        return self._seen

    @property
    def likely_shards(self) -> int:
        """How many shards the table's feed has, if nothing has changed."""
        seen = self._seen
        return self.new_shards if seen is None else seen.shards

    def learn(self, first: Counter) -> SeenFeed:
        """Remember the feed of this counter, which is shard 0's and open, and return it.

        The first time that its number of shards is not the one in the settings, log a warning.
        """
        seen = SeenFeed(first.feed_id, first.shards)
        self._seen = seen
        if first.shards != self.new_shards:
            with self._lock:
                is_first_time = self._complained_of != first.feed_id
                self._complained_of = first.feed_id
            if is_first_time:
                log_event(
                    _logger,
                    logging.WARNING,
                    "feed_shards_ignored",
                    feed_shards=self.new_shards,
                    shards=first.shards,
                    reason="a feed keeps the number of shards that it was made with",
                )
        return seen

    def forget(self) -> None:
        """Know nothing of the table's feed again; it is another one, or closed."""
        self._seen = None
