"""Planners and workers at once, in any order, over a real file, beside a model of the source."""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError
from azure_function_app.sync.checkpoint_store import PLAN_ROW, SyncStatus, shard_row
from azure_function_app.sync.records import FeedShards
from tests.support.fake_feed import ShardedFeed
from tests.support.sharded_sync import DyingStore, Killed, ShardedPlace

NAMES = [f"r{number}" for number in range(8)]

steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from(NAMES)),
        st.tuples(st.sampled_from(["tick", "new_feed", "wait", "wake"]), st.integers(0, 3)),
        st.tuples(st.sampled_from(["work", "double", "lose", "reset"]), st.integers(0, 99)),
        st.tuples(st.just("die"), st.integers(1, 12)),
    ),
    max_size=60,
)


class Gate:
    """A store whose calls stand still until they are let go, one by one: so runs interleave."""

    def __init__(self, store: Any, waiting: list[asyncio.Event]) -> None:
        """Take the store, and the list of calls that stand still."""
        self._store = store
        self._waiting = waiting

    def for_row(self, row: str) -> "Gate":
        """The same for another row."""
        return Gate(self._store.for_row(row), self._waiting)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            turn = asyncio.Event()
            self._waiting.append(turn)
            await turn.wait()
            return await getattr(self._store, name)(*args, **options)

        return call


class Interleaving:
    """Several runs that are under way at once, each standing still at its next call."""

    def __init__(self, place: ShardedPlace) -> None:
        """Begin with none."""
        self.place = place
        self.waiting: list[asyncio.Event] = []
        self.runs: set[asyncio.Task[object]] = set()
        self.store = Gate(place.store, self.waiting)
        self.seen: dict[str, tuple[int, int]] = {}

    async def do(self, action: str, value: Any) -> None:  # noqa: C901 - a case for each
        """Take one step."""
        place, feed = self.place, self.place.feed
        gated: dict[str, Any] = {"store": self.store, "checkpoints": self.store}
        match action:
            case "put":
                feed.put(value)
            case "delete" if value in feed.live():
                feed.delete(value)
            case "new_feed":
                feed.start_anew(shards=value + 1)
            case "tick":
                self._begin(place.tick(**gated))
            case "work" if place.queue:
                self._begin(place.deliver(place.queue.pop(value % len(place.queue)), **gated))
            case "double" if place.queue:
                place.queue.append(place.queue[value % len(place.queue)])
            case "lose" if place.queue:
                place.queue.pop(value % len(place.queue))
            case "reset":
                row = PLAN_ROW if value % 4 == 3 else shard_row(value % 4)
                await place.store.for_row(row).reset()
            case "die":
                store = DyingStore(place.store, [value], does_last=value % 2 == 0)
                with contextlib.suppress(Killed, BridgeError):
                    await place.tick(store=store, checkpoints=store)
            case "wake" | "wait":
                await self._let_go(value)
            case _:
                pass
        await self._check()

    async def finish(self) -> None:
        """Let every run go on to its end."""
        while self.runs:
            await self._let_go(0)
            await self._check()

    def _begin(self, run: Awaitable[object]) -> None:
        async def within() -> None:
            # The host tries a message again, or gives it up: the next tick plans anew.
            with contextlib.suppress(BridgeError):
                await run

        task = asyncio.create_task(within())
        self.runs.add(task)
        task.add_done_callback(self.runs.discard)

    async def _let_go(self, number: int) -> None:
        await asyncio.sleep(0)
        if self.waiting:
            self.waiting.pop(number % len(self.waiting)).set()
        # Until it stands still again: the store answers in threads.
        for _ in range(200):
            await asyncio.sleep(0.0002)
            if len(self.waiting) >= len(self.runs):
                break

    async def _check(self) -> None:
        """No record ever goes back: generation first, version second."""
        for name, (generation, version, _) in self.place.records().items():
            assert (generation, version) >= self.seen.get(name, (0, 0))
            self.seen[name] = (generation, version)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(actions=steps, shards=st.integers(1, 4))
async def test_when_everything_happens_at_once_then_the_sink_ends_as_the_source(
    actions: list[tuple[str, Any]], shards: int
) -> None:
    """Messages doubled, late, lost and out of order, new feeds, dead processes, resets."""
    with tempfile.TemporaryDirectory() as folder:
        place = ShardedPlace(Path(folder), ShardedFeed(shards), page_size=2)
        await place.store.newest_generation()
        interleaving = Interleaving(place)
        for action, value in actions:
            await interleaving.do(action, value)
        await interleaving.finish()

        await place.settle()

        live = place.live()
        await place.store.aclose()
    assert place.feed.live() == live


async def test_when_a_shards_end_cannot_be_reached_then_the_run_here_ends_all_the_same(
    place: ShardedPlace,
) -> None:
    """Its counter may name a change that does not show: asking at once again would not help."""
    place.feed.put("a", "b", "c")
    reachable = place.feed.shards

    async def shards(*, deadline: Deadline) -> FeedShards:
        listing = await reachable(deadline=deadline)
        assert listing is not None
        assert place.feed.listings < 10
        beyond = tuple(replace(each, end=f"{each.end}9") for each in listing.shards)
        return replace(listing, shards=beyond)

    place.feed.shards = shards  # type: ignore[method-assign]

    report = await place.sync().run_here()

    assert SyncStatus.COMPLETE is report.status
    assert place.feed.live() == place.live()


async def test_when_a_new_feeds_shard_goes_on_growing_then_the_run_here_pauses(
    place: ShardedPlace,
) -> None:
    """Its end is for a later run: this one would ask until its time is up."""
    place.feed.put(*NAMES)
    await place.settle()
    place.feed.start_anew()
    place.feed.put(*NAMES)
    asked: list[str] = []

    def write_one(cursor: str) -> None:
        asked.append(cursor)
        assert len(asked) < 200
        place.feed.put("r1")

    place.feed.before_answer = write_one

    report = await place.sync().run_here()

    assert SyncStatus.PAUSED is report.status
