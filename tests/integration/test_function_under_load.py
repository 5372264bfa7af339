"""The whole function when it is asked for more than it can do, or waits for what never comes."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from shared.clock import SystemClock
from tests.integration.test_transport_faults import closed_port
from tests.support.faulty_server import Behavior, Exchange, answer, faulty_server, say_nothing
from tests.support.running_function import running_function

pytestmark = pytest.mark.timeout(120)

CALLERS = 200
ATTACK_SECONDS = 8.0
CALL_SECONDS = 5.0
SLOW_API_SECONDS = 12.0
HEALTH_WITHIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one caller got, and after how long."""

    status: int
    code: str | None
    retry_after: str | None
    seconds: float


async def get(session: aiohttp.ClientSession, url: str) -> Answer:
    """Call once; an answer with a code is one of ours."""
    clock = SystemClock()
    begun = clock.monotonic()
    async with session.get(url) as response:
        text = await response.text()
        document = json.loads(text) if text.startswith("{") else {}
        return Answer(
            response.status,
            document.get("code") or document.get("error_code"),
            response.headers.get("Retry-After"),
            clock.monotonic() - begun,
        )


async def attack(session: aiohttp.ClientSession, url: str) -> list[Answer]:
    """The answers to so many callers, who come again a moment after they were answered."""
    clock = SystemClock()
    ends = clock.monotonic() + ATTACK_SECONDS
    answers: list[Answer] = []

    async def caller() -> None:
        while clock.monotonic() < ends:
            answers.append(await get(session, url))
            # So that it is not this test that takes the processors from the function.
            await asyncio.sleep(0.1)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return answers


async def poll(
    session: aiohttp.ClientSession, url: str, *, until: Callable[[], bool]
) -> list[Answer]:
    """The answers of health, asked five times a second."""
    answers: list[Answer] = []
    while not until():
        answers.append(await get(session, url))
        await asyncio.sleep(0.2)
    return answers


async def dawdle(exchange: Exchange) -> None:
    """Answer well, and much too late."""
    await asyncio.sleep(SLOW_API_SECONDS)
    await answer()(exchange)


async def test_when_two_hundred_call_a_slow_api_then_each_is_told_in_time_and_health_answers(
    tmp_path: Path,
) -> None:
    """No caller waits longer than a call may take, and none is refused by the host."""
    async with (
        faulty_server(dawdle) as api,
        running_function(tmp_path, api.port, PROXY_CALL_SECONDS=f"{CALL_SECONDS:g}") as host,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        await get(session, f"{host.url}/api/health")
        calls = asyncio.create_task(attack(session, f"{host.url}/api/aws/v1/records/a"))
        of_health = await poll(session, f"{host.url}/api/health", until=calls.done)
        answers = await calls

    assert {503, 504} == {given.status for given in answers}
    assert max(given.seconds for given in answers) <= 1.1 * CALL_SECONDS
    assert all(int(given.retry_after or 0) >= 1 for given in answers if given.status == 503), (
        Counter(answers)
    )
    assert Counter(given.code for given in answers)["overloaded"] > 0
    assert {200} == {given.status for given in of_health}
    assert max(given.seconds for given in of_health) <= HEALTH_WITHIN_SECONDS
    assert len(of_health) > ATTACK_SECONDS


@pytest.mark.parametrize(
    ("from_api", "settings", "expected"),
    [
        (answer(503, b"{}"), {}, (503, None)),
        (answer(429, b"{}"), {}, (429, None)),
        (
            answer(),
            {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{closed_port()}/token"},
            (503, "token_unavailable"),
        ),
    ],
    ids=["the API's 503", "the API's 429", "no token"],
)
async def test_when_the_proxy_says_busy_then_it_says_when_to_come_again(
    tmp_path: Path, from_api: Behavior, settings: dict[str, str], expected: tuple[int, str | None]
) -> None:
    """Whoever is busy: without Retry-After a client comes again at once."""
    limits = {"PROXY_CALL_SECONDS": "3", "TOKEN_WAIT_SECONDS": "1"}
    async with (
        faulty_server(from_api) as api,
        running_function(tmp_path, api.port, **(limits | settings)) as host,
        aiohttp.ClientSession() as session,
    ):
        given = await get(session, f"{host.url}/api/aws/v1/records/a")

    assert expected == (given.status, given.code)
    assert int(given.retry_after or 0) >= 1


async def test_when_the_store_hangs_then_health_says_so_within_a_second(tmp_path: Path) -> None:
    """However many ask, and whatever the proxy's callers do meanwhile."""
    async with (
        faulty_server(answer()) as api,
        faulty_server(say_nothing) as store,
        running_function(
            tmp_path,
            api.port,
            RECORD_STORE="table",
            TABLE_ENDPOINT=f"http://127.0.0.1:{store.port}/devstoreaccount1",
        ) as host,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        health = f"{host.url}/api/health"
        flood = asyncio.gather(*(get(session, health) for _ in range(CALLERS)))
        answers = await poll(session, health, until=flood.done)
        answers += await flood
        answers += [await get(session, health)]
        proxied = await get(session, f"{host.url}/api/aws/v1/records/a")
        reads = len(store.requests)

    assert {(503, "store_not_answering", "1")} == {
        (given.status, given.code, given.retry_after) for given in answers
    }
    assert max(given.seconds for given in answers) <= HEALTH_WITHIN_SECONDS
    assert 200 == proxied.status
    # One read under way, whoever asks.
    assert 1 == reads
