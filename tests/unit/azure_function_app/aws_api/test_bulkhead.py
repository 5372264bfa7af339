"""The bulkhead, on virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azure_function_app.aws_api.answer_times import AnswerTimes
from azure_function_app.aws_api.bulkhead import Bulkhead
from azure_function_app.deadline import Deadline
from azure_function_app.errors import Overloaded
from tests.support.virtual_time import VirtualLoop, run_virtually


class Api:
    """An API behind a bulkhead, and what became of the calls to it."""

    def __init__(self, loop: VirtualLoop, *, limit: int, waiting: int = 1_000) -> None:
        self.loop = loop
        self.limit = limit
        self.answer_times = AnswerTimes()
        self.bulkhead = Bulkhead(limit=limit, waiting=waiting, answer_times=self.answer_times)
        self.under_way = 0
        self.outcomes: Counter[str] = Counter()
        self.order: list[object] = []

    async def call(
        self, takes: Callable[[], float], seconds: float | None, name: object = None
    ) -> None:
        """Make one call that has so many seconds."""
        deadline = None if seconds is None else Deadline.after(seconds, self.loop)
        try:
            if not self.bulkhead.enter_at_once():
                await self.bulkhead.wait(deadline)
        except Overloaded:
            self.outcomes["refused"] += 1
            return
        self.under_way += 1
        assert self.under_way <= self.limit
        self.order.append(name)
        began = self.loop.time()
        latency = takes()
        left = latency if deadline is None else deadline.remaining_seconds()
        try:
            await asyncio.sleep(min(latency, left))
            took = self.loop.time() - began
            if latency <= left:
                self.answer_times.answered(took)
                self.outcomes["answered"] += 1
            else:
                self.answer_times.unanswered(took)
                self.outcomes["late"] += 1
        finally:
            self.under_way -= 1
            self.bulkhead.leave()

    async def is_free(self) -> bool:
        """Whether every place can be taken, and each given back."""
        entered = [self.bulkhead.enter_at_once() for _ in range(self.limit + 1)]
        for _ in range(entered.count(True)):
            self.bulkhead.leave()
        return entered == [True] * self.limit + [False]


def virtually[T](main: Callable[[VirtualLoop], Coroutine[object, object, T]]) -> T:
    """Run the test on virtual time."""
    loop = VirtualLoop()
    problems: list[object] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    result = run_virtually(main(loop), loop)
    assert [] == problems
    return result


def always(seconds: float) -> Callable[[], float]:
    """An API that always takes that long."""
    return lambda: seconds


async def soon(task: asyncio.Task[None]) -> None:
    """Let the task come as far as it can without time passing."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()


def test_when_there_is_a_place_then_nobody_waits() -> None:
    """As many as the limit enter at once, and one for each that leaves."""
    bulkhead = Bulkhead(limit=2, waiting=0, answer_times=AnswerTimes())

    assert [True, True, False] == [bulkhead.enter_at_once() for _ in range(3)]
    bulkhead.leave()
    assert [True, False] == [bulkhead.enter_at_once() for _ in range(2)]


def test_when_every_place_to_wait_is_taken_then_the_next_is_refused_at_once() -> None:
    """And who waits enters when somebody leaves."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1, waiting=1)
        async with asyncio.TaskGroup() as callers:
            for _ in range(3):
                callers.create_task(api.call(always(1.0), 9.0))
        assert {"answered": 2, "refused": 1} == api.outcomes
        assert 2.0 == loop.time()

    virtually(main)


def test_when_nothing_hurries_then_callers_enter_in_the_order_in_which_they_came() -> None:
    """The fair one."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        async with asyncio.TaskGroup() as callers:
            for number in range(5):
                callers.create_task(api.call(always(1.0), 30.0, number))
        assert [0, 1, 2, 3, 4] == api.order

    virtually(main)


def test_when_the_oldest_is_short_of_time_then_the_newest_is_first() -> None:
    """It has time left, where serving the oldest would bring each in turn to its last moment."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        api.answer_times.answered(1.0)
        async with asyncio.TaskGroup() as callers:
            for number in range(4):
                callers.create_task(api.call(always(1.0), 2.5, number))
                await asyncio.sleep(0.1)
        assert [0, 3] == api.order
        assert {"answered": 2, "refused": 2} == api.outcomes

    virtually(main)


def test_when_the_time_left_becomes_too_short_then_the_caller_is_refused_right_then() -> None:
    """Not at its deadline: it can use the rest for something else."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        api.answer_times.answered(4.0)
        asyncio.create_task(api.call(always(60.0), None))  # noqa: RUF006 - outlives the test
        await asyncio.sleep(0)
        await api.call(always(4.0), 10.0)
        assert 6.0 == pytest.approx(loop.time(), abs=0.01)
        assert {"refused": 1} == api.outcomes

    virtually(main)


