"""Table Storage, as Azurite keeps its rules: keys, sizes, ETags, transactions."""

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import trustme
from azure.data.tables import TableServiceClient
from azure.identity import ManagedIdentityCredential
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azure_function_app.errors import CheckpointConflict, StoreUnavailable
from azure_function_app.stores.table_store import TableStore, build_table_store
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.record_sink import (
    MAX_DATA_BYTES,
    MAX_ID_LENGTH,
    MAX_RAW_LENGTH,
    encode_data,
    reason_unfit,
    storable_poison,
)
from azure_function_app.sync.records import PoisonRecord, Record
from azure_function_app.sync.sync_job import SyncJob
from emulator.airports import load_airports
from emulator.azurite import Azurite, AzuritePrograms, AzuriteTls
from shared.clock import SystemClock
from tests.support.fake_clock import FakeClock
from tests.support.fake_feed import FakeFeed, record
from tests.support.faulty_server import Behavior, answer, faulty_server

CHECKOUT = Path(__file__).parents[2]


def no_credential() -> Any:
    """Azurite needs none, so asking for one is an error."""
    raise AssertionError("a credential was asked for")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for all tests here; each test has tables of its own in it."""
    azurite = Azurite.start(
        AzuritePrograms.under(CHECKOUT / ".tools"),
        tmp_path_factory.mktemp("azurite"),
        clock=SystemClock(),
        sleep=time.sleep,
    )
    yield azurite
    azurite.stop()


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


def stored(azurite: Azurite, prefix: str) -> dict[str, tuple[int, bool, str]]:
    """What the sink holds: version, deleted and data by ID."""
    return {
        entity["record_id"]: (entity["version"].value, entity["deleted"], data_of(entity))
        for entity in entities(azurite, f"{prefix}records")
    }


def storage_token(audience: str) -> str:
    """A token as Azurite takes it, which checks everything but the signature."""
    now = int(SystemClock().now())
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/11111111-2222-4333-8444-555555555555/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 3600,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2ln"])


def token_answer(token: str) -> Behavior:
    """The managed identity endpoint's answer with that token."""
    members = {
        "access_token": token,
        "expires_on": str(int(SystemClock().now()) + 3600),
        "resource": "https://storage.azure.com",
        "token_type": "Bearer",
    }
    return answer(200, json.dumps(members).encode(), ("Content-Type", "application/json"))


def report(run_id: str) -> SyncReport:
    """A run's report."""
    return SyncReport(run_id, SyncStatus.PAUSED, 1, 2, 3, 4, "a", "b", None)


