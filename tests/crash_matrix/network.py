"""The API and Table Storage as a run meets them: through servers that let a request go wrong."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal
from urllib.parse import unquote

from emulator.postgres import Postgres
from tests.crash_matrix.invariants import Watch
from tests.crash_matrix.postgres_wire import PostgresExchange, serve_postgres
from tests.crash_matrix.run_host import Run
from tests.crash_matrix.source import Source, subject_of
from tests.support.faulty_azurite import carrier
from tests.support.faulty_server import Exchange, ReceivedRequest, answer, faulty_server

type Service = Literal["api", "table", "postgres"]
type NetworkFault = Literal[
    "kill_before",
    "kill_after",
    "freeze_before",
    "freeze_after",
    "freeze_replaced",
    "lose_request",
    "lose_answer",
    "tear_answer",
    "throttle",
    "too_many",
    "break_after",
    "double",
    "late",
    "late_end",
    "reorder",
    "stale",
]

READ_SECONDS: Final = 1.0
"""After these a run gives an answer of the API up."""
_LATE_SECONDS: Final = READ_SECONDS + 0.2
_HELD_SECONDS: Final = 0.05
_TOO_LARGE: Final = (
    b"HTTP/1.1 413 Told\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)
_PARTITION: Final = re.compile(r"PartitionKey(?:\": ?\"|=')([^'\"]*)|PartitionKey eq '([^']*)'")
_ROW: Final = re.compile(r"RowKey='([^']*)'")


@dataclass(frozen=True, slots=True)
class NetworkPoint:
    """A request of a run."""

    service: Service
    name: str
    occurrence: int
    """Which of those of that name, from 1."""


@dataclass(slots=True)
class Lockstep:
    """Lets two runs have the API's answers in an order that a seed decides."""

    random: random.Random
    runs: set[str]
    """Those that are not over."""
    _waiting: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    async def turn(self, run: str) -> None:
        """Wait for the run's turn."""
        self._waiting[run] = asyncio.get_running_loop().create_future()
        self._go_on()
        await self._waiting[run]

    def end(self, run: str) -> None:
        """Wait no longer for a run that is over."""
        self.runs.discard(run)
        self._go_on()

    def _go_on(self) -> None:
        waiting = {run: turn for run, turn in self._waiting.items() if not turn.done()}
        if not waiting or not waiting.keys() >= self.runs:
            return
        names = sorted(waiting)
        chosen = names if self.random.random() < 0.3 else [self.random.choice(names)]
        for name in chosen:
            waiting[name].set_result(None)