def test_when_there_is_not_enough_time_from_the_start_then_the_caller_does_not_wait() -> None:
    """Nor does one whose deadline has passed."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        api.answer_times.answered(4.0)
        assert api.bulkhead.enter_at_once()
        for seconds in (4.0, 1.0, 0.0):
            await api.call(always(4.0), seconds)
        assert 0.0 == loop.time()
        assert {"refused": 3} == api.outcomes

    virtually(main)


@pytest.mark.parametrize(("enough", "told"), [(0.2, 1.0), (12.0, 12.0), (300.0, 30.0)])
def test_when_a_caller_is_refused_then_it_is_told_to_come_back_after_an_answer_or_so(
    enough: float, told: float
) -> None:
    """Within bounds."""

    async def main(_: VirtualLoop) -> None:
        answer_times = AnswerTimes()
        answer_times.answered(enough)
        with pytest.raises(Overloaded) as caught:
            await Bulkhead(limit=0, waiting=0, answer_times=answer_times).wait(None)
        assert told == caught.value.retry_after_seconds

    virtually(main)


def test_when_the_api_becomes_slower_then_those_who_cannot_succeed_any_more_are_refused() -> None:
    """As soon as that is known, and the place goes to one who can."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=2)
        async with asyncio.TaskGroup() as callers:
            for takes in (3.0, 60.0):
                callers.create_task(api.call(always(takes), None, "first"))
            for seconds in (5.0, 5.0, 9.0):
                callers.create_task(api.call(always(3.0), seconds, seconds))
            await asyncio.sleep(3.5)
            assert {"answered": 1, "refused": 2} == api.outcomes
            assert 9.0 == api.order[-1]

    virtually(main)


def test_when_the_api_becomes_slower_again_then_those_who_cannot_succeed_are_refused_again() -> (
    None
):
    """What it once took does not hide that it takes longer than a moment ago."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        assert api.bulkhead.enter_at_once()
        patient = [asyncio.create_task(api.bulkhead.wait(None)) for _ in range(3)]
        await asyncio.sleep(0)
        for seconds, refused in ((10.0, 0), (1.0, 0), (5.0, 1)):
            if refused:
                await soon(asyncio.create_task(api.call(always(1.0), 4.0)))
            for _ in range(16):
                api.answer_times.answered(seconds)
            api.bulkhead.leave()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert refused == api.outcomes["refused"]
        assert 0.0 == loop.time()
        await asyncio.gather(*patient)
        api.bulkhead.leave()
        assert await api.is_free()

    virtually(main)


def test_when_the_api_becomes_quicker_then_who_finds_a_place_shows_it() -> None:
    """A free place is taken whatever the answers took before, so it cannot stay shut out."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        api.answer_times.unanswered(30.0)
        for _ in range(20):
            await api.call(always(0.1), 1.0)
        async with asyncio.TaskGroup() as callers:
            for _ in range(5):
                callers.create_task(api.call(always(0.1), 1.0))
        assert {"answered": 25} == api.outcomes

    virtually(main)


@pytest.mark.parametrize("leaves_first", [True, False])
def test_when_a_waiting_caller_is_cancelled_then_no_place_is_lost(*, leaves_first: bool) -> None:
    """Neither the place to wait nor the one it waited for, even if it came at the same moment."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1, waiting=2)
        assert api.bulkhead.enter_at_once()
        cancelled = asyncio.create_task(api.call(always(1.0), 5.0))
        await soon(cancelled)
        other = asyncio.create_task(api.call(always(1.0), 9.0))
        await soon(other)
        for step in (api.bulkhead.leave, cancelled.cancel)[:: 1 if leaves_first else -1]:
            step()
        await asyncio.wait({cancelled, other})
        assert {"answered": 1} == api.outcomes
        assert await api.is_free()

    virtually(main)


def test_when_a_waiting_caller_is_cancelled_then_another_may_wait_in_its_stead() -> None:
    """Whoever is gone counts no more, also while no call ends."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1, waiting=1)
        assert api.bulkhead.enter_at_once()
        for _ in range(3):
            waiting = asyncio.create_task(api.call(always(1.0), 9.0))
            await soon(waiting)
            waiting.cancel()
            await asyncio.wait({waiting})
        assert not api.outcomes
        api.bulkhead.leave()
        assert await api.is_free()

    virtually(main)


