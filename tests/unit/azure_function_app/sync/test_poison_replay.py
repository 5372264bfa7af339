"""Trying again what was set aside, where a store's own promises do not reach."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.poison_replay import ReplayOutcome, replay_poison
from azure_function_app.sync.poison_store import KeptPoison
from tests.support.fake_feed import record
from tests.support.sync_store_promises import origin, valid


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store in a new file."""
    store = SqliteStore(tmp_path / "records.sqlite3")
    yield store
    await store.aclose()


def change(tmp_path: Path, statement: str) -> None:
    """Change the file past the store."""
    with closing(sqlite3.connect(tmp_path / "records.sqlite3")) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE poison SET is_whole = 0", "only the item's beginning is kept"),
        (
            "UPDATE poison SET set_aside_at = ''",
            "the item is from an older version of this app, which cut it",
        ),
        (
            """UPDATE poison SET raw =
            CAST(replace(CAST(raw AS TEXT), '"id": "a"', '"id": "a\\u0000"') AS BLOB)""",
            "the id holds a control character or a lone surrogate",
        ),
    ],
)
async def test_when_an_item_cannot_be_replayed_then_it_stays_with_todays_reason(
    store: SqliteStore, tmp_path: Path, statement: str, reason: str
) -> None:
    """Cut, of an unknown feed, or beyond a bound: none of it is written, none of it is lost."""
    await store.write([record("b")], generation=1)
    await store.set_aside([valid("a", 2)], origin=origin(generation=1))
    change(tmp_path, statement)
    if "set_aside_at" in statement:
        change(tmp_path, "UPDATE poison SET generation = 0")

    report = await replay_poison(store, store)

    assert ({ReplayOutcome.UNFIT: 1}, {reason: 1}) == (report.outcomes, report.reasons)
    assert 1 == len(await store.list_poison())


async def test_when_an_item_is_dropped_meanwhile_then_nothing_becomes_of_it(
    tmp_path: Path,
) -> None:
    """Somebody else was quicker."""

    class Overtaken(SqliteStore):
        async def get_poison(
            self, key: str, *, deadline: Deadline | None = None
        ) -> KeptPoison | None:
            await self.drop_poison(key, deadline=deadline)
            return await super().get_poison(key, deadline=deadline)

    store = Overtaken(tmp_path / "records.sqlite3")
    await store.set_aside([valid("a", 2)], origin=origin())

    report = await replay_poison(store, store)
    await store.aclose()

    assert {} == report.outcomes
