import asyncio
import gc
import socket
from typing import cast

import pytest

from azure_function_app.http1.addresses import REMEMBERED_SECONDS, Addresses

HOST = ("api.example", 443)


class Resolver:
    """The running loop, with a clock and a resolver that the test moves."""

    def __init__(self) -> None:
        """Know one address."""
        self._loop = asyncio.get_running_loop()
        self.create_task = self._loop.create_task
        self.moved_seconds = 0.0
        self.asked: list[str] = []
        self.answers: list[Exception | list[str]] = [["192.0.2.1"]]
        self.may_answer: asyncio.Event | None = None

    def time(self) -> float:
        """Return a time that moves only when told."""
        return self.moved_seconds

    async def getaddrinfo(self, host: str, port: int, **options: object) -> list[object]:
        """Return the next answer; the last one stays."""
        del options
        self.asked.append(host)
        if self.may_answer is not None:
            await self.may_answer.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answer]


def addresses_of(resolver: Resolver) -> Addresses:
    """Addresses that ask it."""
    return Addresses(cast("asyncio.AbstractEventLoop", resolver))


async def test_when_many_ask_then_one_look_up_is_made() -> None:
    """And all get its answer."""
    resolver = Resolver()
    addresses = addresses_of(resolver)
    found = await asyncio.gather(*(addresses.resolve(*HOST) for _ in range(64)))

    assert ["api.example"] == resolver.asked
    assert {("192.0.2.1", 443)} == {one[0][4] for one in found}


@pytest.mark.parametrize(("seconds", "look_ups"), [(-1.0, 1), (0.0, 2)])
async def test_when_a_minute_has_passed_then_the_name_is_looked_up_again(
    seconds: float, look_ups: int
) -> None:
    """And not before."""
    resolver = Resolver()
    addresses = addresses_of(resolver)
    await addresses.resolve(*HOST)
    resolver.moved_seconds += REMEMBERED_SECONDS + seconds
    await addresses.resolve(*HOST)

    assert look_ups == len(resolver.asked)


async def test_when_a_name_is_forgotten_then_it_is_looked_up_again_and_no_other() -> None:
    """What did not answer is of no use; forgetting what is not known does nothing."""
    resolver = Resolver()
    addresses = addresses_of(resolver)
    for host in ("api.example", "other.example"):
        await addresses.resolve(host, 443)
    for _ in range(2):
        addresses.forget(*HOST)
    for host in ("api.example", "other.example"):
        await addresses.resolve(host, 443)

    assert ["api.example", "other.example", "api.example"] == resolver.asked


async def test_when_a_look_up_fails_then_it_is_not_remembered() -> None:
    """The next caller asks again, and all who waited for it hear of it."""
    resolver = Resolver()
    resolver.answers = [socket.gaierror("no"), ["192.0.2.2"]]
    addresses = addresses_of(resolver)
    outcomes = await asyncio.gather(
        *(addresses.resolve(*HOST) for _ in range(3)), return_exceptions=True
    )

    assert [socket.gaierror] * 3 == [type(outcome) for outcome in outcomes]
    assert ("192.0.2.2", 443) == (await addresses.resolve(*HOST))[0][4]


async def test_when_one_of_the_waiting_is_cancelled_then_the_others_are_not() -> None:
    """Also where it was the one who asked first."""
    resolver = Resolver()
    resolver.may_answer = asyncio.Event()
    addresses = addresses_of(resolver)
    tasks = [asyncio.create_task(addresses.resolve(*HOST)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    resolver.may_answer.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1] == outcomes[2] == await addresses.resolve(*HOST)
    assert ["api.example"] == resolver.asked


async def test_when_nobody_waits_any_more_for_a_failure_then_nobody_complains_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Asyncio would log it as an exception that was never retrieved."""
    resolver = Resolver()
    resolver.may_answer, resolver.answers = asyncio.Event(), [socket.gaierror("no")]
    addresses = addresses_of(resolver)
    task = asyncio.create_task(addresses.resolve(*HOST))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task  # its traceback holds the look-up
    resolver.may_answer.set()
    for _ in range(4):
        await asyncio.sleep(0)
    gc.collect()

    assert [] == caplog.records


async def test_when_it_is_closed_then_those_who_wait_get_an_error_and_are_not_cancelled() -> None:
    """Nobody cancelled them; one who was cancelled as well stays so."""
    resolver = Resolver()
    resolver.may_answer = asyncio.Event()
    addresses = addresses_of(resolver)
    waiting, cancelled = (asyncio.create_task(addresses.resolve(*HOST)) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await addresses.aclose()
    outcomes = await asyncio.gather(waiting, cancelled, return_exceptions=True)

    assert [OSError, asyncio.CancelledError] == [type(outcome) for outcome in outcomes]
