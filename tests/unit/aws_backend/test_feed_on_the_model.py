"""The feed's promise, on a DynamoDB whose transactions become visible item by item."""

import contextlib
import itertools
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import FeedContended, StorageUnavailable
from aws_backend.feed_renewal import renew_feed
from aws_backend.record_import import import_records
from aws_backend.table_layout import shard_of
from tests.support.dynamodb import create_table, open_store
from tests.support.dynamodb_model.client import ModelClient, Rewrite
from tests.support.dynamodb_model.drivers import VirtualTime
from tests.support.dynamodb_model.service import DynamoDbModel, Limits
from tests.support.dynamodb_model.weather import Calm, Chosen, Fate, Shares, Storm
from tests.support.feed_trial import (
    MUTANTS,
    Trial,
    run_chosen,
    run_trial,
    without_the_check_of_the_change_before,
)
from tests.support.record_store_promises import START, RecordStorePromises, follow, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_backend.record import StoredRecord

SCHEDULES = 60


def small_trial(rewrite: Rewrite = lambda _operation, request: request, shards: int = 1) -> Trial:
    """Four writers and three readers, and everything that can go wrong."""
    return Trial(20, writers=4, readers=3, records=12, shards=shards, rewrite=rewrite)


def open_empty_store(model: DynamoDbModel) -> DynamoDbRecordStore:
    """A store on a new table of the model."""
    client = ModelClient(model).as_boto3()
    return open_store(client, create_table(client))


class TestPromises(RecordStorePromises):
    """The model keeps the promises that every store keeps, so it stands in for DynamoDB."""

    @pytest.fixture
    def store(self) -> DynamoDbRecordStore:
        """An empty store."""
        return open_empty_store(DynamoDbModel())

    @pytest.fixture
    def other_store(self) -> DynamoDbRecordStore:
        """An empty store with a feed of its own."""
        return open_empty_store(DynamoDbModel())


@pytest.mark.parametrize("shards", [1, 3])
def test_when_writers_and_readers_meet_in_any_order_then_nothing_is_missed(shards: int) -> None:
    """Kills, lost requests and answers, throttles, skewed clocks and stalls lose no change."""
    found = {
        seed: outcome.complaints
        for seed in range(SCHEDULES)
        if (outcome := run_trial(small_trial(shards=shards), seed)).complaints
    }

    assert {} == found


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_when_part_of_the_rule_is_left_out_then_a_change_is_missed(
    mutant: Rewrite, shards: int
) -> None:
    """The orders that are tried tell the rule from one that loses changes, part by part."""
    missed = (run_trial(small_trial(mutant, shards), seed).missed for seed in range(SCHEDULES))

    assert any(missed)


def test_when_nothing_goes_wrong_then_leaving_out_the_check_still_misses_a_change() -> None:
    """What the check of the change before is for needs no fault: the order of steps is enough."""
    trial = replace(
        small_trial(without_the_check_of_the_change_before),
        shares=Shares(0.0, 0.0, 0.0, 0.0, 0.0, stalls=0.1),
    )

    assert any(run_trial(trial, seed).missed for seed in range(SCHEDULES))


@pytest.mark.parametrize("shards", [1, 3])
def test_when_an_answer_comes_before_all_of_a_transaction_shows_then_nothing_is_missed(
    shards: int,
) -> None:
    """Each writer has the change before checked, its own too, whatever it was told of it."""
    trial = replace(small_trial(shards=shards), answers_early=True)
    found = {
        seed: outcome.complaints
        for seed in range(SCHEDULES)
        if (outcome := run_trial(trial, seed)).complaints
    }

    assert {} == found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choices=st.lists(st.integers(0, 12), max_size=150), seed=st.integers(0, 3))
def test_when_the_order_of_steps_is_chosen_then_nothing_is_missed(
    choices: list[int], seed: int
) -> None:
    """Hypothesis looks for an order that loses a change, and would show the shortest."""
    trial = Trial(changes=4, writers=3, readers=2, records=3)

    assert {} == run_chosen(trial, Chosen(choices), seed).complaints


@pytest.mark.parametrize("seed", range(20))
def test_when_processes_begin_a_feed_with_other_numbers_of_shards_then_there_is_one_feed(
    seed: int,
) -> None:
    """One of them makes it, the others find it, and each write stands where readers look for it."""
    random = Random(seed)  # noqa: S311 - chooses an order
    driver = VirtualTime()
    model = DynamoDbModel(now=driver.now)
    table = create_table(ModelClient(model).as_boto3())
    model.weather = Storm(random, Shares(0.01, 0.02, 0.0, 0.0, 0.01))
    reported: dict[str, StoredRecord] = {}

    def write(shards: int) -> None:
        store = replace(
            open_store(ModelClient(model, driver).as_boto3(), table, shards),
            sleep=driver.sleep,
            jitter=random.random,
        )
        for number in range(3):
            with contextlib.suppress(StorageUnavailable, FeedContended):
                written = put(store, f"of-{shards}-{number}")
                reported[written.id] = written

    for shards in (1, 2, 5):
        driver.spawn(partial(write, shards))
    driver.run()
    model.weather = Calm()
    reader = open_store(ModelClient(model).as_boto3(), table, 64)
    held = {record.id: record for record in follow(reader)}

    assert reported
    assert reported == {record_id: held.get(record_id) for record_id in reported}
    assert reported == {record_id: reader.get_record(record_id) for record_id in reported}


def test_when_a_seed_is_tried_again_then_the_same_happens() -> None:
    """What a failing test says can be looked at again."""
    assert run_trial(small_trial(), 7) == run_trial(small_trial(), 7)


