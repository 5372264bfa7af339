"""PostgreSQL, a real server: the promises of every store, and what only it can go wrong with."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from azure_function_app.stores.postgres.store import PostgresStore
from azure_function_app.sync.sync_store import SyncStore
from emulator.postgres import Postgres
from tests.support.one_transaction_promises import OneTransactionPromises
from tests.support.postgres import postgres_store
from tests.support.sync_store_promises import (
    SetAside,
    Store,
    Stored,
    SyncStorePromises,
)


@pytest.fixture
def schema() -> str:
    """Where this test's tables are."""
    return f"t{uuid4().hex[:12]}"


def query(postgres: Postgres, schema: str, sql: str, *values: object) -> list[Any]:
    """What another connection sees."""

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(
            host=postgres.host,
            port=postgres.port,
            user=postgres.user,
            database=postgres.database,
            ssl=False,
            server_settings={"search_path": schema},
        )
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    # In a thread, because the test's own loop is running.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result()


@dataclass
class PostgresPlace:
    """A schema, and the stores that were opened on it."""

    postgres: Postgres
    schema: str
    stores: list[PostgresStore] = field(default_factory=list[PostgresStore])

    def open(self) -> PostgresStore:
        """Another store on the schema."""
        self.stores.append(postgres_store(self.postgres, self.schema))
        return self.stores[-1]

    def as_sync_store(self, store: Store) -> SyncStore:
        """The store itself: it takes in page and checkpoint at once."""
        assert isinstance(store, PostgresStore)
        return store

    def tables(self) -> set[str]:
        """The tables that are there."""
        rows = self._query("SELECT tablename FROM pg_tables WHERE schemaname = $1", self.schema)
        return {name for (name,) in rows}

    def records(self) -> dict[str, Stored]:
        """The records by ID."""
        return {
            row["id"]: Stored(row["version"], row["updated_at"], row["deleted"], row["data"])
            for row in self._query("SELECT * FROM records")
        }

    def set_aside(self) -> list[SetAside]:
        """What was set aside."""
        rows = self._query("SELECT id, reason, raw, run_id FROM poison")
        return [SetAside(*row) for row in rows]

    def refuse_long_times(self) -> None:
        """Refuse them as a constraint of somebody's own might."""
        self._query("ALTER TABLE records ADD CONSTRAINT short CHECK (length(updated_at) < 30000)")

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint."""
        self._query("DELETE FROM state WHERE name = 'checkpoint'")

    def put_checkpoint(self, text: str) -> None:
        """Put another text there."""
        self._query("UPDATE state SET value = $1 WHERE name = 'checkpoint'", text)

    def _query(self, sql: str, *values: object) -> list[Any]:
        return query(self.postgres, self.schema, sql, *values)


@pytest.fixture
async def place(postgres: Postgres, schema: str) -> AsyncIterator[PostgresPlace]:
    """A schema that no store has made yet."""
    place = PostgresPlace(postgres, schema)
    yield place
    for store in place.stores:
        await store.aclose()


class TestPostgresStore(SyncStorePromises, OneTransactionPromises):
    """The promises, in a schema."""
