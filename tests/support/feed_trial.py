"""Many writers and readers of one feed on the model of DynamoDB, and what its readers missed.

The real store runs; what is chosen is the order of all steps and what goes wrong.
"""

import itertools
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from aws_backend.cursor import Cursor, FeedCursor, ShardCursor
from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import CursorExpired, FeedContended, StorageUnavailable
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.record import StoredRecord
from aws_backend.table_layout import item_to_record, records_collection, shard_of
from tests.support.dynamodb import create_table
from tests.support.dynamodb_model.client import ModelClient, Rewrite
from tests.support.dynamodb_model.drivers import AtOnce, Killed, VirtualTime
from tests.support.dynamodb_model.expressions import Item
from tests.support.dynamodb_model.service import DynamoDbModel, Limits
from tests.support.dynamodb_model.tables import Table
from tests.support.dynamodb_model.weather import Calm, Shares, Storm, Weather

_BEGAN: Final = 1_700_000_000.0
_MOST_SKEW_SECONDS: Final = 3600.0
_PAUSE_SECONDS: Final = 0.002
_DELETIONS: Final = 0.1
_PAGES: Final = (1, 2, 5, 100)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried."""

    changes: int
    writers: int = 3
    readers: int = 2
    """Each has one cursor for the whole feed. Of several shards, each has its own reader too."""
    records: int = 5
    """How many IDs the writers write to."""
    shards: int = 1
    shares: Shares = field(default_factory=Shares)
    rewrite: Rewrite = lambda _operation, request: request
    limits: Limits | None = None
    answers_early: bool = False
    """Whether a transaction is answered before all of it shows, which DynamoDB does not do."""


@dataclass(slots=True)
class Outcome:
    """What a trial has come to. Nobody has missed anything if `complaints` is empty."""

    committed: int = 0
    filled_behind: int = 0
    """How often a change became visible at a place that a reader had passed."""
    lost: int = 0
    """How many of the table's records a reader holds otherwise, or not at all, in the end."""
    unordered: int = 0
    """How often a reader got a change that was not after all it had got, or an older version."""
    vanished: int = 0
    """How many writes were reported as done and never became visible."""
    doubled: int = 0
    """How many places in the feed were given to two changes, or left out."""
    expired: int = 0
    """How often a reader was told that its feed is gone."""
    events: Tally[str] = field(default_factory=Tally)
    """What else there was: kills, answers lost, 503s."""
    steps: int = 0
    pages: int = 0

    @property
    def complaints(self) -> dict[str, int]:
        """What must not be, by name, where it was."""
        named = {
            "filled_behind": self.filled_behind,
            "lost": self.lost,
            "unordered": self.unordered,
            "vanished": self.vanished,
            "doubled": self.doubled,
            "expired": self.expired,
        }
        return {name: count for name, count in named.items() if count}

    @property
    def missed(self) -> int:
        """How many committed changes a reader has passed or not got."""
        return self.filled_behind + self.lost


@dataclass(slots=True)
class _Reader:
    """One who follows the feed, or one shard, by one cursor, and keeps what it got with that."""

    shards: int
    shard: int | None = None
    """The only one that it reads, if it does not read the whole feed."""
    cursor: FeedCursor = field(default_factory=Cursor.at_start)
    held: dict[str, StoredRecord] = field(default_factory=dict)

    def take(self, store: DynamoDbRecordStore, limit: int, outcome: Outcome) -> bool:
        """Read a page; return whether there may be more."""
        if self.shard is not None and isinstance(self.cursor, Cursor):
            listing = store.list_shards()
            if listing is None:
                return False
            self.cursor = listing.shards[self.shard].start
        page = store.read_changes(self.cursor, limit)
        outcome.pages += 1
        reached = {shard: self.reached(shard) for shard in range(self.shards)}
        for record in page.records:
            before = self.held.get(record.id)
            is_older = before is not None and before.version >= record.version
            shard = shard_of(record.id, self.shards)
            outcome.unordered += is_older or record.sequence <= reached[shard]
            reached[shard] = record.sequence
            self.held[record.id] = record
        self.cursor = page.next_cursor
        return bool(page.records) or page.has_more

    def reads(self, shard: int) -> bool:
        """Return whether the shard's records come to this reader."""
        return self.shard in {None, shard}

    def reached(self, shard: int) -> int:
        """Return up to where the cursor has passed the shard."""
        match self.cursor:
            case Cursor(sequence=sequence):
                return sequence if shard == 0 else 0
            case ShardCursor(sequence=sequence):
                return sequence if shard == self.shard else 0
            case whole:
                return whole.sequences[shard]


