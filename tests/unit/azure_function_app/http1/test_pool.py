import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from azure_function_app.http1.connection import Connection
from azure_function_app.http1.origin import Origin
from azure_function_app.http1.pool import KEEP_ALIVE_SECONDS, ConnectionPool
from tests.support.fake_connection import FakeTransport

HERE = Origin("https", "api.example", 443)
THERE = Origin("https", "other.example", 443)
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Timers:
    """A clock that moves when told, and calls what is due then."""

    def __init__(self) -> None:
        """Start at zero."""
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> "Timers":
        """Take a callback; the handle is this."""
        self.due.append((when, callback))
        return self

    def cancel(self) -> None:
        """Call none of them."""
        self.due.clear()

    def advance(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        due, self.due = self.due, []
        for when, callback in due:
            if when <= self.now:
                callback()
            else:
                self.due.append((when, callback))


class Connections:
    """A pool on such a clock, and connections to put in it."""

    def __init__(self, stack: ExitStack) -> None:
        """Begin empty."""
        self.timers = Timers()
        self.pool = ConnectionPool(cast("asyncio.AbstractEventLoop", self.timers))
        self.transports: dict[Connection, FakeTransport] = {}
        self._stack = stack

    def used(self, origin: Origin = HERE) -> Connection:
        """A new connection whose exchange is over, and not given back yet."""
        connection = Connection(asyncio.get_running_loop())
        self.transports[connection] = self._stack.enter_context(FakeTransport(connection))
        self.pool.add(origin, connection)
        connection.begin(is_head=False)
        connection.end_request()
        connection.data_received(GOOD)
        return connection

    def idle(self, origin: Origin = HERE) -> Connection:
        """A new connection that is kept."""
        connection = self.used(origin)
        self.pool.give_back(origin, connection)
        return connection

    def is_closed(self, connection: Connection) -> bool:
        """Return whether it was ended."""
        return self.transports[connection].is_aborted


@pytest.fixture
def connections() -> Iterator[Connections]:
    """An empty pool."""
    with ExitStack() as stack:
        yield Connections(stack)


async def test_when_several_are_kept_then_the_newest_is_taken_first(
    connections: Connections,
) -> None:
    """So that the others grow old and are closed."""
    first, second = connections.idle(), connections.idle()

    assert [second, first, None] == [connections.pool.take(HERE) for _ in range(3)]


async def test_when_one_is_kept_for_another_server_then_it_is_not_taken(
    connections: Connections,
) -> None:
    """Scheme, host and port are the server."""
    connections.idle(THERE)

    assert connections.pool.take(HERE) is None
    assert connections.pool.take(THERE._replace(port=8443)) is None
    assert connections.pool.take(THERE._replace(scheme="http")) is None


@pytest.mark.parametrize(("seconds", "is_taken"), [(-0.001, True), (0.0, False), (1.0, False)])
async def test_when_one_was_kept_for_long_then_it_is_not_taken(
    connections: Connections, seconds: float, *, is_taken: bool
) -> None:
    """The server may be closing it just now, also where the sweep has not come round."""
    connection = connections.idle()
    connections.timers.now += KEEP_ALIVE_SECONDS + seconds

    assert (connection if is_taken else None) is connections.pool.take(HERE)
    assert is_taken is not connections.is_closed(connection)


async def test_when_time_passes_then_the_old_ones_are_swept_and_the_young_ones_stay(
    connections: Connections,
) -> None:
    """The sweep comes back until nothing is kept, and again when something is."""
    old, other = connections.idle(), connections.idle(THERE)
    assert [KEEP_ALIVE_SECONDS] == [when for when, _ in connections.timers.due]
    connections.timers.advance(KEEP_ALIVE_SECONDS / 2)
    young = connections.idle()
    connections.timers.advance(KEEP_ALIVE_SECONDS / 2)

    assert [True, True, False] == [connections.is_closed(one) for one in (old, other, young)]
    assert [KEEP_ALIVE_SECONDS * 1.5] == [when for when, _ in connections.timers.due]
    connections.timers.advance(KEEP_ALIVE_SECONDS / 2)
    assert connections.is_closed(young)
    assert [] == connections.timers.due
    late = connections.idle()
    # A loop calls a timer a moment after its time.
    connections.timers.advance(KEEP_ALIVE_SECONDS + 0.001)
    assert connections.is_closed(late)


async def test_when_one_is_used_again_and_again_then_the_sweep_does_not_take_it(
    connections: Connections,
) -> None:
    """Its age counts from when it was given back."""
    connection = connections.idle()
    for _ in range(10):
        connections.timers.advance(KEEP_ALIVE_SECONDS * 0.6)
        assert connection is connections.pool.take(HERE)
        connection.begin(is_head=False)
        connection.end_request()
        connection.data_received(GOOD)
        connections.pool.give_back(HERE, connection)

    assert not connections.is_closed(connection)
    assert len(connections.timers.due) <= 1


@pytest.mark.parametrize("how", ["lost", "closing", "unread"])
async def test_when_a_kept_one_is_dead_then_the_next_one_is_taken(
    connections: Connections, how: str
) -> None:
    """Whether the loop knows of it or only the kernel."""
    alive, dead = connections.idle(), connections.idle()
    match how:
        case "lost":
            connections.transports[dead].lose()
        case "closing":
            dead.abort()
        case _:
            connections.transports[dead].arrive_unread(b"x")

    assert [alive, None] == [connections.pool.take(HERE) for _ in range(2)]
    assert connections.is_closed(dead)


@pytest.mark.parametrize("is_used", [True, False])
async def test_when_a_connection_has_ended_then_nothing_of_it_is_held(
    connections: Connections, *, is_used: bool
) -> None:
    """A process that runs for weeks opens many, and most are ended by the server."""
    ended = connections.used() if is_used else connections.idle()
    other = connections.idle()
    connections.transports[ended].lose()
    connections.pool.give_back(HERE, ended)

    assert {other} == connections.pool._all
    assert [other] == list(connections.pool._idle[HERE])


async def test_when_one_cannot_be_used_again_then_it_is_not_kept(
    connections: Connections,
) -> None:
    """Its exchange is not over."""
    connection = connections.used()
    connection.data_received(b"x")
    connections.pool.give_back(HERE, connection)

    assert connections.is_closed(connection)
    assert connections.pool.take(HERE) is None


async def test_when_the_idle_ones_are_closed_then_those_in_use_and_of_others_stay(
    connections: Connections,
) -> None:
    """Only what is kept for this server is in doubt."""
    idle, used, other = connections.idle(), connections.used(), connections.idle(THERE)
    connections.pool.close_idle(HERE)
    connections.pool.close_idle(HERE)

    assert [True, False, False] == [connections.is_closed(one) for one in (idle, used, other)]
    assert other is connections.pool.take(THERE)


async def test_when_the_pool_is_closed_then_all_are_and_none_is_kept_or_added(
    connections: Connections,
) -> None:
    """Those in use included; it waits until they are gone, and arms no timer."""
    old = [connections.idle(), connections.used()]
    closing = asyncio.create_task(connections.pool.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    assert all(connections.is_closed(connection) for connection in old)
    for connection in old:
        connections.transports[connection].lose(has_ended=False)
    await closing
    late = Connection(asyncio.get_running_loop())
    with FakeTransport(late) as transport:
        connections.pool.add(HERE, late)

        assert transport.is_aborted
    assert [] == connections.timers.due
