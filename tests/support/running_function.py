"""The whole Function App for tests, in the host that it ships for, with a made-up token."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from emulator.functions_host.process import FunctionsHostProcess, start_functions_host
from emulator.stack_options import function_app_python
from shared.clock import SystemClock
from tests.support.faulty_server import answer, faulty_server

CHECKOUT = Path(__file__).parents[2]


@asynccontextmanager
async def running_function(
    folder: Path, api_port: int, **settings: str
) -> AsyncIterator[FunctionsHostProcess]:
    """This checkout's Function App, calling the API on that port of ours."""
    token = {
        "access_token": "made-up.access.token",
        "expires_on": str(int(SystemClock().now()) + 3600),
        "resource": "api://bridge",
        "token_type": "Bearer",
    }
    tells_token = answer(200, json.dumps(token).encode(), ("Content-Type", "application/json"))
    async with faulty_server(tells_token) as identity:
        host = await start_functions_host(
            CHECKOUT,
            function_app_python(CHECKOUT),
            0,
            {
                "AWS_API_BASE_URL": f"http://127.0.0.1:{api_port}/local",
                "ENTRA_TENANT_ID": "11111111-2222-4333-8444-555555555555",
                "API_CLIENT_ID": "aaaaaaaa-0000-4000-8000-000000000001",
                "API_APP_ID_URI": "api://bridge",
                "SYNC_SCHEDULE": "0 0 0 1 1 *",
                "SQLITE_PATH": str(folder / "records.sqlite3"),
                "IDENTITY_ENDPOINT": f"http://127.0.0.1:{identity.port}/token",
                "IDENTITY_HEADER": "made-up",
            }
            | settings,
            folder / "host.log",
            kind="emulated",
        )
        try:
            yield host
        finally:
            await asyncio.to_thread(host.stop, 5)
