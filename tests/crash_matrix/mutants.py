"""Breaks one of the rules that the sync's promises rest on, inside a run's process.

The product is as it is; a run that was started with a mutant gets other functions in its own
memory. Whatever the matrix is worth, it must find each of these.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from unittest import mock
from uuid import uuid4

from azure.data.tables import UpdateMode

from azure_function_app.deadline import Deadline
from azure_function_app.stores import sqlite_store, table_records, table_store
from azure_function_app.stores.postgres import records as postgres_records
from azure_function_app.stores.postgres.store import PostgresStore
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_entities import (
    HeldRecord,
    Operation,
    checkpoint_entity,
    record_entity,
)
from azure_function_app.stores.table_records import TableRecords
from azure_function_app.stores.table_requests import TableRequests
from azure_function_app.sync.checkpoint_store import Checkpoint
from azure_function_app.sync.record_sink import Batch
from azure_function_app.sync.records import ChangePage, Record
from azure_function_app.sync.runs.page_loop import PageLoop
from azure_function_app.sync.runs.sync_run import SyncRun
from azure_function_app.sync.stored_text import encode_checkpoint
from azure_function_app.sync.sweep import Stretch, SweepPhase
from azure_function_app.sync.sync_store import Step, StoresInOrder, sweep_of, swept

_PUT_STATE: Final = """
INSERT INTO state (name, value, fence) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, fence = excluded.fence
"""


def apply_mutant(name: str) -> None:
    """Break that rule in this process, until it ends."""
    MUTANTS[name]()


def _patch(target: object, name: str, new: object) -> None:
    mock.patch.object(target, name, new).start()


def _checkpoint_first() -> None:
    """The checkpoint moves past a page before the page is written."""

    async def in_order(
        self: StoresInOrder,
        page: Batch,
        moved: Checkpoint,
        *,
        replacing: Checkpoint,
        deadline: Deadline,
    ) -> Step:
        saved = await self.checkpoints.save(moved, replacing=replacing, deadline=deadline)
        changed = await self.sink.write(
            page.records, generation=moved.generation, deadline=deadline
        )
        if page.poison:
            await self.sink.set_aside(page.poison, origin=page.origin, deadline=deadline)
        return Step(saved, changed)

    async def in_steps(
        self: SqliteStore | PostgresStore,
        page: Batch,
        moved: Checkpoint,
        *,
        replacing: Checkpoint,
        deadline: Deadline,
    ) -> Step:
        saved = await self.save(moved, replacing=replacing, deadline=deadline)
        changed = await self.write(page.records, generation=moved.generation, deadline=deadline)
        await self.set_aside(page.poison, origin=page.origin, deadline=deadline)
        return Step(saved, changed)

    _patch(StoresInOrder, "write_page", in_order)
    _patch(SqliteStore, "write_page", in_steps)
    _patch(PostgresStore, "write_page", in_steps)


def _no_version_rule() -> None:
    """A record replaces the stored one, whichever is later."""

    def write_operations(
        records: Sequence[Record], generation: int, stored: Mapping[str, HeldRecord]
    ) -> Iterator[Operation]:
        for record in records:
            entity = record_entity(record) | {"generation": generation}
            if entity["RowKey"] in stored:
                yield "upsert", entity, {"mode": UpdateMode.REPLACE}
            else:
                yield "create", entity

    for module in (sqlite_store, postgres_records):
        upsert: str = module._UPSERT
        _patch(module, "_UPSERT", upsert[: upsert.index("WHERE")])
    _patch(table_records, "write_operations", write_operations)


def _no_fence() -> None:
    """Neither is the checkpoint compared before it is moved, nor the generation before a write."""

    def swap(connection: Any, row: str, moved: Checkpoint, _replacing: Checkpoint) -> Checkpoint:
        saved = replace(moved, fence=uuid4().hex)
        sqlite_store._put_state(connection, row, encode_checkpoint(saved), saved.fence)
        return saved

    def begin(connection: Any, generation: int) -> None:
        if (sqlite_store._begun(connection) or 0) < generation:
            sqlite_store._put_state(connection, "generation", str(generation), "")

    def save_row(
        requests: TableRequests, table: Any, row: str, moved: Checkpoint, _replacing: Checkpoint
    ) -> Checkpoint:
        entity = checkpoint_entity(row, encode_checkpoint(moved), uuid4().hex)
        saved = requests.send(table.upsert_entity, entity, mode=UpdateMode.REPLACE)
        return replace(moved, fence=str(saved["etag"]))

    async def move(
        connection: Any, name: str, moved: Checkpoint, _replacing: Checkpoint
    ) -> Checkpoint:
        saved = replace(moved, fence=uuid4().hex)
        await connection.execute(_PUT_STATE, name, encode_checkpoint(saved), saved.fence)
        return saved

    async def enter(connection: Any, generation: int) -> None:
        await connection.execute(postgres_records._MAKE_GUARD, "generation")
        await connection.execute(postgres_records._RAISE_GUARD, "generation", generation)

    submit = TableRecords._submit

    def unguarded(
        self: TableRecords,
        requests: TableRequests,
        partition: str,
        generation: int,
        operations: Sequence[Operation],
        *,
        also_empty: bool = False,
    ) -> bool:
        guard = self._read_guard(requests, partition)
        newest = generation if guard is None else max(guard.generation, generation)
        return submit(self, requests, partition, newest, operations, also_empty=also_empty)

    def no_late_poison(self: StoresInOrder, *_args: object) -> Any:  # noqa: ARG001
        return _nothing()

    _patch(sqlite_store, "_compare_and_swap", swap)
    _patch(sqlite_store, "_begin_generation", begin)
    _patch(table_store, "save_row", save_row)
    _patch(postgres_records, "move_checkpoint", move)
    _patch(postgres_records, "enter_generation", enter)
    _patch(postgres_records, "hold_checkpoint", mock.AsyncMock())
    _patch(TableRecords, "_submit", unguarded)
    _patch(StoresInOrder, "_refuse_late", no_late_poison)


async def _nothing() -> None:
    return


def _sweep_after_done() -> None:
    """A generation is called done first, and only then is marked what it lacks."""
    for store in (StoresInOrder, SqliteStore, PostgresStore):
        _sweep_late(store)


def _sweep_late(store: Any) -> None:
    save, sweep_page = store.save, store.sweep_page

    async def skip_marking(self: Any, checkpoint: Checkpoint, *, deadline: Deadline) -> Step:
        sweep, _ = sweep_of(checkpoint)
        if sweep.phase is not SweepPhase.MARKING:
            step: Step = await sweep_page(self, checkpoint, deadline=deadline)
            return step
        moved = swept(checkpoint, sweep, Stretch(None, 0, 0))
        return Step(await save(self, moved, replacing=checkpoint, deadline=deadline), 0)

    async def save_and_mark(
        self: Any, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline
    ) -> Checkpoint:
        saved: Checkpoint = await save(self, moved, replacing=replacing, deadline=deadline)
        # A shard that was read to its end is no longer reread either, and sweeps nothing.
        is_done = replacing.is_rereading and not moved.is_rereading and moved.sweep is None
        position: str | None = "" if is_done else None
        sink = self.sink if isinstance(self, StoresInOrder) else self
        while position is not None:
            stretch = await sink.mark_missing(
                position, generation=moved.generation, deadline=deadline
            )
            position = stretch.position
        return saved

    _patch(store, "sweep_page", skip_marking)
    _patch(store, "save", save_and_mark)


def _no_sync() -> None:
    """SQLite is told not to wait for the disk, so a loss of power can tear the file."""
    from azure_function_app.stores import sqlite_file  # noqa: PLC0415 - only this mutant needs it

    connect = sqlite_file._connect

    def unsynced(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    _patch(sqlite_file, "_connect", unsynced)


def _no_claim() -> None:
    """Records are written before the checkpoint knows of which feed they are."""

    async def unclaimed(
        self: PageLoop,  # noqa: ARG001 - what a mutant leaves out
        page: ChangePage,  # noqa: ARG001 - the same
        checkpoint: Checkpoint,
        run: SyncRun,  # noqa: ARG001 - the same
    ) -> Checkpoint:
        return checkpoint

    _patch(PageLoop, "_claim", unclaimed)


MUTANTS: Final[Mapping[str, Callable[[], None]]] = {
    "checkpoint_first": _checkpoint_first,
    "no_version_rule": _no_version_rule,
    "no_fence": _no_fence,
    "sweep_after_done": _sweep_after_done,
    "no_sync": _no_sync,
    "no_claim": _no_claim,
}
