"""Looking at what a store holds: both stores say the same, and looking makes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from azure.data.tables import TableServiceClient

from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.record_view import HeldVersion
from emulator.azurite import Azurite
from tests.support.azurite import no_credential
from tests.support.fake_feed import record


@pytest.fixture(params=["sqlite", "table"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[SqliteStore | TableStore]:
    """An empty store of each kind."""
    store: SqliteStore | TableStore
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "records.sqlite3")
    else:
        azurite: Azurite = request.getfixturevalue("azurite")
        store = build_table_store(azurite.table_url, no_credential, prefix=f"v{uuid4().hex}")
    yield store
    await store.aclose()


async def test_when_records_are_held_then_their_versions_are_told(
    store: SqliteStore | TableStore,
) -> None:
    """Of as many as a page has; tombstones too; of those that are not held, nothing."""
    await store.write([record(f"r{number}") for number in range(40)])
    await store.write([record("r1", 2), record("r2", 3, deleted=True)])
    await store.write([record("o'neil/%?#", 7)], generation=1)

    held = await store.view.held_versions([*(f"r{number}" for number in range(60)), "o'neil/%?#"])

    assert {
        **{f"r{number}": HeldVersion(0, 1, deleted=False) for number in range(40)},
        "r1": HeldVersion(0, 2, deleted=False),
        "r2": HeldVersion(0, 3, deleted=True),
        "o'neil/%?#": HeldVersion(1, 7, deleted=False),
    } == held
    assert 39 == await store.view.count_live(before=1)
    assert 40 == await store.view.count_live(before=2)
    assert {} == await store.view.held_versions([])


async def test_when_nothing_has_been_written_yet_then_nothing_is_held(
    store: SqliteStore | TableStore,
) -> None:
    """An empty store is no error."""
    assert {} == await store.view.held_versions(["a"])
    assert 0 == await store.view.count_live(before=1)
    assert 0 == await store.view.newest_generation()


async def test_when_there_are_no_tables_then_looking_makes_none(azurite: Azurite) -> None:
    """Who only looks may not be allowed to make any."""
    prefix = f"v{uuid4().hex}"
    store = build_table_store(azurite.table_url, no_credential, prefix=prefix)
    await store.view.held_versions(["a"])
    await store.view.count_live(before=1)
    await store.view.newest_generation()
    await store.load()
    await store.aclose()

    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        assert [] == [table.name for table in service.list_tables() if prefix in table.name]


async def test_when_a_generation_has_begun_then_the_view_knows_it_as_the_store_does(
    store: SqliteStore | TableStore,
) -> None:
    """Also before any record of it is there, and where there is nothing at all."""
    nothing = await store.view.newest_generation()
    await store.write([record("a")], generation=1)
    await store.begin_generation(2)

    assert 0 == nothing
    assert 2 == await store.newest_generation()
    assert 2 == await store.view.newest_generation()


async def test_when_no_run_has_ended_yet_then_there_are_no_reports_and_that_is_no_error(
    store: SqliteStore | TableStore,
) -> None:
    """On the first day, before there are tables, health and `bridge sync status` ask for them."""
    assert [] == await store.load_reports()
    assert await store.load_report() is None
