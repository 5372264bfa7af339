"""The sink, seen from outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint
from azure_function_app.sync.records import Record
from bridge_cli.sink_view import SinkView


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """The Function App's own store."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    yield store
    await store.aclose()


def _record(record_id: str, *, deleted: bool = False) -> Record:
    return Record(record_id, 1, "2026-11-21T00:00:00Z", deleted, {})


def test_when_nothing_was_synced_yet_then_the_sink_is_empty(tmp_path: Path) -> None:
    """A file that is not there holds no record."""
    assert 0 == SinkView(tmp_path / "records.sqlite3").count()


async def test_when_records_are_stored_then_tombstones_do_not_count(
    store: SqliteStore, tmp_path: Path
) -> None:
    """Only what is there counts, not what was deleted."""
    await store.write([_record("A"), _record("B", deleted=True)])

    assert 1 == SinkView(tmp_path / "records.sqlite3").count()


async def test_when_a_record_changes_then_so_does_the_digest(
    store: SqliteStore, tmp_path: Path
) -> None:
    """Equal digests mean equal records."""
    view = SinkView(tmp_path / "records.sqlite3")
    await store.write([_record("A")])
    before = view.digest()
    await store.write([_record("A")])
    after_repeat = view.digest()
    await store.write([_record("B")])

    assert before == after_repeat != view.digest()


async def test_when_the_checkpoint_is_deleted_then_the_sync_starts_over(
    store: SqliteStore, tmp_path: Path
) -> None:
    """The store then loads no checkpoint."""
    await store.save(Checkpoint("cursor", ""), replacing=BEGINNING)
    SinkView(tmp_path / "records.sqlite3").delete_checkpoint()

    assert BEGINNING == await store.load()
