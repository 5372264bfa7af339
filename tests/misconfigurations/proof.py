"""Shows that a row breaks, what the doctor says of it, and that doing what it says is a repair."""

import asyncio
import json
from typing import Final, assert_never

import httpx

from shared.clock import SystemClock
from tests.misconfigurations.installation import Installation
from tests.misconfigurations.misconfiguration import Misconfiguration

_QUEUE_SECONDS: Final = 6.0
_POLL_SECONDS: Final = 0.1


async def works(on: Installation, row: Misconfiguration) -> str | None:
    """None if what the row breaks works, else what came instead."""
    match row.breaks:
        case "call":
            await on.start_app()
            answer = await on.call()
            is_feed = '"items"' in answer.text
            if httpx.codes.OK == answer.status_code and is_feed:
                return None
            return f"{answer.status_code} {answer.text}"
        case "store":
            code, output, errors = await on.run_bridge("sync", "--json")
            return None if code == 0 else f"{code} {output}{errors}"
        case "queue":
            return await _sync_by_queue(on)
        case _:
            assert_never(row.breaks)


async def _sync_by_queue(on: Installation) -> str | None:
    app = await on.start_app()
    await on.sync_tick()
    clock = SystemClock()
    until = clock.monotonic() + _QUEUE_SECONDS
    health = ""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        while clock.monotonic() < until:
            health = (await client.get(f"{app.url}/api/health")).text
            if json.loads(health).get("last_success"):
                return None
            await asyncio.sleep(_POLL_SECONDS)
    return f"no run was complete: {health}"