@dataclass(slots=True)
class Wires:
    """What stands between one run and all that it talks to."""

    name: str
    api_url: str = ""
    table_url: str = ""
    postgres_port: int = 0
    source: Source = field(default_factory=Source)
    watch: Watch | None = None
    run: Run | None = None
    point: NetworkPoint | None = None
    fault: NetworkFault | None = None
    rival: Callable[[bool], Awaitable[None]] | None = None
    """Lets another run go to its end; whether the feed is replaced before."""
    lockstep: Lockstep | None = None
    refused: str | None = None
    table_prefix: str = ""
    was_reached: bool = False
    seen: Counter[tuple[Service, str]] = field(default_factory=Counter)
    _first_answers: dict[str, bytes] = field(default_factory=dict)
    """By what was asked about."""
    _late: list[tuple[str, ReceivedRequest]] = field(default_factory=list)
    _under_way: int = 0
    _carried: asyncio.Event = field(default_factory=asyncio.Event)
    _carry_to_azurite: Callable[[ReceivedRequest], Awaitable[bytes]] | None = None

    def begin(self, source: Source, watch: Watch, table_prefix: str, refused: str | None) -> None:
        """Forget the last run."""
        self.source, self.watch, self.table_prefix = source, watch, table_prefix
        self.refused = refused
        self.run = self.point = self.fault = self.rival = self.lockstep = None
        self.was_reached = False
        self.seen = Counter()
        self._first_answers = {}
        self._late = []

    async def settle(self) -> None:
        """Carry out what is late, and wait for what is under way."""
        while self._under_way:  # noqa: ASYNC110 - only here is waited for it
            await asyncio.sleep(0.001)
        for _, request in self._late:
            await self._carry_table(request)
        self._late = []

    async def serve_api(self, exchange: Exchange) -> None:
        """Answer a request to the API."""
        if self.watch is not None:
            self.watch.look()
        if self.lockstep is not None:
            await self.lockstep.turn(self.name)
        await self._serve("api", "request", exchange, self._carry_api)

    async def serve_table(self, exchange: Exchange) -> None:
        """Answer a request to Table Storage."""
        name = request_name(exchange.request, self.table_prefix)
        await self._serve("table", name, exchange, self._carry_table)
        late = [request for key, request in self._late if key == name and self.fault == "late"]
        if late and self.seen["table", name] > (self.point.occurrence if self.point else 0):
            self._late = []
            for request in late:
                await self._carry_table(request)

    async def serve_postgres(self, name: str, exchange: PostgresExchange) -> None:
        """Let a message of the run's go to PostgreSQL, and the answer back."""
        self.seen["postgres", name] += 1
        here = NetworkPoint("postgres", name, self.seen["postgres", name])
        self._under_way += 1
        try:
            if here != self.point or self.fault is None:
                exchange.give(await exchange.carry())
                return
            self.was_reached = True
            await self._break_postgres(exchange)
        finally:
            self._under_way -= 1

    async def _break_postgres(self, exchange: PostgresExchange) -> None:
        match self.fault:
            case "kill_before":
                await self._the_run.kill()
            case "kill_after":
                await exchange.carry()
                await self._the_run.kill()
            case "freeze_before":
                await self._overtake(replaces=False)
                exchange.give(await exchange.carry())
            case "freeze_after" | "freeze_replaced":
                answer = await exchange.carry()
                await self._overtake(replaces=self.fault == "freeze_replaced")
                exchange.give(answer)
            case "lose_request":
                exchange.cut()
            case "lose_answer":
                await exchange.carry()
                exchange.cut()
            case "tear_answer":
                answer = await exchange.carry()
                exchange.give(answer[: len(answer) // 2])
                await exchange.run.drain()
                exchange.run.close()
                exchange.server.transport.abort()
            case _:
                raise AssertionError(self.fault)

    async def _serve(
        self,
        service: Service,
        name: str,
        exchange: Exchange,
        carry: Callable[[ReceivedRequest], Awaitable[bytes]],
    ) -> None:
        self.seen[service, name] += 1
        here = NetworkPoint(service, name, self.seen[service, name])
        self._under_way += 1
        try:
            if here == self.point and self.fault is not None:
                self.was_reached = True
                await self._go_wrong(exchange, carry, name)
            else:
                await exchange.send(await carry(exchange.request))
        finally:
            self._under_way -= 1
            self._carried.set()

    async def _go_wrong(  # noqa: C901, PLR0912, PLR0915 - a list of what can go wrong
        self,
        exchange: Exchange,
        carry: Callable[[ReceivedRequest], Awaitable[bytes]],
        name: str,
    ) -> None:
        request = exchange.request
        match self.fault:
            case "kill_before":
                await self._the_run.kill()
            case "kill_after":
                await carry(request)
                await self._the_run.kill()
            case "freeze_before":
                await self._overtake(replaces=False)
                await exchange.send(await carry(request))
            case "freeze_after" | "freeze_replaced":
                data = await carry(request)
                await self._overtake(replaces=self.fault == "freeze_replaced")
                await exchange.send(data)
            case "lose_request":
                exchange.reset()
            case "lose_answer":
                await carry(request)
                exchange.reset()
            case "tear_answer":
                data = await carry(request)
                body = len(data.partition(b"\r\n\r\n")[2])
                await exchange.send(data[: len(data) - max(1, body // 2)])
                exchange.close()
            case "throttle":
                await answer(503, b"{}", ("Content-Type", "application/json"))(exchange)
            case "too_many":
                await answer(429, b"{}", ("Content-Type", "application/json"))(exchange)
            case "break_after":
                await carry(request)
                await answer(500, b"{}", ("Content-Type", "application/json"))(exchange)
            case "double":
                await self._double(exchange, carry)
            case "late" if carry == self._carry_api:
                data = await carry(request)
                await asyncio.sleep(_LATE_SECONDS)
                await exchange.send(data)
            case "late" | "late_end":
                self._late.append((name, request))
                exchange.reset()
            case "reorder":
                self._carried.clear()
                try:
                    async with asyncio.timeout(_HELD_SECONDS):
                        await self._carried.wait()
                except TimeoutError:
                    pass
                await exchange.send(await carry(request))
            case "stale":
                data = await carry(request)
                await exchange.send(self._first_answers.get(subject_of(request), data))
            case None:
                raise AssertionError("there is no fault")

    async def _double(
        self, exchange: Exchange, carry: Callable[[ReceivedRequest], Awaitable[bytes]]
    ) -> None:
        first = await carry(exchange.request)
        if carry == self._carry_api:
            await exchange.send(first + first)
            return
        # Carried out twice, and what is heard is what the second one met.
        await exchange.send(await carry(exchange.request))

    async def _overtake(self, *, replaces: bool) -> None:
        assert self.rival is not None
        await self._the_run.freeze()
        await self.rival(replaces)
        self._the_run.wake()

    @property
    def _the_run(self) -> Run:
        assert self.run is not None
        return self.run

    async def _carry_api(self, request: ReceivedRequest) -> bytes:
        reply = self.source.answer(request).to_bytes()
        if b" 200 " in reply[:16]:
            self._first_answers.setdefault(subject_of(request), reply)
        return reply

    async def _carry_table(self, request: ReceivedRequest) -> bytes:
        if self.refused is not None and f'RowKey": "{self.refused}"'.encode() in request.body:
            return _TOO_LARGE
        assert self._carry_to_azurite is not None
        return await self._carry_to_azurite(request)


def request_name(request: ReceivedRequest, table_prefix: str) -> str:
    """Return what a request to Table Storage is called, the same in every trial."""
    target = unquote(request.target).replace(table_prefix, "")
    path = target.partition("?")[0].rpartition("/")[2]
    body = request.body.decode("utf-8", "replace")
    found = _PARTITION.search(target) or _PARTITION.search(body)
    partition = next((group for group in found.groups() if group), "") if found else ""
    row = _ROW.search(target)
    words = [request.method, path.partition("(")[0], partition, row[1] if row else ""]
    return " ".join(word for word in words if word)


@asynccontextmanager
async def wires(
    name: str, azurite_url: str | None, postgres: Postgres | None
) -> AsyncIterator[Wires]:
    """Yield what stands between a run and all that it talks to, while the block lasts."""
    async with AsyncExitStack() as stack:
        between = Wires(name)
        api = await stack.enter_async_context(faulty_server(between.serve_api))
        between.api_url = f"http://127.0.0.1:{api.port}/prod"
        if azurite_url is not None:
            between._carry_to_azurite = await stack.enter_async_context(carrier(azurite_url))
            table = await stack.enter_async_context(faulty_server(between.serve_table))
            account = azurite_url.rpartition("/")[2]
            between.table_url = f"http://127.0.0.1:{table.port}/{account}"
        if postgres is not None:
            serve = partial(serve_postgres, postgres, between.serve_postgres)
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.abort_clients)
            stack.callback(server.close)
            between.postgres_port = server.sockets[0].getsockname()[1]
        yield between
