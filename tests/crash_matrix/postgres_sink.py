"""One trial's records and checkpoint in a schema of PostgreSQL, read from outside."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg

from emulator.postgres import Postgres
from tests.crash_matrix.sinks import EMPTY, Addresses, Contents, Row, Sink

_TABLES: Final = ("records", "poison", "state", "runs")
_RECORDS: Final = "SELECT id, generation, version, deleted, data::text FROM records"
_WITHOUT_TABLE: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
_ANSWER_SECONDS: Final = 30.0

type Work[T] = Callable[[Any], Coroutine[Any, Any, T]]


class PostgresWatcher:
    """Asks the server directly, over a connection of its own in a thread of its own.

    The matrix looks in the middle of what it is doing, so each question waits for its answer.
    """

    def __init__(self, postgres: Postgres) -> None:
        """Connect."""
        self.postgres = postgres
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection: Any = self._wait(
            asyncpg.connect(
                host=postgres.host,
                port=postgres.port,
                database=postgres.database,
                user=postgres.user,
                ssl=False,
                # A run that stands still can hold a lock.
                server_settings={"lock_timeout": "200"},
                statement_cache_size=0,
            )
        )

    def ask[T](self, work: Work[T]) -> T:
        """Return what the work returns, given the connection."""
        return self._wait(work(self._connection))

    def close(self) -> None:
        """Disconnect."""
        self._wait(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_ANSWER_SECONDS)


@dataclass(frozen=True, slots=True)
class PostgresSink:
    """A schema."""

    watcher: PostgresWatcher
    schema: str

    @property
    def prefix(self) -> str:
        """Return the schema's name."""
        return self.schema

    def environment(self, addresses: Addresses) -> Mapping[str, str]:
        """Return the settings."""
        postgres = self.watcher.postgres
        return {
            "RECORD_STORE": "postgres",
            "POSTGRES_HOST": postgres.host,
            "POSTGRES_PORT": str(addresses.postgres_port),
            "POSTGRES_DATABASE": postgres.database,
            "POSTGRES_USER": postgres.user,
        }

    def read(self) -> Contents | None:
        """Return what is committed; None while a run has it locked."""

        async def read(connection: Any) -> Contents | None:
            await connection.execute(f'SET search_path = "{self.schema}"')
            try:
                rows = await connection.fetch(_RECORDS)
                poison = await connection.fetch("SELECT id FROM poison")
            except _WITHOUT_TABLE:
                return EMPTY
            except asyncpg.LockNotAvailableError:
                return None
            return Contents(
                tuple(Row(*row.values()) for row in rows), tuple(row["id"] for row in poison)
            )

        return self.watcher.ask(read)

    def copy(self, folder: Path) -> Sink:  # noqa: ARG002 - what others need
        """Return a sink with copies of the rows."""
        copied = new_postgres_sink(self.watcher)

        async def copy(connection: Any) -> None:
            if await connection.fetchval("SELECT to_regclass($1)", f"{self.schema}.state") is None:
                return
            await connection.execute(f'CREATE SCHEMA "{copied.schema}"')
            for table in _TABLES:
                names = await connection.fetchval(
                    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
                    " WHERE attrelid = to_regclass($1) AND attnum > 0 AND attidentity = ''",
                    f"{self.schema}.{table}",
                )
                here, there = f"{self.schema}.{table}", f"{copied.schema}.{table}"
                await connection.execute(f"CREATE TABLE {there} (LIKE {here} INCLUDING ALL)")
                await connection.execute(
                    f"INSERT INTO {there} ({names}) SELECT {names} FROM {here} ORDER BY 1"  # noqa: S608 - names of ours
                )

        self.watcher.ask(copy)
        return copied

    def refuse(self, record_id: str) -> None:
        """Refuse the record by a rule in the table, as whoever owns it may have made one."""

        async def constrain(connection: Any) -> None:
            await connection.execute(
                f"ALTER TABLE {self.schema}.records ADD CHECK (id <> '{record_id}')"
            )

        self.watcher.ask(constrain)

    def close(self) -> None:
        """Drop the schema."""

        async def drop(connection: Any) -> None:
            # What a killed run has begun, the server may not have undone yet.
            await connection.execute("SET lock_timeout = '5s'")
            await connection.execute(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')
            await connection.execute("SET lock_timeout = '200ms'")

        self.watcher.ask(drop)


def new_postgres_sink(watcher: PostgresWatcher) -> PostgresSink:
    """Return a sink without a schema."""
    return PostgresSink(watcher, f"t{uuid4().hex[:16]}")
