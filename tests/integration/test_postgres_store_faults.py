"""PostgreSQL that breaks, hangs or refuses: what a run makes of it, and in what time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from azure_function_app.deadline import Deadline
from azure_function_app.errors import (
    CheckpointConflict,
    ContentRefused,
    StoreNewer,
    StoreTimedOut,
    StoreUnavailable,
)
from azure_function_app.stores.postgres.store import PostgresStore
from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncStatus
from azure_function_app.sync.record_sink import Batch
from azure_function_app.sync.records import PoisonRecord, Record
from azure_function_app.sync.sweep import DeletionLimit
from azure_function_app.sync.sync_job import SyncJob
from azure_function_app.sync.unfit_records import write_fit
from emulator.postgres import Postgres
from shared.clock import SystemClock
from tests.integration.test_postgres_store import query
from tests.support.fake_feed import FakeFeed, record
from tests.support.faulty_postgres import Fault, FaultyPostgres, faulty_postgres, once
from tests.support.postgres import postgres_store
from tests.support.sync_store_promises import origin

CLOCK = SystemClock()


@pytest.fixture
def schema() -> str:
    """Where this test's tables are."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
async def front(postgres: Postgres) -> AsyncIterator[FaultyPostgres]:
    """The server behind a socket that can break."""
    async with faulty_postgres(postgres) as front:
        yield front


@pytest.fixture
async def store(
    postgres: Postgres, schema: str, front: FaultyPostgres
) -> AsyncIterator[PostgresStore]:
    """A store behind that socket."""
    store = postgres_store(postgres, schema, port=front.port)
    yield store
    await store.aclose()


@pytest.fixture
def ask(postgres: Postgres, schema: str) -> Callable[..., list[Any]]:
    """What another connection sees there."""

    def ask(sql: str, *values: object) -> list[Any]:
        return [tuple(row) for row in query(postgres, schema, sql, *values)]

    return ask


def sync_job(feed: FakeFeed, store: PostgresStore, run_seconds: float) -> SyncJob:
    """A job of that length."""
    return SyncJob(
        source=feed,
        store=store,
        clock=CLOCK,
        new_run_id=lambda: uuid4().hex,
        page_size=40,
        run_seconds=run_seconds,
        page_seconds=5.0,
        deletion_limit=DeletionLimit(1.0),
    )


PAGE = Batch([record("a")], [PoisonRecord("p", "bad", b"{}")], origin())


# --- the connection breaks --------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.LOSE_ANSWER])
@pytest.mark.parametrize("statement", [b"BEGIN", b"INSERT INTO records", b"UPDATE state"])
async def test_when_the_connection_breaks_before_the_commit_then_the_page_is_written_once(
    store: PostgresStore,
    front: FaultyPostgres,
    ask: Callable[..., list[Any]],
    statement: bytes,
    fault: Fault,
) -> None:
    """What was not committed left no trace, so it is begun again, and counts right."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    # The driver has prepared nothing on a new connection, so that each statement is seen by name.
    await store.aclose()
    front.choose = once(statement, fault)

    step = await store.write_page(PAGE, Checkpoint("two", ""), replacing=first)

    assert (1, "two") == (step.changed, step.checkpoint.cursor)
    assert step.checkpoint == await store.load()
    assert [("a", 1)] == ask("SELECT id, version FROM records")
    assert [("p",)] == ask("SELECT id FROM poison")


@pytest.mark.parametrize(("fault", "is_done"), [(Fault.CUT, False), (Fault.LOSE_ANSWER, True)])
async def test_when_the_connection_breaks_in_the_commit_then_the_next_run_begins_with_what_is_there(
    store: PostgresStore,
    front: FaultyPostgres,
    ask: Callable[..., list[Any]],
    fault: Fault,
    *,
    is_done: bool,
) -> None:
    """Nobody knows whether it was done, so it is not done again with an old fence."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    front.choose = once(b"COMMIT\0", fault)

    with pytest.raises(StoreUnavailable, match="nobody knows") as raised:
        await store.write_page(PAGE, Checkpoint("two", ""), replacing=first)

    assert not isinstance(raised.value, StoreTimedOut)
    stored = await store.load()
    assert ("two" if is_done else "one") == stored.cursor
    assert ([("a",)] if is_done else []) == ask("SELECT id FROM records")
    again = await store.write_page(PAGE, Checkpoint("two", ""), replacing=stored)
    assert (0 if is_done else 1) == again.changed


