"""What the whole Function App adds: HTTP in, the worker, the proxy, a token, HTTP out.

The app runs as it does locally, in Microsoft's worker library behind this project's Functions host,
which is not Azure's: compare the rows with each other, not with a deployment. What host and worker
cost alone is in the row of a request that the function answers without calling the API.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp

from benchmarks.client.load import Sample, drive, median_sample
from emulator.entra.directory import ApiRegistration, Directory, ManagedIdentity
from emulator.entra.local_entra import LocalEntra
from emulator.functions_host.process import FunctionsHostProcess, start_functions_host
from shared.routes import Role

_REPO_ROOT: Final = Path(__file__).resolve().parents[2]
_APP_PYTHON: Final = _REPO_ROOT / ".tools" / "function-app" / "bin" / "python"
STAGE: Final = "/prod"
"""What the API's paths begin with."""
PROXY_PREFIX: Final = "/api/aws"
"""What the proxy's paths begin with."""
_PATH: Final = "/v1/records"
_API_CLIENT_ID: Final = "a9100000-0000-4000-8000-000000000001"
_DIRECTORY: Final = Directory(
    tenant_id="5e6f0000-0000-4000-8000-000000000001",
    api=ApiRegistration(
        _API_CLIENT_ID, f"api://{_API_CLIENT_ID}", app_roles=frozenset({Role.READ})
    ),
    system_assigned=ManagedIdentity(
        "function-app",
        "c0de0000-0000-4000-8000-000000000001",
        "0b1d0000-0000-4000-8000-000000000001",
        roles=frozenset({Role.READ}),
    ),
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to an answer."""

    name: str
    title: str
    method: str
    url: str


@dataclass(frozen=True, slots=True)
class WholeFunction:
    """The ways' samples, by concurrency and name."""

    ways: tuple[Way, ...]
    samples: dict[int, dict[str, Sample]]
    added_p50_ms: float
    """The median over the rounds of what the function's median is above the API's own."""
    added_p99_ms: float


async def measure_whole_function(
    origin: str,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    concurrencies: tuple[int, ...],
    show: Callable[[str], None],
) -> WholeFunction:
    """The same requests straight to the API and through the function, in turns."""
    async with running_function(origin, folder) as host:
        function_url = f"{host.url}{PROXY_PREFIX}{_PATH}"
        ways = (
            Way("direct", "straight to the API", "GET", origin + STAGE + _PATH),
            Way("answered", "the function alone (OPTIONS)", "OPTIONS", function_url),
            Way("function", "through the function", "GET", function_url),
        )
        taken: dict[int, dict[str, list[Sample]]] = {
            concurrency: {way.name: [] for way in ways} for concurrency in concurrencies
        }
        for number in range(rounds):
            for concurrency in concurrencies:
                for way in ways:
                    show(f"function, round {number + 1} of {rounds}, {concurrency} at once")
                    sample = await _measure_way(way, concurrency, seconds)
                    taken[concurrency][way.name].append(sample)
    one = taken[concurrencies[0]]
    pairs = list(zip(one["function"], one["direct"], strict=True))
    return WholeFunction(
        ways=ways,
        samples={
            concurrency: {name: median_sample(samples) for name, samples in by_name.items()}
            for concurrency, by_name in taken.items()
        },
        added_p50_ms=median(through.p50_ms - direct.p50_ms for through, direct in pairs),
        added_p99_ms=median(through.p99_ms - direct.p99_ms for through, direct in pairs),
    )


async def _measure_way(way: Way, concurrency: int, seconds: float) -> Sample:
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        return await drive(partial(_call, session, way), concurrency, seconds)


async def _call(session: aiohttp.ClientSession, way: Way) -> None:
    async with session.request(way.method, way.url) as response:
        await response.read()
        response.raise_for_status()


@asynccontextmanager
async def running_function(
    origin: str, folder: Path, **changed: str
) -> AsyncIterator[FunctionsHostProcess]:
    """The Function App as it ships, calling that API with tokens of the local Entra ID."""
    async with LocalEntra.start(_DIRECTORY, folder=folder) as entra:
        settings = {
            "AWS_API_BASE_URL": origin + STAGE,
            "ENTRA_TENANT_ID": _DIRECTORY.tenant_id,
            "ENTRA_AUTHORITY": entra.authority,
            "API_CLIENT_ID": _API_CLIENT_ID,
            "CREDENTIAL": "managed_identity",
            "IDENTITY_ENDPOINT": entra.identity_endpoint,
            "IDENTITY_HEADER": entra.identity_header,
            "SQLITE_PATH": str(folder / "records.sqlite3"),
            "SYNC_SCHEDULE": "0 0 0 1 1 *",
        }
        host = await start_functions_host(
            _REPO_ROOT,
            _APP_PYTHON,
            0,
            settings | changed,
            folder / "function-app.log",
            kind="emulated",
        )
        try:
            yield host
        finally:
            host.stop()
