"""What is in a sink, read from outside, and sinks that begin with what another one held."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from uuid import uuid4

from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from azure_function_app.stores import table_store
from azure_function_app.stores.table_entities import GUARD_KEY


class Row(NamedTuple):
    """A record as the sink holds it."""

    id: str
    generation: int
    version: int
    deleted: bool
    data: str


class Contents(NamedTuple):
    """All that a sink holds."""

    rows: tuple[Row, ...]
    set_aside: tuple[str, ...]
    """The IDs that the items claim."""

    def live(self) -> dict[str, tuple[int, str]]:
        """Return version and data of each record that is there, by its ID."""
        return {row.id: (row.version, row.data) for row in self.rows if not row.deleted}


EMPTY: Final = Contents((), ())


class Addresses(Protocol):
    """Where a run finds the services that a sink may be in."""

    table_url: str
    postgres_port: int


class Sink(Protocol):
    """One trial's records and checkpoint."""

    @property
    def prefix(self) -> str:
        """What the names of its tables begin with, or of its schema."""

    def environment(self, addresses: Addresses) -> Mapping[str, str]:
        """The settings with which a run uses it."""

    def read(self) -> Contents | None:
        """What it holds, from outside; None if it can be read by nobody just now."""

    def copy(self, folder: Path) -> "Sink":
        """A sink that begins with the same, checkpoint included."""

    def refuse(self, record_id: str) -> None:
        """Let the store refuse a record for good."""

    def close(self) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class SqliteSink:
    """A file."""

    path: Path
    prefix: str = "unused"

    def environment(self, addresses: Addresses) -> Mapping[str, str]:  # noqa: ARG002 - what others need
        """Return the settings."""
        return {"RECORD_STORE": "sqlite", "SQLITE_PATH": str(self.path)}

    def read(self) -> Contents | None:
        """Return what it holds, as another process reads it; None while a run has it locked."""
        if not self.path.exists():
            return EMPTY
        try:
            # Who only reads makes no checkpoint of the WAL when it closes.
            return self._read("ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                return None
            # What a crash has left has to be rolled back first, by whoever comes.
            if not error.sqlite_errorname.startswith("SQLITE_READONLY"):
                raise
            return self._read("rw")

    def _read(self, mode: str) -> Contents:
        where = f"file:{self.path}?mode={mode}"
        with closing(sqlite3.connect(where, uri=True, timeout=0.1)) as file:
            tables = {name for (name,) in file.execute("SELECT name FROM sqlite_schema")}
            if not tables >= {"records", "poison"}:
                return EMPTY
            rows = file.execute("SELECT id, generation, version, deleted, data FROM records")
            return Contents(
                tuple(
                    Row(key, generation, version, bool(deleted), data)
                    for key, generation, version, deleted, data in rows
                ),
                tuple(name for (name,) in file.execute("SELECT id FROM poison")),
            )

    def copy(self, folder: Path) -> Sink:
        """Return a sink with a copy of the file, which nobody has open."""
        path = folder / self.path.name
        if self.path.exists():
            shutil.copyfile(self.path, path)
        return SqliteSink(path)

    def refuse(self, record_id: str) -> None:
        """Refuse the record by a rule in the file, as whoever owns it may have made one."""
        with closing(sqlite3.connect(self.path, autocommit=True)) as file:
            file.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON records"
                f" WHEN NEW.id = '{record_id}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )

    def close(self) -> None:
        """Leave the file to its folder."""


_TABLES: Final = ("records", "setaside", "state")


@dataclass(frozen=True, slots=True)
class TableSink:
    """Three tables in Azurite."""

    service: TableServiceClient
    prefix: str

    def environment(self, addresses: Addresses) -> Mapping[str, str]:
        """Return the settings."""
        return {"RECORD_STORE": "table", "TABLE_ENDPOINT": addresses.table_url}

    def read(self) -> Contents:
        """Return what it holds, read without anything of ours in between."""
        return Contents(
            tuple(
                Row(
                    entity["record_id"],
                    entity["generation"],
                    entity["version"].value,
                    entity["deleted"],
                    entity["data"],
                )
                for entity in self._entities("records")
                if entity["RowKey"] != GUARD_KEY
            ),
            tuple(entity["record_id"] for entity in self._entities("setaside")),
        )

    def copy(self, folder: Path) -> Sink:  # noqa: ARG002 - what others need
        """Return a sink with copies of the entities."""
        copied = new_table_sink(self.service)
        for name in _TABLES:
            by_partition: dict[str, list[Any]] = {}
            for entity in self._entities(name):
                by_partition.setdefault(entity["PartitionKey"], []).append(("create", entity))
            if not by_partition:
                continue
            table = self.service.create_table(copied.prefix + name)
            for operations in by_partition.values():
                table.submit_transaction(operations)
        return copied

    def refuse(self, record_id: str) -> None:
        """Leave it to the proxy in front of Azurite."""

    def close(self) -> None:
        """Delete the tables."""
        for name in _TABLES:
            self.service.delete_table(self.prefix + name)

    def _entities(self, name: str) -> Iterator[Any]:
        try:
            yield from self.service.get_table_client(self.prefix + name).list_entities()
        except ResourceNotFoundError:
            return


def new_table_sink(service: TableServiceClient) -> TableSink:
    """Return a sink without tables."""
    return TableSink(service, f"t{uuid4().hex[:16]}")


def connect_to_azurite(table_url: str) -> TableServiceClient:
    """Return a client for looking at Azurite's tables past the proxy."""
    credential = AzureNamedKeyCredential(table_store.AZURITE_ACCOUNT, table_store.AZURITE_KEY)
    return TableServiceClient(table_url, credential=credential)


def duplicates(names: Sequence[str]) -> set[str]:
    """Return what comes more than once."""
    return {name for name in names if names.count(name) > 1}