def test_when_a_refused_caller_is_cancelled_at_the_same_moment_then_no_place_is_lost() -> None:
    """It has none to give back."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=1)
        api.answer_times.answered(1.0)
        assert api.bulkhead.enter_at_once()
        waiting = asyncio.create_task(api.call(always(1.0), 1.5))
        await soon(waiting)
        api.answer_times.answered(9.0)
        api.bulkhead.leave()
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert await api.is_free()

    virtually(main)


@dataclass(frozen=True)
class Call:
    """One call that some caller makes."""

    comes_after: float
    takes: float
    has: float | None
    is_cancelled_after: float | None


TIMES = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.floats(0.0, 4.0))
CALLS = st.lists(
    st.builds(Call, TIMES, TIMES, st.none() | TIMES, st.none() | TIMES), min_size=1, max_size=40
)


@given(CALLS, st.integers(1, 4), st.integers(0, 10))
@settings(max_examples=300, deadline=None)
def test_when_calls_come_end_and_are_cancelled_at_any_moment_then_no_place_is_lost_or_idle(
    calls: list[Call], limit: int, waiting: int
) -> None:
    """Never more than the limit at once, nobody waits by a free place, each enter has its leave."""

    async def main(loop: VirtualLoop) -> None:
        api = Api(loop, limit=limit, waiting=waiting)
        tasks = []
        for call in calls:
            await asyncio.sleep(call.comes_after)
            task = asyncio.create_task(api.call(always(call.takes), call.has))
            if call.is_cancelled_after is not None:
                loop.call_later(call.is_cancelled_after, task.cancel)
            tasks.append(task)
            # At any moment at which all that could go on has gone on.
            for _ in range(3):
                await asyncio.sleep(0)
            waits = sum(not each.done() for each in tasks) - api.under_way
            assert waits <= waiting
            assert 0 == waits or api.under_way == limit
        await asyncio.wait(tasks)
        ended = Counter(task.cancelled() for task in tasks)
        assert ended[False] == api.outcomes.total()
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert 0 == api.under_way
        assert await api.is_free()

    virtually(main)


def goodput(
    *, limit: int, latency: Callable[[random.Random], float], has: float, load: float
) -> tuple[float, Counter[str]]:
    """Answers a second as a share of what the places could give, and what became of the calls.

    Callers come at random, so many times as often as the places can serve them.
    """
    chance = random.Random(7)  # noqa: S311 - no secret
    mean = sum(latency(chance) for _ in range(1_000)) / 1_000
    seconds = 1_600 / limit * mean

    async def main(loop: VirtualLoop) -> Counter[str]:
        api = Api(loop, limit=limit, waiting=64)
        async with asyncio.TaskGroup() as callers:
            while loop.time() < seconds:
                callers.create_task(api.call(lambda: latency(chance), has))
                await asyncio.sleep(chance.expovariate(load * limit / mean))
        return api.outcomes

    outcomes = virtually(main)
    return outcomes["answered"] / (limit / mean * seconds), outcomes


@pytest.mark.parametrize("load", [2.0, 4.0, 10.0])
@pytest.mark.parametrize(
    ("limit", "least", "most", "has"),
    [
        (8, 0.6, 0.6, 1.0),
        (8, 0.5, 0.7, 1.0),
        (4, 0.2, 0.4, 0.5),
        (16, 2.0, 2.0, 3.0),
        (16, 1.5, 2.5, 3.0),
        (64, 11.0, 13.0, 15.0),
        (8, 0.05, 0.15, 30.0),
    ],
)
def test_when_more_callers_come_than_the_api_can_serve_then_its_places_stay_busy(
    limit: int, least: float, most: float, has: float, load: float
) -> None:
    """With calls that succeed, whatever the places, the latency, its spread and the deadlines."""
    share, outcomes = goodput(
        limit=limit, latency=lambda chance: chance.uniform(least, most), has=has, load=load
    )

    assert 0.95 <= share
    assert outcomes["late"] <= 0.02 * outcomes["answered"]


def test_when_one_answer_in_ten_takes_too_long_then_the_others_are_still_served() -> None:
    """An API with two speeds: the slow ones fail anyway, and keep nobody out."""
    share, _ = goodput(
        limit=8,
        latency=lambda chance: 0.1 if chance.random() < 0.9 else 2.0,
        has=1.0,
        load=10.0,
    )

    assert 0.95 <= share


def test_when_one_answer_in_ten_takes_too_long_then_the_others_are_still_worth_a_wait() -> None:
    """At a load that leaves places free at times, who waits for one is mostly answered."""
    share, _ = goodput(
        limit=8,
        latency=lambda chance: 0.05 if chance.random() < 0.9 else 2.0,
        has=1.0,
        load=1.5,
    )

    assert 1.3 <= share
