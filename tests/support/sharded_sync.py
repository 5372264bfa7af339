"""A sync by shards over a feed in memory, whose queue's messages a test delivers as it likes."""

import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from azure_function_app.fan_out.shard_message import MessageKind, parse_message
from azure_function_app.fan_out.sharded_sync import ShardedSync
from azure_function_app.sync.checkpoint_store import (
    PLAN_ROW,
    Checkpoint,
    SyncReport,
    SyncStatus,
    shard_row,
)
from azure_function_app.sync.sweep import DeletionLimit
from tests.support.fake_clock import FakeClock
from tests.support.fake_feed import ShardedFeed
from tests.support.store_in_turn import StoreInTurn


class ShardedPlace:
    """A store, a feed, a clock, and the messages that wait in the queue."""

    def __init__(
        self, path: Path, feed: ShardedFeed | None = None, *, share: float = 1.0, page_size: int = 2
    ) -> None:
        """Begin with nothing in the store."""
        self.path = path / "records.sqlite3"
        self.feed = feed or ShardedFeed()
        self.store = StoreInTurn(self.path, self.feed.turn)
        self.clock = FakeClock()
        self.share = share
        self.page_size = page_size
        self.queue: list[str] = []
        self._numbers = count(1)

    def sync(self, **parts: Any) -> ShardedSync:
        """The sync, with other parts where a test wants them."""
        chosen: dict[str, Any] = {
            "source": self.feed,
            "store": self.store,
            "checkpoints": self.store,
            "clock": self.clock,
            "new_run_id": lambda: f"run-{next(self._numbers):03}",
            "page_size": self.page_size,
            "run_seconds": 240.0,
            "page_seconds": 30.0,
            "deletion_limit": DeletionLimit(self.share),
            "most_poison_share": 1.0,
        }
        return ShardedSync(**chosen | parts)

    async def tick(self, **parts: Any) -> SyncReport:
        """Plan, and let the messages wait, as the host does when a function has ended well."""
        self.clock.advance(1.0)
        sent: list[list[str]] = []
        report = await self.sync(**parts).tick(sent.append)
        self._let_wait(sent)
        return report

    async def deliver(self, text: str, **parts: Any) -> SyncReport | None:
        """Work on a message."""
        self.clock.advance(1.0)
        sent: list[list[str]] = []
        report = await self.sync(**parts).work(text.encode(), sent.append)
        self._let_wait(sent)
        return report

    async def drain(self) -> list[SyncReport]:
        """Work on what waits, until nothing does."""
        reports = []
        while self.queue:
            if report := await self.deliver(self.queue.pop(0)):
                reports.append(report)
        return reports

    async def settle(self) -> SyncReport:
        """Tick and work until a tick has nothing to send."""
        for _ in range(20):
            report = await self.tick()
            if not self.queue:
                return report
            await self.drain()
        raise AssertionError("It never comes to an end.")

    async def settle_until_held(self) -> None:
        """Tick and work until a run is held."""
        for _ in range(20):
            await self.tick()
            if any(report.status is SyncStatus.HELD for report in await self.drain()):
                return
        raise AssertionError("It is never held.")

    def kinds(self) -> list[tuple[MessageKind, int]]:
        """What waits: kind and shard."""
        messages = [parse_message(text.encode()) for text in self.queue]
        return [(message.kind, message.shard) for message in messages]

    async def plan(self) -> Checkpoint:
        """The plan's checkpoint."""
        return await self.store.for_row(PLAN_ROW).load()

    async def row(self, shard: int) -> Checkpoint:
        """A shard's checkpoint."""
        return await self.store.for_row(shard_row(shard)).load()

    def records(self) -> dict[str, tuple[int, int, bool]]:
        """Generation, version and deleted of what the sink holds, by ID."""
        rows = self.query("SELECT id, generation, version, deleted FROM records")
        return {key: (generation, version, bool(gone)) for key, generation, version, gone in rows}

    def live(self) -> dict[str, int]:
        """The versions of what is not deleted, by ID."""
        return {key: version for key, (_, version, gone) in self.records().items() if not gone}

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What another connection sees."""
        connection = sqlite3.connect(self.path, autocommit=True)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def _let_wait(self, sent: list[list[str]]) -> None:
        if sent:
            self.queue += sent[-1]


class Killed(BaseException):
    """The process was killed here."""


class DyingStore:
    """A store whose process dies right after, or right before, one of its calls."""

    def __init__(self, store: Any, calls_left: list[int], *, does_last: bool) -> None:
        """Take how many calls are done before; the count is shared by the views for rows."""
        self._store = store
        self._calls_left = calls_left
        self._does_last = does_last

    def for_row(self, row: str) -> "DyingStore":
        """The same for another row."""
        store = self._store.for_row(row)
        return DyingStore(store, self._calls_left, does_last=self._does_last)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*args: Any, **options: Any) -> Any:
            self._calls_left[0] -= 1
            if self._calls_left[0] < 0:
                # Nothing of a dead process reaches the store.
                raise Killed
            is_last = self._calls_left[0] == 0
            if is_last and not self._does_last:
                raise Killed
            result = await getattr(self._store, name)(*args, **options)
            if is_last:
                raise Killed
            return result

        return call
