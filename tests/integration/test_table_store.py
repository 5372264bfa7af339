"""Table Storage, as Azurite keeps its rules: keys, sizes, ETags, transactions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from azure.data.tables import TableServiceClient
from azure.identity import ManagedIdentityCredential
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azure_function_app.errors import StoreUnavailable
from azure_function_app.stores.table_entities import GUARD_KEY
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.poison_store import MAX_ID_LENGTH
from azure_function_app.sync.records import Record
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.sync_store import StoresInOrder, SyncStore
from emulator.airports import load_airports
from emulator.azurite import Azurite
from tests.support.azurite import no_credential
from tests.support.fake_clock import FakeClock
from tests.support.fake_feed import FakeFeed, record
from tests.support.faulty_server import faulty_server
from tests.support.storage_identity import start_tls_azurite, storage_token, token_answer
from tests.support.sync_store_promises import (
    SetAside,
    Store,
    Stored,
    SyncStorePromises,
)

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def prefix() -> str:
    """What this test's tables begin with."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
async def store(azurite: Azurite, prefix: str) -> AsyncIterator[TableStore]:
    """A store without tables yet."""
    store = build_table_store(azurite.table_url, no_credential, prefix=prefix)
    yield store
    await store.aclose()


def entities(azurite: Azurite, table: str) -> list[dict[str, Any]]:
    """Everything in a table, as anyone else reads it."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        return [dict(entity) for entity in service.get_table_client(table).list_entities()]


def data_of(entity: dict[str, Any]) -> str:
    """An entity's data, put together from its parts."""
    parts = [entity["data"]]
    for number in count(1):
        if f"data_{number}" not in entity:
            return "".join(parts)
        parts.append(entity[f"data_{number}"])
    raise AssertionError


def stored(azurite: Azurite, prefix: str) -> dict[str, Stored]:
    """What the sink holds, by ID."""
    return {
        entity["record_id"]: Stored(
            entity["version"].value, entity["updated_at"], entity["deleted"], data_of(entity)
        )
        for entity in entities(azurite, f"{prefix}records")
        if entity["RowKey"] != GUARD_KEY
    }


