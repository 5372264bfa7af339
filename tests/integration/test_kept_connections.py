"""Connections that were kept and are dead by the time they are wanted."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from azure_function_app.aws_api.client import ApiClient, ApiRequest
from azure_function_app.deadline import Deadline
from azure_function_app.http1.errors import KeptConnectionLost
from shared.clock import SystemClock
from tests.integration.test_transport_faults import client_of
from tests.support.calling import real_api
from tests.support.faulty_server import (
    Behavior,
    Exchange,
    FaultyServer,
    faulty_server,
    reset_connection,
)
from tests.support.odd_answers import echo
from tests.support.transport_calls import until

CLOCK = SystemClock()
COUNTS = [1, 2, 10]
type Ending = Callable[[asyncio.StreamWriter], None]


def reset(writer: asyncio.StreamWriter) -> None:
    """With an RST."""
    reset_connection(writer)


def close(writer: asyncio.StreamWriter) -> None:
    """With a FIN."""
    writer.close()


def doomed_after(*warm_up: asyncio.StreamWriter) -> Behavior:
    """Let the connections be forgotten, so that the next request on each is met with an RST."""

    async def behave(exchange: Exchange) -> None:
        if exchange.writer in warm_up:
            exchange.reset()
        else:
            await echo(exchange)

    return behave


async def slow_echo(exchange: Exchange) -> None:
    """Answer late enough for the next call to need a connection of its own."""
    await asyncio.sleep(0.05)
    await echo(exchange)


async def keep(server: FaultyServer, call: Callable[[str], Awaitable[object]], count: int) -> None:
    """Leave so many connections idle."""
    await asyncio.gather(*(call(f"/warm-{n}") for n in range(count)))
    assert count == server.connections
    server.script[:] = [echo]


async def end_all(server: FaultyServer, ending: Ending, *, is_noticed: bool) -> None:
    """End every connection; unnoticed, the client's loop has not run since the kernel knows."""
    for writer in tuple(server.writers):
        ending(writer)
    await asyncio.sleep(0.03 if is_noticed else 0)


async def fetch(api: ApiClient, method: str, path: str) -> bytes:
    """Make a call with attempts left."""
    request = ApiRequest(method, path, content=b"" if method == "GET" else b"{}")
    return (await api.fetch(request, deadline=Deadline.after(5.0, CLOCK))).content


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
@pytest.mark.parametrize("is_noticed", [False, True])
@pytest.mark.parametrize("ending", [reset, close])
@pytest.mark.parametrize("count", COUNTS)
async def test_when_kept_connections_have_ended_then_the_next_call_takes_a_new_one(
    count: int, ending: Ending, method: str, *, is_noticed: bool
) -> None:
    """Even a POST, and even where only the kernel knows of the end: one attempt is enough."""
    async with faulty_server(slow_echo) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        await keep(server, lambda target: client.get(url + target), count)
        await end_all(server, ending, is_noticed=is_noticed)
        response = await client.request(method, f"{url}/own", timeout=5)

    assert b"/own" == response.content
    assert count + 1 == server.connections


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("count", COUNTS)
async def test_when_kept_connections_die_of_the_next_request_then_one_more_attempt_is_enough(
    count: int, method: str
) -> None:
    """Nobody could know; but one that is dead says that the others are, too."""
    async with (
        faulty_server(slow_echo) as server,
        real_api(f"http://127.0.0.1:{server.port}") as api,
    ):
        await keep(server, lambda path: fetch(api, "GET", path), count)
        server.script[:] = [doomed_after(*server.writers)]

        assert b"/own" == await fetch(api, method, "/own")
    assert ["/own"] * 2 == [one.target for one in server.requests[count:]]
    assert count + 1 == server.connections


@pytest.mark.parametrize("count", COUNTS)
async def test_when_kept_connections_die_of_the_next_request_then_one_post_fails_at_most(
    count: int,
) -> None:
    """It may have been carried out, so it is not sent again; those after it are sent afresh."""
    async with faulty_server(slow_echo) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        await keep(server, lambda target: client.get(url + target), count)
        server.script[:] = [doomed_after(*server.writers)]
        with pytest.raises(KeptConnectionLost):
            await client.post(f"{url}/lost", content=b"x", timeout=5)
        for n in range(count):
            response = await client.post(f"{url}/{n}", content=b"x", timeout=5)
            assert f"/{n}".encode() == response.content


async def test_when_ten_posts_meet_ten_dead_connections_then_each_is_sent_once() -> None:
    """All ten had left before the first was found dead. Ten GETs are sent twice, and answered."""
    async with faulty_server(slow_echo) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        await keep(server, lambda target: client.get(url + target), 10)
        server.script[:] = [doomed_after(*server.writers)]
        outcomes = await asyncio.gather(
            *(client.post(f"{url}/{n}", content=b"x", timeout=5) for n in range(10)),
            return_exceptions=True,
        )
        after = await client.post(f"{url}/after", content=b"x", timeout=5)

    assert {KeptConnectionLost} == {type(outcome) for outcome in outcomes}
    assert b"/after" == after.content
    assert sorted([f"/{n}" for n in range(10)] + ["/after"]) == sorted(
        one.target for one in server.requests[10:]
    )


async def test_when_ten_gets_meet_ten_dead_connections_then_all_are_answered() -> None:
    """Each of them tries once more, on a new connection."""
    async with (
        faulty_server(slow_echo) as server,
        real_api(f"http://127.0.0.1:{server.port}") as api,
    ):
        await keep(server, lambda path: fetch(api, "GET", path), 10)
        server.script[:] = [doomed_after(*server.writers)]
        bodies = await asyncio.gather(*(fetch(api, "GET", f"/{n}") for n in range(10)))

    assert [f"/{n}".encode() for n in range(10)] == bodies


async def test_when_a_connection_dies_in_the_middle_of_an_answer_then_it_was_alive() -> None:
    """Something of the answer has come, so the server was alive when it read the request."""

    async def behave(exchange: Exchange) -> None:
        if exchange.request.target == "/first":
            await echo(exchange)
        else:
            await exchange.send(b"HTTP/1.1 2")
            exchange.close()

    async with faulty_server(behave) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        await client.get(f"{url}/first")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"{url}/second", timeout=5)


async def test_when_kept_connections_end_then_their_descriptors_are_freed_without_a_call() -> None:
    """An end that is noticed costs nobody anything until the sweep."""
    async with faulty_server(slow_echo) as server, client_of() as client:
        url = f"http://127.0.0.1:{server.port}"
        await keep(server, lambda target: client.get(url + target), 10)
        await end_all(server, close, is_noticed=True)

        assert await until(lambda: server.open_connections == 0)