def test_when_many_changes_are_written_then_none_is_missed() -> None:
    """A sample of `make feed-trial`: 8 writers, kills, skew, throttles and partition limits."""
    trial = Trial(1000, writers=8, readers=2, records=50, shards=2, limits=Limits())
    outcome = run_trial(trial, 1)

    assert {} == outcome.complaints
    assert 1000 <= outcome.committed
    assert 0 < outcome.events["writers killed"]


def test_when_the_feed_is_written_and_read_then_every_read_is_strongly_consistent() -> None:
    """No request of a writer or a reader asks a replica that may be behind."""
    reads: list[tuple[str, Any]] = []

    def look(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        match operation:
            case "GetItem" | "Query":
                reads.append((operation, request.get("ConsistentRead")))
            case "BatchGetItem":
                reads.extend(
                    (operation, keys.get("ConsistentRead"))
                    for keys in request["RequestItems"].values()
                )
        return request

    client = ModelClient(DynamoDbModel(), rewrite=look).as_boto3()
    store = open_store(client, create_table(client))
    put(store, "a")
    put(store, "b")
    put(store, "a")
    store.get_record("a")
    follow(store)

    assert {"Query"} < {operation for operation, _is_consistent in reads}
    assert {True} == {is_consistent for _operation, is_consistent in reads}


class Losing(Calm):
    """Every answer to a transaction is lost."""

    def __init__(self, lost: int) -> None:
        """Lose so many answers, after the reads of a write."""
        self.lost = lost

    def fate(self) -> Fate:
        """Lost, while there are some to lose."""
        self.lost -= 1
        return Fate.REPLY_LOST if self.lost >= 0 else Fate.ANSWERED


@pytest.mark.parametrize("lost", [1, 2])
def test_when_the_answer_to_a_commit_is_lost_then_it_is_committed_once(lost: int) -> None:
    """The repeated transaction carries its token, so it does not find its own change in the way."""
    weather = Calm()
    model = DynamoDbModel(weather)
    store = open_empty_store(model)
    put(store, "a")
    original: Callable[..., Any] = store.client.transact_write_items

    def lose(**request: Any) -> Any:
        model.weather = Losing(lost)
        return original(**request)

    store.client.transact_write_items = lose  # type: ignore[method-assign]
    written = put(store, "a")

    assert (2, 2) == (written.version, written.sequence)
    assert [written] == follow(store)


def test_when_every_answer_to_a_commit_is_lost_then_the_writer_is_told_and_the_feed_goes_on() -> (
    None
):
    """Whether it was written is not known to its writer; the feed shows it once."""
    model = DynamoDbModel()
    store = open_empty_store(model)
    put(store, "a")
    original: Callable[..., Any] = store.client.transact_write_items

    def lose(**request: Any) -> Any:
        model.weather = Losing(3)
        return original(**request)

    store.client.transact_write_items = lose  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        put(store, "b", '{"x":1}')
    store.client.transact_write_items = original  # type: ignore[method-assign]

    assert [("a", 1), ("b", 2)] == [(record.id, record.sequence) for record in follow(store)]
    assert 3 == put(store, "c").sequence


def test_when_a_feed_is_imported_and_renewed_then_the_model_serves_that_too() -> None:
    """The import's batches and the renewal's transactions go through, as on DynamoDB."""
    client = ModelClient(DynamoDbModel()).as_boto3()
    table = create_table(client)
    import_records(client, table, [(f"r{number}", {"n": number}) for number in range(60)])
    store = open_store(client, table)
    put(store, "r7")
    renewed = renew_feed(client, table)

    assert (60, (61,), 0, 0) == (
        renewed.records,
        renewed.sequences,
        renewed.lost_changes,
        renewed.records_moved,
    )
    assert 60 == len(follow(store, START))


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (2, 3)])
def test_when_a_feed_is_given_other_shards_then_a_process_that_knew_it_writes_on(
    before: int, after: int
) -> None:
    """Counters are put in the place of counters that have their sequence elsewhere."""
    model = DynamoDbModel()
    client = ModelClient(model).as_boto3()
    table = create_table(client)
    import_records(client, table, [(f"r{n}", {"n": n}) for n in range(30)], shards=before)
    store = open_store(client, table, before)
    put(store, "r7")
    renew_feed(client, table, shards=after)
    written = [put(store, f"r{number}", '{"n":"new"}') for number in range(10)]

    held = {record.id: record for record in follow(store)}
    assert 30 == len(held)
    assert written == [held[record.id] for record in written]
    counters = [item for item in model.tables[table].items() if "feed_id" in item]
    assert {"sequence" if after == 1 else "last_sequence"} == {
        name for item in counters for name in item if "sequence" in name
    }


@pytest.mark.parametrize(("shards", "another", "the_same"), [(1, 14, 12), (2, 10, 8), (16, 10, 8)])
def test_when_nobody_else_writes_then_a_write_costs_what_the_table_says(
    shards: int, another: int, the_same: int
) -> None:
    """Write units of a change, after one of another record and after one of the same."""
    model = DynamoDbModel()
    client = ModelClient(model).as_boto3()
    store = open_store(client, create_table(client), shards)
    every = (f"r{number}" for number in itertools.count())
    one, two = itertools.islice((i for i in every if shard_of(i, shards) == shards - 1), 2)
    put(store, two)
    put(store, one)
    costs: list[float] = []
    for record_id in (two, two):
        before = model.consumed.write_units
        put(store, record_id, f'{{"n":{len(costs)}}}')
        costs.append(model.consumed.write_units - before)

    assert [another, the_same] == costs
