"""Whether a client's pool still works after its callers' deadlines have cancelled requests."""

import asyncio
import random
from typing import Final

from benchmarks.client.clients import PATH, Client, Get
from benchmarks.client.upstream import SLOW_PATH, SLOW_SECONDS, STALL_PATH

CANCELLED: Final = 1_000
PROBES: Final = 20
_CONNECTIONS: Final = 10
_AT_ONCE: Final = 100
_PROBE_SECONDS: Final = 2.0
_STALLED_SECONDS: Final = 0.02
_SEED: Final = 7


async def measure_recovery(client: Client, origin: str) -> int:
    """How many of twenty probes the client answers after a thousand cancelled requests.

    Half of them are cancelled while the server says nothing, half at any moment of a request that
    is being answered: while it waits for a connection, is sent, read, or just done.
    """
    async with client.open(origin, _CONNECTIONS) as get:
        for _ in range(CANCELLED // 2 // _AT_ONCE):
            await asyncio.gather(
                *(_is_cut_short(get, STALL_PATH, _STALLED_SECONDS) for _ in range(_AT_ONCE))
            )
        await _cancel_at_any_moment(get, CANCELLED // 2)
        answers = await asyncio.gather(*(_is_answered(get) for _ in range(PROBES)))
    return sum(answers)


async def _cancel_at_any_moment(get: Get, times: int) -> None:
    # The same moments for each client, run for run.
    moments = random.Random(_SEED)  # noqa: S311 - no secret
    longest = 2 * SLOW_SECONDS * _AT_ONCE / _CONNECTIONS
    cancelled = 0

    async def caller() -> None:
        nonlocal cancelled
        while cancelled < times:
            # Not in one statement, which would add to the count of before the await.
            is_cut_short = await _is_cut_short(get, SLOW_PATH, moments.uniform(0, longest))
            cancelled += is_cut_short

    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))


async def _is_cut_short(get: Get, path: str, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await get(path)
    except TimeoutError:
        return True
    return False


async def _is_answered(get: Get) -> bool:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await get(PATH)
    except Exception:  # noqa: BLE001 - each client has errors of its own, and any is no answer
        return False
    return True