@dataclass
class TablePlace:
    """Three tables, and the stores that were opened on them."""

    azurite: Azurite
    prefix: str
    stores: list[TableStore] = field(default_factory=list[TableStore])

    def open(self) -> TableStore:
        """Another store on the tables."""
        self.stores.append(
            build_table_store(self.azurite.table_url, no_credential, prefix=self.prefix)
        )
        return self.stores[-1]

    def as_sync_store(self, store: Store) -> SyncStore:
        """First the records, then the checkpoint."""
        return StoresInOrder(store, store)

    def tables(self) -> set[str]:
        """The tables that are there."""
        with TableServiceClient.from_connection_string(self.azurite.connection_string) as service:
            names = [table.name for table in service.list_tables()]
        return {name for name in names if name.startswith(self.prefix)}

    def records(self) -> dict[str, Stored]:
        """The records by ID."""
        return stored(self.azurite, self.prefix)

    def set_aside(self) -> list[SetAside]:
        """What was set aside."""
        return [
            SetAside(entity["record_id"], entity["reason"], entity["raw_0"], entity["run_id"])
            for entity in entities(self.azurite, f"{self.prefix}setaside")
        ]

    def refuse_long_times(self) -> None:
        """Table Storage does so by itself: a property holds 32,768 characters."""

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint."""
        with TableServiceClient.from_connection_string(self.azurite.connection_string) as service:
            service.get_table_client(f"{self.prefix}state").delete_entity("state", "checkpoint")

    def put_checkpoint(self, text: str) -> None:
        """Put another text there."""
        entity = {"PartitionKey": "state", "RowKey": "checkpoint", "value": text}
        with TableServiceClient.from_connection_string(self.azurite.connection_string) as service:
            service.get_table_client(f"{self.prefix}state").upsert_entity(entity)


class TestTableStore(SyncStorePromises):
    """The promises, in tables."""

    @pytest.fixture
    async def place(self, azurite: Azurite, prefix: str) -> AsyncIterator[TablePlace]:
        """The tables, which no store has made yet."""
        place = TablePlace(azurite, prefix)
        yield place
        for store in place.stores:
            await store.aclose()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ids=st.sets(
        st.text(
            st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("/\\#?%='\"\u00a0😀"),
            min_size=1,
            max_size=MAX_ID_LENGTH,
        ),
        min_size=1,
        max_size=12,
    )
)
def test_when_ids_hold_any_characters_then_each_has_an_entity_of_its_own(
    azurite: Azurite, ids: set[str]
) -> None:
    """Whatever Table Storage forbids in a key, and however long: IDs neither clash nor get lost."""
    prefix = f"t{uuid4().hex[:12]}"

    async def write_twice() -> tuple[int, int]:
        store = build_table_store(azurite.table_url, no_credential, prefix=prefix)
        try:
            records = [record(record_id) for record_id in ids]
            return await store.write(records), await store.write(records)
        finally:
            await store.aclose()

    changed, changed_again = asyncio.run(write_twice())

    assert (len(ids), 0) == (changed, changed_again)
    assert ids == stored(azurite, prefix).keys()


async def test_when_many_large_records_come_at_once_then_transactions_stay_small_enough(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """A batch is cut by size as well as by number."""
    batch = [record(f"r{number}", text="x" * 300_000) for number in range(120)]

    assert 120 == await store.write(batch)
    assert 120 == len(stored(azurite, prefix))


async def test_when_the_airports_are_synced_then_all_arrive_and_a_second_pass_changes_nothing(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """The real data set goes through the sync job into Table Storage, and again."""
    feed = FakeFeed(
        [
            Record(name, 1, "2026-11-21T05:47:00Z", deleted=False, data=data)
            for name, data in islice(load_airports(), 3_000)
        ]
    )

    async def run() -> SyncReport:
        stores = StoresInOrder(store, store)
        job = SyncJob(
            feed, stores, FakeClock(), lambda: "run", 500, 240.0, 30.0, DeletionLimit(0.2)
        )
        return await job.run()

    first = await run()
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        service.get_table_client(f"{prefix}state").delete_entity("state", "checkpoint")
    second = await run()

    assert (SyncStatus.COMPLETE, 3_000) == (first.status, first.records_changed)
    assert (SyncStatus.COMPLETE, 3_000, 0) == (
        second.status,
        second.records_read,
        second.records_changed,
    )
    assert 3_000 == len(stored(azurite, prefix))


async def test_when_the_answer_to_a_save_was_lost_then_it_counts_as_saved(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK repeats a request whose answer was lost, and must not find itself in its way."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    update = store._state.update_entity

    def update_twice(*args: Any, **kwargs: Any) -> Any:
        update(*args, **kwargs)
        return update(*args, **kwargs)

    monkeypatch.setattr(store._state, "update_entity", update_twice)

    second = await store.save(Checkpoint("two", ""), replacing=first)

    assert second == await store.load()


@pytest.mark.parametrize("table", ["records", "state"])
async def test_when_a_table_was_deleted_then_one_run_fails_and_the_next_makes_it_again(
    store: TableStore, azurite: Azurite, prefix: str, table: str
) -> None:
    """A missing table is no other run's doing, and must not pass for it."""
    saved = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    await store.write([record("a")])
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        service.delete_table(f"{prefix}{table}")

    async def step(replacing: Checkpoint) -> Checkpoint:
        await store.write([record("b")])
        return await store.save(Checkpoint("two", ""), replacing=replacing)

    with pytest.raises(StoreUnavailable):
        await step(saved)

    assert "two" == (await step(await store.load())).cursor


# The SDK reads an error's XML in a way that Python is about to change.
@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
async def test_when_the_account_asks_for_a_token_then_the_managed_identity_brings_it(
    tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity unmodified, over TLS: no key, and a refusal that names the role to give."""
    secured = start_tls_azurite(tmp_path)
    azurite = secured.azurite
    good, foreign = storage_token("https://storage.azure.com"), storage_token("https://elsewhere")
    try:
        async with faulty_server(token_answer(good), token_answer(foreign)) as endpoint:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(secured.ca_file))
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{endpoint.port}/token")
            monkeypatch.setenv("IDENTITY_HEADER", "made-up")
            store = build_table_store(azurite.table_url, ManagedIdentityCredential, prefix=prefix)
            changed = await store.write([record("a")])
            saved = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
            await store.aclose()
            refused = build_table_store(azurite.table_url, ManagedIdentityCredential, prefix=prefix)
            with pytest.raises(StoreUnavailable, match="Storage Table Data Contributor"):
                await refused.load()
            await refused.aclose()
    finally:
        azurite.stop()

    assert (1, "one") == (changed, saved.cursor)
    assert ["https://storage.azure.com"] * 2 == [
        parse_qs(urlsplit(request.target).query)["resource"][0] for request in endpoint.requests
    ]


async def test_when_nobody_listens_then_the_error_names_the_setting(prefix: str) -> None:
    """A wrong endpoint is one clear sentence, soon."""
    store = build_table_store("http://127.0.0.1:9/devstoreaccount1", no_credential, prefix=prefix)

    with pytest.raises(StoreUnavailable, match="check TABLE_ENDPOINT"):
        await store.load()
    await store.aclose()
