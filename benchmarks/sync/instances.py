"""The sync past one process: how much faster four instances of the Function App load than one.

Each instance is the app as it ships, in Microsoft's worker library under this project's Functions
host. They share a queue on Azurite and a sink in PostgreSQL, and the same four messages are what
one instance works on in turn and four at once. The source answers a page after a fixed time, as a
real API Gateway with a Lambda function behind it does, because this measures whether instances wait
at the same time, and not how many processors the machine has.
"""

import asyncio
import contextlib
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

from azure_function_app.functions.sync_shards import CONNECTION
from azure_function_app.stores.postgres.connections import Server
from azure_function_app.stores.postgres.store import build_postgres_store
from azure_function_app.sync.checkpoint_store import SyncReport, SyncStatus
from benchmarks.client.whole_function import running_function
from benchmarks.sync.contenders import REPO_ROOT, BenchmarkFailed
from benchmarks.sync.sinks import digest_postgres
from benchmarks.sync.source import Source
from emulator.azurite import Azurite, AzuritePrograms
from emulator.functions_host.process import FunctionsHostProcess
from emulator.postgres import Postgres, PostgresPrograms
from shared.clock import SystemClock

RECORDS: Final = 50_000
SHARDS: Final = 4
PAGE_SECONDS: Final = 0.2
"""What the source takes for a page."""
MANY: Final = 4
_LOADED_WITHIN_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.1
_READY_WITHIN_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class InstanceLoads:
    """What the same first load took, in seconds from the timer's tick to the last shard's end."""

    records: int
    one: float
    many: float

    @property
    def ratio(self) -> float:
        """Return how many times as fast as one instance the many are."""
        return self.one / self.many


def measure_instances(
    show: Callable[[str], None], *, records: int = RECORDS, page_seconds: float = PAGE_SECONDS
) -> InstanceLoads:
    """Return what one instance took, and then what four took.

    Raises:
        BenchmarkFailed: a load did not end, or the sink does not hold what the source has.
        AzuriteError, FunctionsHostError, PostgresError: a part did not start.

    """
    seconds = []
    with Source(records, shards=SHARDS, page_seconds=page_seconds) as source:
        for count in (1, MANY):
            show(f"PostgreSQL, {records:,} in {SHARDS} shards: instances, {count} of them")
            with _storage() as (azurite, postgres, folder):
                seconds.append(asyncio.run(_load(count, source, azurite, postgres, folder)))
                stored, expected = digest_postgres(postgres), source.digest()
            if stored != expected:
                raise BenchmarkFailed(
                    f"{count} instances: the sink holds {stored}, the source {expected}"
                )
    return InstanceLoads(records, *seconds)


@contextmanager
def _storage() -> Iterator[tuple[Azurite, Postgres, Path]]:
    clock, tools = SystemClock(), REPO_ROOT / ".tools"
    with TemporaryDirectory(prefix="bench-sync-") as name, contextlib.ExitStack() as running:
        folder = Path(name)
        azurite = Azurite.start(AzuritePrograms.under(tools), folder, clock=clock, sleep=time.sleep)
        running.callback(azurite.stop)
        postgres = Postgres.start(
            PostgresPrograms.under(tools), folder, clock=clock, sleep=time.sleep
        )
        running.callback(postgres.stop)
        yield azurite, postgres, folder


async def _load(
    count: int, source: Source, azurite: Azurite, postgres: Postgres, folder: Path
) -> float:
    settings = {
        "SYNC_FAN_OUT": "true",
        "RECORD_STORE": "postgres",
        "POSTGRES_HOST": postgres.host,
        "POSTGRES_PORT": str(postgres.port),
        "POSTGRES_DATABASE": postgres.database,
        "POSTGRES_USER": postgres.user,
        CONNECTION: azurite.connection_string,
    }
    async with AsyncExitStack() as running:
        hosts: list[FunctionsHostProcess] = []
        for number in range(count):
            own = folder / f"instance-{number}"
            own.mkdir()
            hosts.append(
                await running.enter_async_context(running_function(source.origin, own, **settings))
            )
        for host in hosts:
            # So that each has its settings, its connections and its tables.
            await asyncio.to_thread(_get, f"{host.url}/api/health")
        started = perf_counter()
        await asyncio.to_thread(_start_timer, hosts[0])
        await _until_loaded(postgres)
        return perf_counter() - started


async def _until_loaded(postgres: Postgres) -> None:
    store = build_postgres_store(
        Server(postgres.host, postgres.port, postgres.database, postgres.user),
        clock=SystemClock(),
        build_tls=_not_asked_for,
        request_token=_not_asked_for,
    )
    try:
        async with asyncio.timeout(_LOADED_WITHIN_SECONDS):
            while _completed(reports := await store.load_reports()) < SHARDS:
                if any(report.status is SyncStatus.FAILED for report in reports):
                    raise BenchmarkFailed(f"a run failed: {reports[0].error_code}")
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise BenchmarkFailed("the instances did not come to the end of the feed") from error
    finally:
        await store.aclose()


def _completed(reports: Sequence[SyncReport]) -> int:
    """Return how many shards were read to their ends."""
    complete = {report.shard for report in reports if report.status is SyncStatus.COMPLETE}
    return len(complete - {None})


def _not_asked_for() -> Any:  # noqa: ANN401 - no certificate, no token
    raise AssertionError("a server on this machine is asked for no certificate and sent no token")


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=_READY_WITHIN_SECONDS):  # noqa: S310 - http on loopback
        pass


def _start_timer(host: FunctionsHostProcess) -> None:
    request = urllib.request.Request(  # noqa: S310 - http on loopback
        f"{host.url}/admin/functions/sync_timer",
        data=b'{"input": ""}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_READY_WITHIN_SECONDS):  # noqa: S310 - as above
        pass
