"""How much of what a slow API could answer its callers get, when more come than it can serve.

Callers come at random moments, whatever became of those before them, and each has a deadline. An
answer counts if it came in time. A pool's places could give so many answers a second, and no more:
a call that gets its place too late to be answered takes it from one who would have been.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from azure_function_app.aws_api.client import ApiRequest
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.deadline import Deadline
from azure_function_app.errors import BridgeError
from benchmarks.client.clients import (
    AIOHTTP,
    BRIDGE_API,
    HTTPX_AIOHTTP,
    Client,
    Get,
    build_api,
    check,
)
from benchmarks.client.upstream import slow_path
from shared.clock import SystemClock

SECONDS: Final = 12.0
"""A multiple of each constant latency: the places can come free all at once."""
_WARM_UP_SECONDS: Final = 2.0
_WAITING: Final = 64
"""As `WAITING_CALLS` has it by default; the others have no bound."""
_SEED: Final = 7
_CLOCK: Final = SystemClock()

GOODPUT_CLIENTS: Final = (BRIDGE_API, AIOHTTP, HTTPX_AIOHTTP)


@dataclass(frozen=True, slots=True)
class Setting:
    """A slow API, and the callers that it gets."""

    places: int
    quickest_ms: int
    slowest_ms: int
    deadline_seconds: float

    @property
    def possible_per_second(self) -> float:
        """How many answers a second the places can give."""
        return self.places / (self.quickest_ms + self.slowest_ms) * 2_000

    @property
    def title(self) -> str:
        """The setting in one line."""
        latency = f"{self.quickest_ms / 1000:g}"
        if self.slowest_ms != self.quickest_ms:
            latency += f" to {self.slowest_ms / 1000:g}"
        return f"{self.places} places, {latency} s, {self.deadline_seconds:g} s"


PROMISED: Final = Setting(8, 600, 600, 1.0)
_SETTINGS: Final = (
    (PROMISED, (2.0, 4.0, 10.0)),
    (Setting(4, 200, 400, 0.5), (4.0,)),
    (Setting(16, 2_000, 2_000, 3.0), (4.0,)),
)


@dataclass(frozen=True, slots=True)
class Goodput:
    """What each client made of one setting."""

    setting: Setting
    load: float
    """How many times as many callers come as the places can serve."""
    shares: dict[str, float]
    """By client: answers in time, as a share of what the places could give."""


async def measure_goodput(
    origin: str, seconds: float, show: Callable[[str], None]
) -> tuple[Goodput, ...]:
    """Each setting, with all clients at once: with a slow API the machine has little to do."""
    measured = []
    for setting, loads in _SETTINGS:
        for load in loads:
            show(f"goodput, {setting.title}, {load:g} times the load")
            shares = await asyncio.gather(
                *(_share(client, origin, setting, load, seconds) for client in GOODPUT_CLIENTS)
            )
            by_name = {
                client.name: share for client, share in zip(GOODPUT_CLIENTS, shares, strict=True)
            }
            measured.append(Goodput(setting, load, by_name))
    return tuple(measured)


async def _share(
    client: Client, origin: str, setting: Setting, load: float, seconds: float
) -> float:
    # The same moments for each client.
    moments = random.Random(_SEED)  # noqa: S311 - no secret
    path = slow_path(setting.quickest_ms, setting.slowest_ms)
    begins = perf_counter() + max(_WARM_UP_SECONDS, 2 * setting.deadline_seconds)
    ends = begins + seconds
    answered = 0

    async def call(get: Get) -> None:
        nonlocal answered
        if await _is_answered(get, path, setting.deadline_seconds) and (
            begins <= perf_counter() < ends
        ):
            answered += 1

    async with AsyncExitStack() as closing:
        get = await closing.enter_async_context(_opened(client, origin, setting))
        callers = await closing.enter_async_context(asyncio.TaskGroup())
        comes = perf_counter()
        while comes < ends:
            callers.create_task(call(get))
            comes += moments.expovariate(load * setting.possible_per_second)
            await asyncio.sleep(max(0.0, comes - perf_counter()))
    return answered / (setting.possible_per_second * seconds)


@asynccontextmanager
async def _opened(client: Client, origin: str, setting: Setting) -> AsyncIterator[Get]:
    """The client, whose every call has the setting's deadline."""
    if client is not BRIDGE_API:
        async with client.open(origin, setting.places) as get:

            async def get_in_time(path: str) -> None:
                async with asyncio.timeout(setting.deadline_seconds):
                    await get(path)

            yield get_in_time
        return
    api = build_api(
        origin,
        build_client(connections=setting.places, waiting=_WAITING, connect_seconds=3.0),
    )

    async def fetch(path: str) -> None:
        deadline = Deadline.after(setting.deadline_seconds, _CLOCK)
        response = await api.fetch(ApiRequest("GET", path), deadline=deadline)
        check(response.status_code, response.content)

    try:
        yield fetch
    finally:
        await api.aclose()


async def _is_answered(get: Get, path: str, seconds: float) -> bool:
    begun = perf_counter()
    try:
        await get(path)
    except (TimeoutError, BridgeError):
        return False
    return perf_counter() - begun <= seconds