async def test_when_idle_connections_were_closed_then_nobody_notices(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """A fail-over or an administrator ends them between two runs."""
    await store.write([record("a")])
    ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'azure-aws-bridge'"
    )

    assert 1 == await store.write([record("b")])


async def test_when_nobody_listens_then_the_error_names_the_setting(
    postgres: Postgres, schema: str
) -> None:
    """A wrong port is one clear sentence, soon."""
    store = postgres_store(postgres, schema, port=9)

    with pytest.raises(StoreUnavailable, match="check POSTGRES_HOST"):
        await store.load()
    await store.aclose()


# --- it hangs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", [b"", b"BEGIN", b"INSERT INTO records", b"COMMIT\0"])
async def test_when_postgres_hangs_then_a_run_is_over_in_its_time(
    store: PostgresStore, front: FaultyPostgres, statement: bytes
) -> None:
    """Its own two seconds and a tenth, the last attempt to leave a report included."""
    frozen = False

    def freeze_from_then_on(message: bytes) -> Fault:
        nonlocal frozen
        frozen = frozen or (statement in message and b"regclass" not in message)
        return Fault.FREEZE if frozen else Fault.NONE

    front.choose = freeze_from_then_on
    began_at = CLOCK.monotonic()

    with pytest.raises(StoreTimedOut):
        await sync_job(FakeFeed([record("a")]), store, 2.0).run()

    assert 1.9 <= CLOCK.monotonic() - began_at <= 2.4


async def test_when_the_server_process_is_frozen_then_a_call_is_over_at_its_deadline(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """A stopped backend answers nothing, and its socket stays open."""
    await store.write([record("a")])
    ((backend,),) = ask(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'azure-aws-bridge'"
        " AND state = 'idle' ORDER BY backend_start DESC LIMIT 1"
    )
    os.kill(backend, signal.SIGSTOP)
    try:
        began_at = CLOCK.monotonic()
        with pytest.raises(StoreTimedOut):
            await store.write([record("b")], deadline=Deadline.after(0.5, CLOCK))
        took_seconds = CLOCK.monotonic() - began_at
    finally:
        os.kill(backend, signal.SIGCONT)

    assert 0.4 <= took_seconds <= 0.9
    assert 1 == await store.write([record("c")])


async def test_when_a_process_is_frozen_in_a_transaction_then_its_locks_end_with_its_time(
    postgres: Postgres, schema: str, store: PostgresStore, front: FaultyPostgres
) -> None:
    """Another instance waits no longer for it than it had time."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    front.choose = once(b"COMMIT\0", Fault.FREEZE)
    late = asyncio.create_task(
        store.save(Checkpoint("late", ""), replacing=first, deadline=Deadline.after(1.0, CLOCK))
    )
    await front.has_frozen.wait()
    other = postgres_store(postgres, schema)
    began_at = CLOCK.monotonic()

    second = await other.save(Checkpoint("two", ""), replacing=first)

    assert CLOCK.monotonic() - began_at < 2.0
    with pytest.raises(StoreTimedOut):
        await late
    assert second == await other.load()
    await other.aclose()


async def test_when_another_transaction_holds_the_checkpoint_then_a_page_is_over_at_its_deadline(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """The server gives up by itself at that moment, so that nothing of it comes later."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    holding = asyncio.create_task(
        asyncio.to_thread(
            ask,
            "WITH held AS (UPDATE state SET value = value WHERE name = 'checkpoint'"
            " RETURNING 1) SELECT pg_sleep(1.5) FROM held",
        )
    )
    await asyncio.sleep(0.3)
    began_at = CLOCK.monotonic()

    with pytest.raises(StoreTimedOut):
        await store.write_page(
            PAGE, Checkpoint("two", ""), replacing=first, deadline=Deadline.after(0.5, CLOCK)
        )
    took_seconds = CLOCK.monotonic() - began_at
    await holding

    assert 0.4 <= took_seconds <= 0.9
    await asyncio.sleep(0.1)
    assert first == await store.load()
    assert [] == ask("SELECT id FROM records")