async def test_when_records_are_written_then_they_are_there(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """Every field of a record is kept."""
    changed = await store.write([record("a", 3, city="Zürich"), record("b", 2, deleted=True)])

    assert 2 == changed
    assert {
        "a": (3, False, '{"city":"Zürich","name":"a v3"}'),
        "b": (2, True, "{}"),
    } == stored(azurite, prefix)


async def test_when_a_batch_is_written_twice_then_the_second_time_changes_nothing(
    store: TableStore,
) -> None:
    """Writing is idempotent, first versions and later ones alike."""
    batch = [record("a"), record("b"), record("c", 7)]

    assert 3 == await store.write(batch)
    assert 0 == await store.write(batch)


@pytest.mark.parametrize(("version", "changed"), [(4, 0), (5, 0), (6, 1)])
async def test_when_a_record_is_there_then_only_a_newer_version_replaces_it(
    store: TableStore, azurite: Azurite, prefix: str, version: int, changed: int
) -> None:
    """Older and same versions change nothing."""
    await store.write([record("a", 5)])

    assert changed == await store.write([record("a", version)])
    assert max(5, version) == stored(azurite, prefix)["a"][0]


async def test_when_a_first_version_comes_late_then_it_does_not_replace_a_later_one(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """First versions are created without a look; where that fails the look is made up for."""
    await store.write([record("a", 2)])

    assert 1 == await store.write([record("a", 1), record("new", 1)])
    assert 2 == stored(azurite, prefix)["a"][0]


async def test_when_a_later_generation_is_written_then_its_versions_count(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """Versions are compared within a generation; an earlier generation replaces nothing."""
    await store.write([record("a", 7), record("b", 7)])

    assert 1 == await store.write([record("a", 1)], generation=1)
    assert 0 == await store.write([record("a", 9)], generation=0)
    assert 1 == stored(azurite, prefix)["a"][0]
    assert 1 == await store.newest_generation()


async def test_when_records_are_missing_from_a_generation_then_they_are_marked(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """In every partition and beyond one transaction; what is deleted already does not count."""
    names = [f"r{number}" for number in range(2_000)]
    await store.write([record(name, 7) for name in names])
    await store.write([record("gone", 7, deleted=True)])
    await store.write([record(name, 1) for name in names[:500]], generation=1)

    assert 1_500 == await store.mark_missing(generation=1)
    assert 0 == await store.mark_missing(generation=1)

    kept = stored(azurite, prefix)
    assert set(names[:500]) == {name for name, (_, gone, _) in kept.items() if not gone}
    assert (0, True, '{"name":"r1999 v7"}') == kept["r1999"]
    assert 1 == await store.write([record("r1999", 1)], generation=1)


async def test_when_nothing_was_ever_written_then_the_generation_is_the_first(
    store: TableStore,
) -> None:
    """Without records there is nothing to be later than."""
    assert 0 == await store.newest_generation()


async def test_when_new_data_is_shorter_then_nothing_of_the_old_is_left(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """A replaced record loses the parts that its longer version had."""
    await store.write([record("a", 1, text="x" * 50_000)])
    await store.write([record("a", 2)])

    assert '{"name":"a v2"}' == stored(azurite, prefix)["a"][2]


async def test_when_a_batch_names_a_record_twice_then_the_newest_counts(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """A transaction may hold an entity once, a page of changes may not know that."""
    assert 1 == await store.write([record("a", 2), record("a", 1), record("a", 3)])
    assert 3 == stored(azurite, prefix)["a"][0]


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


@pytest.mark.parametrize("filler", ["x", "\u00e9", "\u20ac", "😀", '"'])
async def test_when_data_is_as_large_as_it_may_be_then_it_is_stored_whole(
    store: TableStore, azurite: Azurite, prefix: str, filler: str
) -> None:
    """The largest data that passes the check fits into an entity, whatever it is made of."""
    empty = len(encode_data(Record("a", 1, "", deleted=False, data={"text": ""})).encode())
    escaped = len(encode_data(Record("a", 1, "", deleted=False, data={"t": filler})).encode()) - 8
    largest = Record(
        "a",
        1,
        "2026-11-21T05:47:00Z",
        deleted=False,
        data={"text": filler * ((MAX_DATA_BYTES - empty) // escaped)},
    )
    assert reason_unfit(largest) is None

    await store.write([largest])

    assert encode_data(largest) == stored(azurite, prefix)["a"][2]


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
        job = SyncJob(feed, store, store, FakeClock(), lambda: "run", 500, 240.0, 30.0)
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


async def test_when_two_runs_write_the_same_records_at_once_then_the_newest_versions_win(
    azurite: Azurite, prefix: str
) -> None:
    """Transactions that get in each other's way are made again, on what is there by then."""
    stores = [build_table_store(azurite.table_url, no_credential, prefix=prefix) for _ in range(4)]
    batches = [[record(f"r{n}", version) for n in range(40)] for version in (1, 2, 3, 4)]

    # At first one by one: several that make the same tables at once are another matter.
    await stores[0].write([record("r0")])
    await asyncio.gather(
        *(store.write(batch) for store, batch in zip(stores, batches, strict=True))
    )
    for store in stores:
        await store.aclose()

    assert {f"r{n}": 4 for n in range(40)} == {
        name: version for name, (version, _, _) in stored(azurite, prefix).items()
    }


async def test_when_several_instances_start_at_once_then_each_finds_the_tables(
    azurite: Azurite, prefix: str
) -> None:
    """Making the tables is idempotent too."""
    stores = [build_table_store(azurite.table_url, no_credential, prefix=prefix) for _ in range(4)]

    changed = await asyncio.gather(
        *(store.write([record(f"r{number}")]) for number, store in enumerate(stores))
    )
    for store in stores:
        await store.aclose()

    assert [1, 1, 1, 1] == changed


async def test_when_nothing_was_ever_saved_then_the_store_is_at_the_beginning(
    store: TableStore,
) -> None:
    """Without tables there is no checkpoint and no report."""
    assert BEGINNING == await store.load()
    assert await store.load_report() is None


async def test_when_a_checkpoint_is_saved_then_it_is_loaded(store: TableStore) -> None:
    """Each save gets a fence of its own, by which the next one knows it."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    second = await store.save(Checkpoint("two", ""), replacing=first)

    assert "two" == second.cursor
    assert first.fence != second.fence
    assert second == await store.load()


async def test_when_the_checkpoint_was_moved_since_then_a_save_is_refused(
    store: TableStore,
) -> None:
    """Whoever holds an old fence cannot move the checkpoint back."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    second = await store.save(Checkpoint("two", ""), replacing=first)

    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("stale", ""), replacing=first)
    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("stale", ""), replacing=BEGINNING)
    assert second == await store.load()


async def test_when_the_checkpoint_was_deleted_then_a_run_from_before_cannot_save(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """A deleted checkpoint stays deleted until a run that began after it."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        service.get_table_client(f"{prefix}state").delete_entity("state", "checkpoint")

    with pytest.raises(CheckpointConflict):
        await store.save(Checkpoint("two", ""), replacing=first)
    assert BEGINNING == await store.load()


async def test_when_many_save_at_once_then_exactly_one_succeeds(
    azurite: Azurite, prefix: str
) -> None:
    """Compare-and-swap: of several that know the same fence one moves the checkpoint."""
    stores = [build_table_store(azurite.table_url, no_credential, prefix=prefix) for _ in range(5)]
    start = await stores[0].save(Checkpoint("start", ""), replacing=BEGINNING)

    outcomes = await asyncio.gather(
        *(store.save(Checkpoint(f"c{n}", ""), replacing=start) for n, store in enumerate(stores)),
        return_exceptions=True,
    )
    final = await stores[0].load()
    for store in stores:
        await store.aclose()

    assert [final] == [outcome for outcome in outcomes if isinstance(outcome, Checkpoint)]
    assert 4 == sum(isinstance(outcome, CheckpointConflict) for outcome in outcomes)


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


async def test_when_a_report_is_saved_then_it_replaces_the_last_one(store: TableStore) -> None:
    """Only the last run's report is kept."""
    await store.save_report(report("first"))
    await store.save_report(report("second"))

    assert report("second") == await store.load_report()


async def test_when_poison_is_set_aside_twice_then_it_is_kept_once_with_its_first_run(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """What is set aside is found again by what it is."""
    poison = PoisonRecord("p", "no version", '{"id":"p"}')

    await store.set_aside([poison], run_id="first")
    await store.set_aside([poison, PoisonRecord("q", "no version", "{}")], run_id="second")

    assert {("p", "first"), ("q", "second")} == {
        (entity["record_id"], entity["run_id"]) for entity in entities(azurite, f"{prefix}setaside")
    }


async def test_when_poison_is_as_bad_as_can_be_then_it_is_still_kept(
    store: TableStore, azurite: Azurite, prefix: str
) -> None:
    """Longest, widest and not encodable: nothing that is set aside can block a run."""
    poison = storable_poison(
        PoisonRecord("\ud800\0" * 1_000, "bad", "😀" * MAX_RAW_LENGTH + "\udfff")
    )

    await store.set_aside([poison], run_id="run")

    (kept,) = entities(azurite, f"{prefix}setaside")
    assert "😀" * MAX_RAW_LENGTH == kept["raw"]


# The SDK reads an error's XML in a way that Python is about to change.
@pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")
async def test_when_the_account_asks_for_a_token_then_the_managed_identity_brings_it(
    tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-identity unmodified, over TLS: no key, and a refusal that names the role to give."""
    authority = trustme.CA()
    identity = authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / name for name in ("ca.pem", "certificate.pem", "key.pem")}
    authority.cert_pem.write_to_path(str(files["ca.pem"]))
    identity.cert_chain_pems[0].write_to_path(str(files["certificate.pem"]))
    identity.private_key_pem.write_to_path(str(files["key.pem"]))
    azurite = Azurite.start(
        AzuritePrograms.under(CHECKOUT / ".tools"),
        tmp_path / "azurite",
        clock=SystemClock(),
        sleep=time.sleep,
        tls=AzuriteTls(files["certificate.pem"], files["key.pem"]),
    )
    good, foreign = storage_token("https://storage.azure.com"), storage_token("https://elsewhere")
    try:
        async with faulty_server(token_answer(good), token_answer(foreign)) as endpoint:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files["ca.pem"]))
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