@dataclass(frozen=True, slots=True)
class _SkewedClock:
    driver: VirtualTime
    offset: float

    def now(self) -> float:
        return _BEGAN + self.offset + self.driver.now()

    def monotonic(self) -> float:
        return self.driver.now()


class _Run:
    """One trial in one order."""

    def __init__(self, trial: Trial, weather: Weather, random: Random) -> None:
        self.trial = trial
        self.random = random
        self.driver = VirtualTime(most_steps=10_000 + 4_000 * trial.changes)
        self.model = DynamoDbModel(
            weather,
            limits=trial.limits,
            answers_early=trial.answers_early,
            now=self.driver.now,
        )
        self.outcome = Outcome()
        self.readers = [_Reader(trial.shards) for _ in range(trial.readers)]
        if trial.shards > 1:
            self.readers += [_Reader(trial.shards, shard) for shard in range(trial.shards)]
        self.shards = {records_collection(shard): shard for shard in range(trial.shards)}
        self.visible: set[tuple[str, int, int, str]] = set()
        self.reported: set[tuple[str, int, int, str]] = set()
        self.places: Tally[tuple[int, int]] = Tally()
        self.texts = itertools.count(1)
        self.writing = trial.writers
        self.table = ""

    def run(self) -> Outcome:
        weather, self.model.weather = self.model.weather, Calm()
        self.table = create_table(ModelClient(self.model).as_boto3(), "records")
        self.model.weather = weather
        self.model.on_visible = self._judge
        for _ in range(self.trial.writers):
            self.driver.spawn(self._write)
        for reader in self.readers:
            self.driver.spawn(partial(self._follow, reader))
        self.driver.run()
        self._judge_the_end()
        return self.outcome

    def _open(self) -> DynamoDbRecordStore:
        """Return the store as a process has it that has just started."""
        client = ModelClient(self.model, self.driver, rewrite=self.trial.rewrite, is_checked=False)
        skew = self.random.uniform(-_MOST_SKEW_SECONDS, _MOST_SKEW_SECONDS)
        return DynamoDbRecordStore(
            client.as_boto3(),
            self.table,
            _SkewedClock(self.driver, skew),
            sleep=self.driver.sleep,
            jitter=self.random.random,
            known=KnownFeed(self.trial.shards),
        )

    def _judge(self, _table: Table, item: Item | None) -> None:
        """See a write in the moment in which it becomes visible."""
        shard = self.shards.get(item["collection"]["S"]) if item is not None else None
        if item is None or shard is None:
            return
        record = item_to_record(item)
        self.outcome.committed += 1
        self.visible.add(_identify(record))
        self.places[shard, record.sequence] += 1
        self.outcome.filled_behind += sum(
            reader.reads(shard) and reader.reached(shard) >= record.sequence
            for reader in self.readers
        )

    def _write(self) -> None:
        store = self._open()
        while self.outcome.committed < self.trial.changes:
            record_id = f"r{self.random.randrange(self.trial.records)}"
            deletes = self.random.random() < _DELETIONS
            text = None if deletes else f'{{"n":{next(self.texts)}}}'
            try:
                written = store.write_record(record_id, _decide(text))
            except (FeedContended, StorageUnavailable) as error:
                self.outcome.events[error.code] += 1
                self.driver.sleep(self.random.random() * _PAUSE_SECONDS)
            except Killed:
                self.outcome.events["writers killed"] += 1
                store = self._open()
            else:
                self.reported.add(_identify(written))
        self.writing -= 1

    def _follow(self, reader: _Reader) -> None:
        store = self._open()
        while self.writing:
            try:
                if not reader.take(store, self.random.choice(_PAGES), self.outcome):
                    self.driver.sleep(self.random.random() * _PAUSE_SECONDS)
            except CursorExpired:
                self.outcome.expired += 1
            except StorageUnavailable as error:
                self.outcome.events[error.code] += 1
            except Killed:
                self.outcome.events["readers killed"] += 1
                store = self._open()

    def _judge_the_end(self) -> None:
        """Let each reader come to the end of the feed in quiet, and compare it with the table."""
        self.model.weather = Calm()
        store = DynamoDbRecordStore(
            ModelClient(self.model, AtOnce(), rewrite=self.trial.rewrite).as_boto3(),
            self.table,
            _SkewedClock(self.driver, 0.0),
            sleep=lambda _seconds: None,
            jitter=lambda: 0.5,
            known=KnownFeed(self.trial.shards),
        )
        truth = {record.id: record for record in self._records()}
        for reader in self.readers:
            try:
                while reader.take(store, 100, self.outcome):
                    pass
            except CursorExpired:
                self.outcome.expired += 1
            self.outcome.lost += sum(
                reader.reads(shard_of(record_id, self.trial.shards))
                and reader.held.get(record_id) != record
                for record_id, record in truth.items()
            )
        self.outcome.vanished = len(self.reported - self.visible)
        for shard in self.shards.values():
            places = Tally({n: count for (of, n), count in self.places.items() if of == shard})
            left_out = max(places, default=0) - len(places)
            self.outcome.doubled += sum(places.values()) - len(places) + left_out
        self.outcome.steps = self.driver.steps

    def _records(self) -> Iterator[StoredRecord]:
        for item in self.model.tables[self.table].items():
            if item["collection"]["S"] in self.shards:
                yield item_to_record(item)