# --- it refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        record("nul\0"),
        record("a\ud800"),
        record("bad", text="\ud800"),
        record("bad", number=float("nan")),
        record("bad", 2**63),
        record("x" * 20_000, text=uuid4().hex),
    ],
    ids=["U+0000", "surrogate in the id", "surrogate", "NaN", "version", "index row"],
)
async def test_when_postgres_cannot_hold_a_record_then_only_that_one_is_refused(
    store: PostgresStore, ask: Callable[..., list[Any]], bad: Record
) -> None:
    """For good, and in words that quote nothing of it."""
    if bad.id.startswith("xx"):
        # What the index cannot compress.
        bad = record("".join(chr(0x4E00 + number * 7 % 20_000) for number in range(20_000)))
    batch = [*(record(f"r{number}") for number in range(20)), bad]
    refused: list[tuple[str, str]] = []

    changed = await write_fit(
        store.write, batch, on_refused=lambda item, reason: refused.append((item.id, reason))
    )

    assert 20 == changed
    assert [bad.id] == [name for name, _ in refused]
    assert refused[0][1].startswith("PostgreSQL does not take it: ")
    assert bad.id not in refused[0][1]
    assert [(20,)] == ask("SELECT count(*) FROM records")


async def test_when_data_holds_what_jsonb_would_not_then_it_is_kept_as_it_came(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """U+0000 in a string, and every digit of a number: what is synced is the same in each store."""
    await store.write([record("a", text="\0", big=10**400, zero=-0.0)])

    ((data,),) = ask("SELECT data FROM records")
    assert '"text":"\\u0000"' in data
    assert str(10**400) in data
    assert '"zero":-0.0' in data


async def test_when_a_trigger_refuses_a_page_then_neither_page_nor_checkpoint_is_there(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """Records, what is set aside and the checkpoint stand or fall together."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    ask(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'not %', NEW.id; END $$"
    )
    ask(
        "CREATE TRIGGER no BEFORE INSERT ON records FOR EACH ROW WHEN (NEW.id = 'bad')"
        " EXECUTE FUNCTION no()"
    )

    with pytest.raises(ContentRefused, match="P0001"):
        await store.write_page(
            Batch([record("good"), record("bad")], PAGE.poison, origin()),
            Checkpoint("two", ""),
            replacing=first,
        )

    assert first == await store.load()
    assert [] == ask("SELECT id FROM records UNION SELECT id FROM poison")


@pytest.mark.parametrize(
    ("condition", "advice"),
    [
        ("insufficient_privilege", "CREATE SCHEMA bridge AUTHORIZATION"),
        ("disk_full", "disk is full"),
        ("read_only_sql_transaction", "takes no writes"),
        ("out_of_memory", "larger size"),
        ("feature_not_supported", "0A000"),
    ],
)
async def test_when_the_server_is_to_blame_then_no_record_is_and_the_error_says_what_to_change(
    store: PostgresStore, ask: Callable[..., list[Any]], condition: str, advice: str
) -> None:
    """A refusal of the caller, or an outage, sets nothing aside."""
    await store.write([record("a")])
    ask(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{condition}'; END $$"
    )
    ask("CREATE TRIGGER no BEFORE INSERT ON records EXECUTE FUNCTION no()")

    with pytest.raises(StoreUnavailable, match=advice):
        await store.write([record("b")])

    ask("DROP TRIGGER no ON records")
    assert 1 == await store.write([record("b")])


@pytest.mark.parametrize("condition", ["serialization_failure", "deadlock_detected"])
async def test_when_transactions_get_into_each_others_way_then_they_are_begun_again(
    store: PostgresStore, ask: Callable[..., list[Any]], condition: str
) -> None:
    """Twice is nothing; what lasts is an outage."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    ask("CREATE SEQUENCE tried")
    ask(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('tried') < 3 THEN RAISE EXCEPTION USING ERRCODE = '{condition}'; END IF;"
        " RETURN NULL; END $$"
    )
    ask("CREATE TRIGGER no AFTER INSERT ON records EXECUTE FUNCTION no()")

    step = await store.write_page(PAGE, Checkpoint("two", ""), replacing=first)

    assert (1, "two") == (step.changed, step.checkpoint.cursor)
    ask("ALTER SEQUENCE tried RESTART INCREMENT -1 MINVALUE -100")
    with pytest.raises(StoreUnavailable, match="40"):
        await store.write([record("b")])


async def test_when_two_batches_meet_crosswise_then_both_are_written(
    postgres: Postgres, schema: str
) -> None:
    """Whatever the order of their records, and with no one-second wait for a deadlock."""
    stores = [postgres_store(postgres, schema) for _ in range(4)]
    names = [f"r{number}" for number in range(400)]
    await stores[0].write([record(name) for name in names])
    began_at = CLOCK.monotonic()

    for version in range(2, 10):
        await asyncio.gather(
            *(
                store.write([record(name, version) for name in names[:: 1 - 2 * (number % 2)]])
                for number, store in enumerate(stores)
            )
        )

    assert CLOCK.monotonic() - began_at < 10.0
    for store in stores:
        await store.aclose()


async def test_when_the_server_gives_up_a_statement_early_then_the_error_says_so(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """An administrator who cancels it is neither an outage nor a deadline."""
    await store.write([record("a")])
    ask(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'query_canceled'; END $$"
    )
    ask("CREATE TRIGGER no BEFORE INSERT ON records EXECUTE FUNCTION no()")

    with pytest.raises(StoreUnavailable, match="administrator") as raised:
        await store.write([record("b")])

    assert not isinstance(raised.value, StoreTimedOut)


# --- the schema -------------------------------------------------------------------------------


async def test_when_the_tables_are_of_a_later_version_then_they_are_left_alone(
    postgres: Postgres, schema: str, store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """An older app does not write into a schema that it does not know."""
    await store.write([record("a")])
    ask("UPDATE state SET value = '2' WHERE name = 'schema'")
    older = postgres_store(postgres, schema)

    for call in (older.write([record("b")]), older.load(), older.load_reports()):
        with pytest.raises(StoreNewer, match="schema 2") as raised:
            await call
        assert "store_newer" == raised.value.code
    await older.aclose()
    assert [("a",)] == ask("SELECT id FROM records")


@pytest.mark.parametrize("table", ["records", "state"])
async def test_when_a_table_was_dropped_then_one_run_fails_and_the_next_makes_it_again(
    store: PostgresStore, ask: Callable[..., list[Any]], table: str
) -> None:
    """A missing table is no other run's doing, and must not pass for it."""
    await store.begin_generation(3)
    await store.write([record("a")], generation=3)
    saved = await store.save(Checkpoint("0", "", generation=3), replacing=BEGINNING)
    ask(f"DROP TABLE {table}")

    with pytest.raises(StoreUnavailable):
        await store.write_page(PAGE, Checkpoint("0", "", generation=3), replacing=saved)

    report = await sync_job(FakeFeed([record("b")]), store, 60.0).run()
    assert SyncStatus.COMPLETE is report.status
    assert ("b",) in ask("SELECT id FROM records")


async def test_when_the_guard_is_gone_then_the_records_tell_the_generation(
    store: PostgresStore, ask: Callable[..., list[Any]]
) -> None:
    """One row that somebody deleted stops nothing, and lets no ghost in."""
    await store.write([record("a")], generation=2)
    ask("DELETE FROM state WHERE name = 'generation'")

    assert 2 == await store.newest_generation()
    with pytest.raises(CheckpointConflict):
        await store.write([record("ghost")], generation=1)
    assert 1 == await store.write([record("b")], generation=2)


async def test_when_ids_are_asked_for_that_no_text_can_be_then_there_is_no_such_record(
    store: PostgresStore,
) -> None:
    """What is set aside may claim any ID, and must not stop what looks for it."""
    await store.write([record("a", 7)])
    odd = ["a", "nul\0", "\ud800"]

    await store.retain(odd, generation=1)

    assert {"a": (1, 0)} == await store.stored_orders(odd)
    assert ["a"] == list(await store.view.held_versions(odd))


# --- several at once --------------------------------------------------------------------------


async def test_when_two_checkpoints_share_the_tables_then_neither_waits_for_the_other(
    postgres: Postgres, schema: str, store: PostgresStore, front: FaultyPostgres
) -> None:
    """A page of one shard that is not committed yet holds up no other, only a new generation."""
    first = await store.save(Checkpoint("one", ""), replacing=BEGINNING)
    other = postgres_store(postgres, schema)
    shard = PostgresStore(other._database, checkpoint_row="checkpoint-shard-1")
    front.choose = once(b"COMMIT\0", Fault.FREEZE)
    late = asyncio.create_task(
        store.write_page(
            PAGE, Checkpoint("two", ""), replacing=first, deadline=Deadline.after(2.0, CLOCK)
        )
    )
    await front.has_frozen.wait()

    step = await shard.write_page(
        Batch([record("b")], [], origin()),
        Checkpoint("s1", ""),
        replacing=BEGINNING,
        deadline=Deadline.after(1.0, CLOCK),
    )
    with pytest.raises(StoreTimedOut):
        await other.begin_generation(1, deadline=Deadline.after(0.3, CLOCK))

    with pytest.raises(StoreTimedOut):
        await late
    assert (1, "s1") == (step.changed, (await shard.load()).cursor)
    assert first == await other.load()
    await shard.reset()
    assert BEGINNING == await shard.load()
    assert first == await other.load()
    await other.begin_generation(1)
    await other.aclose()


async def test_when_more_calls_come_than_there_are_connections_then_they_take_turns(
    postgres: Postgres, schema: str, front: FaultyPostgres
) -> None:
    """A process opens four at most."""
    store = postgres_store(postgres, schema, port=front.port)
    await store.write([record("a")])

    changed = await asyncio.gather(*(store.write([record(f"r{n}")]) for n in range(20)))

    assert [1] * 20 == changed
    assert front.connections <= 4
    await store.aclose()


async def test_when_a_call_is_canceled_then_its_connection_is_not_used_again(
    store: PostgresStore, front: FaultyPostgres
) -> None:
    """Nobody knows what it would answer next."""
    await store.write([record("a")])
    front.choose = once(b"COMMIT\0", Fault.FREEZE)
    writing = asyncio.create_task(store.write([record("b")]))
    await front.has_frozen.wait()
    writing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await writing

    assert 1 == await store.write([record("b")])
    assert 2 == front.connections


# --- a role without rights ---------------------------------------------------------------------


@pytest.fixture
async def stranger(postgres: Postgres, schema: str) -> AsyncIterator[PostgresStore]:
    """A store whose role may sign in, and owns nothing."""
    role = f"r{schema}"
    if not query(postgres, schema, "SELECT FROM pg_roles WHERE rolname = 'guest'"):
        query(postgres, schema, "CREATE ROLE guest")
    query(postgres, schema, f'CREATE ROLE "{role}" LOGIN IN ROLE guest')
    store = postgres_store(replace(postgres, user=role), schema)
    yield store
    await store.aclose()


@pytest.mark.parametrize("has_tables", [True, False])
async def test_when_the_role_may_not_look_into_the_schema_then_nothing_is_written_elsewhere(
    postgres: Postgres,
    schema: str,
    ask: Callable[..., list[Any]],
    stranger: PostgresStore,
    *,
    has_tables: bool,
) -> None:
    """PostgreSQL would make tables among the session's temporary ones, and lose them with it."""
    ask(f'CREATE SCHEMA "{schema}"')
    if has_tables:
        owner = postgres_store(postgres, schema)
        await owner.write([record("a")])
        await owner.aclose()

    with pytest.raises(StoreUnavailable, match="CREATE SCHEMA bridge AUTHORIZATION"):
        await stranger.write([record("b")])
    with pytest.raises(StoreUnavailable, match="CREATE SCHEMA bridge AUTHORIZATION"):
        await stranger.load()

    assert [] == ask(
        "SELECT relname FROM pg_class WHERE relname = 'records' AND relpersistence = 't'"
    )


async def test_when_the_right_to_look_is_taken_back_then_the_next_run_says_so(
    schema: str, ask: Callable[..., list[Any]], stranger: PostgresStore
) -> None:
    """The tables seem to be gone then, and are not to be made anew where nobody keeps them."""
    role = f"r{schema}"
    ask(f'CREATE SCHEMA "{schema}" AUTHORIZATION "{role}"')
    assert 1 == await stranger.write([record("a")])
    ask(f'REVOKE ALL ON SCHEMA "{schema}" FROM "{role}"')

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await stranger.write([record("b")])

    ask(f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"')
    assert 1 == await stranger.write([record("b")])
    assert [("a",), ("b",)] == ask("SELECT id FROM records ORDER BY id")
