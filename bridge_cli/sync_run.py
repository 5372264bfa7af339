"""Starts the Function App's sync job, and sees from its reports when it is done."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, assert_never

from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import SyncReport, SyncStatus
from bridge_cli.local_client import LocalClient
from shared.clock import Clock

_RUN_SECONDS: Final = 240.0
_POLL_SECONDS: Final = 0.1


class SyncFailedError(Exception):
    """The sync job failed or did not end; the message says how to find out why."""

    code = "sync_failed"


async def sync_to_end(
    client: LocalClient, store: SqliteStore, clock: Clock, watch: Callable[[], None]
) -> SyncReport:
    """Run the sync until it reaches the end of the feed, and return the last run's report.

    A run whose time was up, or that another one superseded, is followed by the next.
    `watch` is called several times a second meanwhile.

    Raises:
        SyncFailedError: a run failed, or the end was not reached within four minutes.

    """
    give_up_at = clock.monotonic() + _RUN_SECONDS
    known = await store.load_report()
    await client.start_sync()
    while True:
        if clock.monotonic() >= give_up_at:
            raise SyncFailedError(f"the sync job was not over after {_RUN_SECONDS:.0f} seconds")
        await asyncio.sleep(_POLL_SECONDS)
        watch()
        report = await store.load_report()
        if report is None or report == known:
            continue
        match report.status:
            case SyncStatus.COMPLETE:
                return report
            case SyncStatus.FAILED:
                raise SyncFailedError(f"the sync job failed: {report.error_code}")
            case SyncStatus.HELD:
                raise SyncFailedError(
                    f"the sync job is held: {report.records_missing} records would be marked as"
                    " deleted; `bridge sync --accept-deletions` lets it"
                )
            case SyncStatus.PAUSED | SyncStatus.SUPERSEDED:
                known = report
                await client.start_sync()
            case _:
                assert_never(report.status)


@asynccontextmanager
async def opened_store(path: Path) -> AsyncIterator[SqliteStore]:
    """Open the Function App's store until the block ends, to look into it from outside."""
    store = SqliteStore(path)
    try:
        yield store
    finally:
        await store.aclose()
