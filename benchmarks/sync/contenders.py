"""Who is compared, and one load by one of them in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple
from uuid import uuid4

from benchmarks.sync.sinks import digest_sqlite, digest_table, drop_tables
from benchmarks.sync.source import Source

REPO_ROOT: Final = Path(__file__).resolve().parents[2]
DLT_PYTHON: Final = REPO_ROOT / ".tools/bench-sync/bin/python"
CHANGES: Final = 10
"""In an increment."""
_LOADED_WITHIN_SECONDS: Final = 3_600


class BenchmarkFailed(Exception):
    """A measurement could not be made; the message says what to change."""


class Store(StrEnum):
    """Where the records go."""

    SQLITE = "sqlite"
    TABLE = "table"

    @property
    def label(self) -> str:
        """Return its name in the tables."""
        return {Store.SQLITE: "SQLite", Store.TABLE: "Table Storage (Azurite)"}[self]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to bring a feed into a store."""

    name: str
    """Its key in the results."""
    title: str
    program: str
    """The module that loads once."""
    stores: tuple[Store, ...]
    python: Path = Path(sys.executable)
    settings: tuple[str, ...] = ()
    """Environment variables, as `env` takes them."""


BRIDGE: Final = Contender("bridge", "the bridge", "bridge", tuple(Store))
PLAIN_LOOP: Final = Contender("plain_loop", "a plain loop", "plain_loop", tuple(Store))
DLT: Final = Contender(
    "dlt", "dlt", "dlt_pipeline", (Store.SQLITE,), DLT_PYTHON, ("RUNTIME__DLTHUB_TELEMETRY=false",)
)
CONTENDERS: Final = (BRIDGE, PLAIN_LOOP, DLT)


class Sample(NamedTuple):
    """What one load took."""

    seconds: float
    cpu_seconds: float
    """Of the contender's process."""
    peak_mib: float
    requests: int
    """That the source got."""
    source_cpu_seconds: float


class Loads(NamedTuple):
    """The first load of one contender, and the increment after it."""

    first: Sample
    increment: Sample


@dataclass(frozen=True, slots=True)
class Sink:
    """An empty place in a store, for one contender."""

    store: Store
    arguments: tuple[str, ...]
    """As the contenders' programs take them."""

    def digest(self) -> str:
        """Return the digest of what is stored."""
        match self.store:
            case Store.SQLITE:
                return digest_sqlite(Path(self.arguments[0]))
            case Store.TABLE:
                return digest_table(*self.arguments)


@contextmanager
def new_sink(store: Store, table_endpoint: str) -> Iterator[Sink]:
    """Yield a sink of its own, which is gone afterwards."""
    match store:
        case Store.SQLITE:
            with TemporaryDirectory(prefix="bench-sync-") as folder:
                yield Sink(store, (str(Path(folder) / "sink.db"),))
        case Store.TABLE:
            prefix = f"b{uuid4().hex}"
            try:
                yield Sink(store, (table_endpoint, prefix))
            finally:
                drop_tables(table_endpoint, prefix)


def measure(contender: Contender, source: Source, sink: Sink) -> Loads:
    """Return what a first load and an increment took. The source has its first state afterwards.

    Raises:
        BenchmarkFailed: the program failed, or the sink does not hold what the source has.

    """
    try:
        first = _load(contender, source, sink)
        source.change(CHANGES)
        return Loads(first, _load(contender, source, sink))
    finally:
        source.undo()


def _load(contender: Contender, source: Source, sink: Sink) -> Sample:
    source.count()
    done = subprocess.run(
        [
            "env",
            *contender.settings,
            contender.python,
            "-m",
            f"benchmarks.sync.programs.{contender.program}",
            source.origin,
            sink.store,
            *sink.arguments,
        ],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LOADED_WITHIN_SECONDS,
    )
    counted = source.count()
    if done.returncode != 0:
        raise BenchmarkFailed(f"{contender.title}: {done.stderr[-2_000:]}")
    stored, expected = sink.digest(), source.digest()
    if stored != expected:
        raise BenchmarkFailed(
            f"{contender.title}, {sink.store.label}: the sink holds {stored}, the source {expected}"
        )
    took = json.loads(done.stdout.splitlines()[-1])
    return Sample(**took, requests=counted.requests, source_cpu_seconds=counted.cpu_seconds)
