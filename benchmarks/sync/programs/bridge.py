"""The bridge: its sync job over its own client stack and its own stores, with a made-up token.

`python -m benchmarks.sync.programs.bridge ORIGIN sqlite FILE`, or `... ORIGIN table ENDPOINT
PREFIX`.
"""

import asyncio
import random
import secrets
import sys
from pathlib import Path
from typing import Final
from uuid import uuid4

from azure_function_app.aws_api.circuit_breaker import CircuitBreaker
from azure_function_app.aws_api.client import ApiClient
from azure_function_app.aws_api.destination import Destination
from azure_function_app.aws_api.direct_client import build_client
from azure_function_app.aws_api.retry import Retrier
from azure_function_app.aws_api.retry_budget import RetryBudget
from azure_function_app.call_trace import Tracer
from azure_function_app.declared_settings import SYNC_PAGE_SIZE
from azure_function_app.identity.access_token import AccessToken
from azure_function_app.identity.token_provider import TokenProvider
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.change_feed import ChangeFeed
from azure_function_app.sync.checkpoint_store import SyncStatus
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.sync_store import StoresInOrder, SyncStore
from benchmarks.sync.programs.measured import MADE_UP_TOKEN, measured
from shared.clock import SystemClock

_CLOCK: Final = SystemClock()
_CONNECTIONS: Final = 4
_WAITING: Final = 16
_RUN_SECONDS: Final = 3_600.0
_PAGE_SECONDS: Final = 30.0


def _no_credential() -> object:
    raise AssertionError("Azurite needs none")


def _build_api(origin: str) -> ApiClient:
    return ApiClient(
        destination=Destination.parse(origin),
        client=build_client(connections=_CONNECTIONS, waiting=_WAITING, connect_seconds=3.0),
        token_provider=TokenProvider(
            lambda: AccessToken(MADE_UP_TOKEN, _CLOCK.now() + 86_400),
            clock=_CLOCK,
            random=random.random,
            wait_seconds=5.0,
        ),
        retrier=Retrier(
            budget=RetryBudget(_CLOCK), clock=_CLOCK, random=random.random, sleep=asyncio.sleep
        ),
        breaker=CircuitBreaker(clock=_CLOCK, random=random.random),
    )


def _build_store(kind: str, *place: str) -> tuple[SyncStore, SqliteStore | TableStore]:
    if kind == "sqlite":
        sqlite = SqliteStore(Path(place[0]))
        return sqlite, sqlite
    endpoint, prefix = place
    table = build_table_store(endpoint, _no_credential, prefix=prefix)
    return StoresInOrder(table, table), table


async def _load(origin: str, *place: str) -> None:
    api = _build_api(origin)
    store, closable = _build_store(*place)
    job = SyncJob(
        source=ChangeFeed(api, _CLOCK, Tracer(secrets.token_hex)),
        store=store,
        clock=_CLOCK,
        new_run_id=lambda: str(uuid4()),
        page_size=SYNC_PAGE_SIZE.parse(SYNC_PAGE_SIZE.default or ""),
        run_seconds=_RUN_SECONDS,
        page_seconds=_PAGE_SECONDS,
        deletion_limit=DeletionLimit(0.2),
    )
    try:
        report = await job.run()
    finally:
        await closable.aclose()
        await api.aclose()
    if report.status is not SyncStatus.COMPLETE:
        raise RuntimeError(report.status)


if __name__ == "__main__":
    with measured():
        asyncio.run(_load(*sys.argv[1:]))
