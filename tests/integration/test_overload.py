"""More calls than a slow API can answer, on real sockets: its places stay busy, none is wasted."""

import asyncio
from collections import Counter

import pytest

from azure_function_app.aws_api.circuit_breaker import FAILURES_IN_A_ROW
from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError, Overloaded
from shared.clock import SystemClock
from tests.support.calling import real_api
from tests.support.faulty_server import Behavior, Exchange, answer, faulty_server, say_nothing

CLOCK = SystemClock()
REQUEST = ApiRequest("GET", "/v1/records")
GOOD = answer(200, b"{}")


def answering_after(seconds: float) -> Behavior:
    """An API that takes so long for each answer, however many it gives at once."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await GOOD(exchange)

    return behave


async def outcome(api: ApiClient, seconds: float) -> object:
    """The status that the caller gets, or the code of the error."""
    try:
        return (await api.fetch(REQUEST, deadline=Deadline.after(seconds, CLOCK))).status_code
    except BridgeError as error:
        return error.code


@pytest.mark.parametrize(("load", "waiting"), [(3.0, 1_000), (8.0, 16)])
async def test_when_a_slow_api_gets_more_calls_than_it_can_answer_then_its_places_stay_busy(
    load: float, waiting: int
) -> None:
    """With nine tenths of what is possible at least; whoever gets no place is told so."""
    places, latency, deadline, seconds = 8, 0.3, 0.5, 4.0
    outcomes: Counter[object] = Counter()
    async with (
        faulty_server(answering_after(latency)) as server,
        real_api(f"http://127.0.0.1:{server.port}", connections=places, waiting=waiting) as api,
        asyncio.TaskGroup() as callers,
    ):

        async def call() -> None:
            outcomes[await outcome(api, deadline)] += 1

        ends = CLOCK.monotonic() + seconds
        while CLOCK.monotonic() < ends:
            callers.create_task(call())
            await asyncio.sleep(latency / (places * load))

    assert 0.9 * places * seconds / latency <= outcomes[200]
    assert {200, "overloaded"} >= outcomes.keys() - {"deadline_exceeded"}
    assert outcomes["deadline_exceeded"] <= 0.05 * outcomes[200]


async def test_when_callers_wait_for_a_slow_api_then_it_is_not_taken_for_dead() -> None:
    """Many callers at once, again and again: each call that is sent succeeds."""
    outcomes: Counter[object] = Counter()
    async with (
        faulty_server(answering_after(0.4)) as server,
        real_api(f"http://127.0.0.1:{server.port}", connections=4, waiting=100) as api,
        asyncio.TaskGroup() as callers,
    ):
        ends = CLOCK.monotonic() + 2.0

        async def call_again_and_again() -> None:
            while CLOCK.monotonic() < ends:
                outcomes[await outcome(api, 0.5)] += 1
                await asyncio.sleep(0.01)

        for _ in range(50):
            callers.create_task(call_again_and_again())

    assert {200, "overloaded"} == set(outcomes)
    assert 4 * 4 <= outcomes[200]


async def test_when_a_call_is_refused_for_lack_of_time_then_it_is_told_when_to_come_back() -> None:
    """At once: the API would not answer in the time that is left."""
    async with (
        faulty_server(answering_after(0.4)) as server,
        real_api(f"http://127.0.0.1:{server.port}", connections=1) as api,
    ):
        assert 200 == await outcome(api, 2.0)
        busy = asyncio.create_task(outcome(api, 2.0))
        await asyncio.sleep(0.1)
        started = CLOCK.monotonic()
        with pytest.raises(Overloaded) as caught:
            await api.fetch(REQUEST, deadline=Deadline.after(0.3, CLOCK))
        took = CLOCK.monotonic() - started
        assert 200 == await busy

    assert took < 0.1
    assert 1.0 == caught.value.retry_after_seconds


async def test_when_the_circuit_opens_then_calls_that_waited_are_not_sent() -> None:
    """A dead API is not asked once more by everyone who had queued for it."""
    async with (
        faulty_server(say_nothing) as server,
        real_api(
            f"http://127.0.0.1:{server.port}", connections=FAILURES_IN_A_ROW, waiting=50
        ) as api,
    ):
        first = [asyncio.create_task(outcome(api, 0.4)) for _ in range(FAILURES_IN_A_ROW)]
        await asyncio.sleep(0.1)
        waited = [asyncio.create_task(outcome(api, 5.0)) for _ in range(50)]
        ended = Counter(await asyncio.gather(*first))
        refused = Counter(await asyncio.gather(*waited))

    assert {"deadline_exceeded": FAILURES_IN_A_ROW} == ended
    # The nine places that came free before the tenth failure were handed on.
    assert len(server.requests) < 2 * FAILURES_IN_A_ROW
    assert 40 <= refused["circuit_open"]
