"""The change feed, watched: what a person sees of a run while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass

from azure_function_app.deadline import Deadline
from azure_function_app.sync.records import ChangePage, FeedShards
from azure_function_app.sync.runs.page_loop import ChangeSource, ShardSource

type OnPage = Callable[[int, int], None]
"""Called after each page with how many pages and records have been read so far."""


@dataclass(slots=True)
class WatchedSource:
    """Reads another source, and says after each page how much that has been."""

    source: ChangeSource
    on_page: OnPage
    pages: int = 0
    records: int = 0

    async def changes(self, cursor: str, *, limit: int, deadline: Deadline) -> ChangePage:
        """Return the page that starts at the cursor.

        Raises:
            BridgeError: no usable answer by the deadline.

        """
        page = await self.source.changes(cursor, limit=limit, deadline=deadline)
        self.pages += 1
        self.records += len(page.records) + len(page.poison)
        self.on_page(self.pages, self.records)
        return page


@dataclass(slots=True)
class WatchedShards(WatchedSource):
    """The same for a source that can be read by its shards."""

    source: ShardSource

    async def shards(self, *, deadline: Deadline) -> FeedShards | None:
        """Return the feed's shards, if there is a feed; which counts as no page.

        Raises:
            BridgeError: no usable answer by the deadline.

        """
        return await self.source.shards(deadline=deadline)