def run_trial(trial: Trial, seed: int) -> Outcome:
    """Return what the trial comes to in one of all orders of steps, the one of this seed."""
    random = Random(seed)  # noqa: S311 - chooses an order, guards nothing
    return _Run(trial, Storm(random, trial.shares), random).run()


def run_chosen(trial: Trial, weather: Weather, seed: int = 0) -> Outcome:
    """Return what the trial comes to in the order that the weather gives."""
    return _Run(trial, weather, Random(seed)).run()  # noqa: S311 - picks records


def _decide(text: str | None) -> Callable[[StoredRecord | None], str | None]:
    return lambda _current: text


def _identify(record: StoredRecord) -> tuple[str, int, int, str]:
    return record.id, record.version, record.sequence, record.data


# --- what the feed's rule consists of, each left out in the request -------------------------------


def without_the_check_of_the_change_before(
    operation: str, request: dict[str, Any]
) -> dict[str, Any]:
    """Leave out what holds a change back until the one before it shows."""
    if operation != "TransactWriteItems":
        return request
    actions = [each for each in request["TransactItems"] if "ConditionCheck" not in each]
    return request | {"TransactItems": actions}


def without_the_counters_condition(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Let the counter be moved whatever it says by now."""
    if operation != "TransactWriteItems":
        return request
    return request | {"TransactItems": [_unconditional(each) for each in request["TransactItems"]]}


def _unconditional(action: dict[str, Any]) -> dict[str, Any]:
    put = action.get("Put", {})
    if "last_id" not in put.get("Item", {}):
        return action
    return {"Put": {name: put[name] for name in ("TableName", "Item")}}


def without_the_pages_bound(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Read whatever the index shows, beyond what the counter said too."""
    if operation != "Query":
        return request
    condition = request["KeyConditions"]["sequence"]
    unbounded = {
        "ComparisonOperator": "GE",
        "AttributeValueList": condition["AttributeValueList"][:1],
    }
    return request | {"KeyConditions": request["KeyConditions"] | {"sequence": unbounded}}


def without_consistent_reads(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Read what any replica has."""
    if operation == "BatchGetItem":
        tables = {
            name: keys | {"ConsistentRead": False} for name, keys in request["RequestItems"].items()
        }
        return request | {"RequestItems": tables}
    return request | {"ConsistentRead": False} if "ConsistentRead" in request else request


MUTANTS: Final[tuple[Rewrite, ...]] = (
    without_the_check_of_the_change_before,
    without_the_counters_condition,
    without_the_pages_bound,
    without_consistent_reads,
)
