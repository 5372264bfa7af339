"""Writers of one feed on the model, in virtual time: what they get written, and at what cost."""

from dataclasses import dataclass, field
from functools import partial
from random import Random

from aws_backend.dynamodb_store import DynamoDbRecordStore
from aws_backend.errors import FeedContended, StorageUnavailable
from aws_backend.feed.known_feed import KnownFeed
from aws_backend.record import StoredRecord
from tests.support.dynamodb import create_table
from tests.support.dynamodb_model.client import ModelClient
from tests.support.dynamodb_model.drivers import AtOnce, Driver, RealTime, VirtualTime
from tests.support.dynamodb_model.service import Consumed, DynamoDbModel, Limits
from tests.support.dynamodb_model.weather import Calm, FairWeather

_DATA = '{"name":"' + "x" * 280 + '","n":%d}'
"""Some 300 bytes, so that a record is one write unit."""
_WALL_CLOCK = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Load:
    """Who writes, and for how long."""

    writers: int
    shards: int
    seconds: float
    records: int = 2_000
    """How many IDs are written to, all of them equally often."""


@dataclass(slots=True)
class Written:
    """What came of it."""

    writes: int = 0
    refused: int = 0
    """Answered 503; their writers went on with another record at once."""
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    """Of the writes that were done, in seconds."""
    conflicts: int = 0
    consumed: Consumed = field(default_factory=Consumed)

    @property
    def writes_per_second(self) -> float:
        """What all writers got done together."""
        return self.writes / self.seconds

    @property
    def refused_share(self) -> float:
        """Of all that was asked for."""
        return self.refused / max(1, self.writes + self.refused)

    def latency(self, share: float) -> float:
        """Return the seconds below which that share of the writes stayed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class _Clock:
    driver: Driver

    def now(self) -> float:
        return _WALL_CLOCK + self.driver.now()

    def monotonic(self) -> float:
        return self.driver.now()


def write_virtually(load: Load, seed: int, *, limits: Limits | None = None) -> Written:
    """Return what the load gets written by the model's clock, however long this machine takes."""
    random = Random(seed)  # noqa: S311 - picks records and latencies
    driver = VirtualTime()
    model = DynamoDbModel(now=driver.now)
    table = _begin_feed(model, load)
    model.weather, model.limits = FairWeather(random), limits
    written = Written()
    for _ in range(load.writers):
        # Each is a process of its own, as each Lambda is: nothing is shared but the table.
        store = _open(ModelClient(model, driver, is_checked=False), table, driver, random, load)
        driver.spawn(partial(_write, store, driver, random, load, written))
    driver.run()
    written.seconds = load.seconds
    written.conflicts, written.consumed = model.conflicts, model.consumed
    return written


def write_in_real_time(load: Load, seed: int) -> Written:
    """Return what one writer gets written while the model sleeps as long as each step takes."""
    if load.writers != 1:
        raise ValueError("many threads would measure this machine")
    random = Random(seed)  # noqa: S311 - picks records and latencies
    model = DynamoDbModel()
    table = _begin_feed(model, load)
    model.weather = FairWeather(random)
    driver = RealTime()
    written = Written(seconds=load.seconds)
    store = _open(ModelClient(model, driver, is_checked=False), table, driver, random, load)
    _write(store, driver, random, load, written)
    return written


def _begin_feed(model: DynamoDbModel, load: Load) -> str:
    model.weather = Calm()
    client = ModelClient(model)
    table = create_table(client.as_boto3(), "records")
    first = _open(client, table, AtOnce(), Random(0), load)  # noqa: S311 - see above
    for number in range(load.records):
        # All records are there already: what is measured are changes.
        first.write_record(f"r{number}", lambda _current: _DATA % 0)
    model.consumed, model.conflicts = Consumed(), 0
    return table


def _open(
    client: ModelClient, table: str, driver: Driver, random: Random, load: Load
) -> DynamoDbRecordStore:
    return DynamoDbRecordStore(
        client.as_boto3(),
        table,
        _Clock(driver),
        sleep=driver.sleep,
        jitter=random.random,
        known=KnownFeed(load.shards),
    )


def _write(
    store: DynamoDbRecordStore, driver: Driver, random: Random, load: Load, written: Written
) -> None:
    while (began := driver.now()) < load.seconds:
        text = _DATA % random.randrange(10**9)
        try:
            store.write_record(f"r{random.randrange(load.records)}", partial(_replace, text))
        except (FeedContended, StorageUnavailable):
            written.refused += 1
        else:
            written.writes += 1
            written.latencies.append(driver.now() - began)


def _replace(text: str, _current: StoredRecord | None) -> str:
    return text
