"""Records and checkpoint in Azure Table Storage: the account that the Function App has anyway.

The SDK's sync client serves, in threads, because the credential is sync (design decision 8).
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from typing import Any, Concatenate, Final, Self
from urllib.parse import urlsplit

from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
from azure.core.exceptions import (
    AzureError,
)
from azure.data.tables import TableServiceClient

from azure_function_app.deadline import Deadline
from azure_function_app.errors import ContentRefused, StoreTimedOut
from azure_function_app.stores.store_threads import StoreThreads
from azure_function_app.stores.table_entities import (
    PARTITION_KEYS,
    partition_key,
    row_key,
    split_into_transactions,
)
from azure_function_app.stores.table_poison import (
    drop_poison,
    get_poison,
    keep_poison,
    list_poison,
)
from azure_function_app.stores.table_records import (
    PartitionStretch,
    TableRecords,
    Token,
    every_partition,
)
from azure_function_app.stores.table_refusals import count_changed
from azure_function_app.stores.table_requests import TableRequests, is_table_missing, unavailable
from azure_function_app.stores.table_state import (
    delete_row,
    keep_report,
    kept_reports,
    load_row,
    save_row,
)
from azure_function_app.stores.table_view import TableView
from azure_function_app.sync.checkpoint_store import WHOLE_FEED_ROW, Checkpoint, SyncReport
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonOrigin
from azure_function_app.sync.record_sink import newest_by_id
from azure_function_app.sync.records import PoisonRecord, Record
from azure_function_app.sync.sweep import Stretch
from shared.loopback import is_loopback_address

_THREADS: Final = 8

# Azurite's account: the same on every machine, published in its README, good for nothing else.
AZURITE_ACCOUNT: Final = "devstoreaccount1"
AZURITE_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

type _TakePage = Callable[[TableRequests, str, Token, int], PartitionStretch]


class TableStore:
    """A record sink and a checkpoint store in three tables, shared safely with other instances."""

    def __init__(self, service: TableServiceClient, *, prefix: str, resources: ExitStack) -> None:
        """Use the tables whose names begin with the prefix; they are made on first use.

        `resources` is closed with the store.
        """
        self._service = service
        self._resources = resources
        self._tables = [prefix + name for name in ("records", "setaside", "state")]
        records, self._poison, self._state = map(service.get_table_client, self._tables)
        self._records = TableRecords(records)
        self._threads = StoreThreads(_THREADS, name="table-store")
        self.view = TableView(records, self._threads)
        # Shared with the views for other rows, of which each would make them again.
        self._made: set[str] = set()
        self._row = WHOLE_FEED_ROW

    def for_row(self, row: str) -> Self:
        """Return this store with the checkpoint of another row; it is closed with this one."""
        other = copy(self)
        other._row = row  # noqa: SLF001 - it is one of ours
        return other

    async def write(
        self, records: Sequence[Record], *, generation: int = 0, deadline: Deadline | None = None
    ) -> int:
        """Store a batch and say how many records that changed.

        It takes several transactions. If one fails, others may have been made: the next run writes
        them all again, which changes nothing where they were.
        """
        await self._ensure_tables(deadline)
        # One at a time in each partition, because each changes the partition's guard.
        by_partition: dict[str, list[list[Record]]] = {}
        for transaction in split_into_transactions(newest_by_id(records)):
            by_partition.setdefault(partition_key(transaction[0].id), []).append(transaction)

        def write_one(requests: TableRequests, transaction: list[Record]) -> int | ContentRefused:
            try:
                return self._records.write(requests, transaction, generation)
            except ContentRefused as refused:
                # The batch's other transactions go on, and count.
                return refused

        def write_all(
            requests: TableRequests, transactions: list[list[Record]]
        ) -> list[int | ContentRefused]:
            return [write_one(requests, transaction) for transaction in transactions]

        outcomes = await asyncio.gather(
            *(self._run(deadline, write_all, group) for group in by_partition.values())
        )
        return count_changed([outcome for group in outcomes for outcome in group])

    async def begin_generation(self, generation: int, *, deadline: Deadline | None = None) -> None:
        """Refuse every write of an earlier generation from now on."""
        await self._ensure_tables(deadline)
        await asyncio.gather(
            *(
                self._run(deadline, self._records.begin_generation, partition, generation)
                for partition in PARTITION_KEYS
            )
        )

    async def count_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Count a page of each partition: its live records, and those that the generation lacks."""
        return await self._walk(self._records.count_missing, position, generation, deadline)

    async def mark_missing(
        self, position: str, *, generation: int, deadline: Deadline | None = None
    ) -> Stretch:
        """Mark as deleted what the generation lacks in a page of each partition."""
        return await self._walk(self._records.mark_missing, position, generation, deadline)

    async def newest_generation(self, *, deadline: Deadline | None = None) -> int:
        """Return the latest generation that has begun; 0 if there is none."""
        await self._ensure_tables(deadline)
        guarded = await asyncio.gather(
            *(self._run(deadline, self._records.newest_generation, key) for key in PARTITION_KEYS)
        )
        begun = [generation for generation in guarded if generation is not None]
        if begun:
            return max(begun)
        # Tables from before there were guards.
        return await self._run(deadline, self._records.newest_generation_written)

    async def retain(
        self, ids: Sequence[str], *, generation: int, deadline: Deadline | None = None
    ) -> None:
        """Take records of earlier generations into this one, as they are, at version 0."""
        await self._ensure_tables(deadline)
        await asyncio.gather(
            *(
                self._run(deadline, self._records.retain, partition, members, generation)
                for partition, members in _by_partition(ids).items()
            )
        )

    async def stored_orders(
        self, ids: Sequence[str], *, deadline: Deadline | None = None
    ) -> Mapping[str, tuple[int, int]]:
        """Return by ID the generation and version of those records that are there."""
        await self._ensure_tables(deadline)
        found = await asyncio.gather(
            *(
                self._run(deadline, self._records.stored, partition, members)
                for partition, members in _by_partition(ids).items()
            )
        )
        held = {key: record for rows in found for key, record in rows.items()}
        return {
            record_id: held[key].order for record_id in ids if (key := row_key(record_id)) in held
        }

    async def set_aside(
        self,
        records: Sequence[PoisonRecord],
        *,
        origin: PoisonOrigin,
        deadline: Deadline | None = None,
    ) -> None:
        """Keep what is no valid record, each item once, whole if it fits into one entity."""
        await self._ensure_tables(deadline)
        await asyncio.gather(
            *(self._run(deadline, keep_poison, self._poison, record, origin) for record in records)
        )

    async def list_poison(
        self, *, after: str = "", limit: int = 100, deadline: Deadline | None = None
    ) -> Sequence[PoisonEntry]:
        """Return the next items that are kept, in the order of their keys."""
        await self._ensure_tables(deadline)
        return await self._run(deadline, list_poison, self._poison, after, limit)

    async def get_poison(self, key: str, *, deadline: Deadline | None = None) -> KeptPoison | None:
        """Return the item of that key with its content; None if there is none."""
        await self._ensure_tables(deadline)
        return await self._run(deadline, get_poison, self._poison, key)

    async def drop_poison(self, key: str, *, deadline: Deadline | None = None) -> bool:
        """Forget the item of that key, and return whether there was one."""
        await self._ensure_tables(deadline)
        return await self._run(deadline, drop_poison, self._poison, key)

    async def load(self, *, deadline: Deadline | None = None) -> Checkpoint:
        """Return the checkpoint as last saved, or `BEGINNING`."""
        return await self._run(deadline, load_row, self._state, self._row)

    async def save(
        self, moved: Checkpoint, *, replacing: Checkpoint, deadline: Deadline | None = None
    ) -> Checkpoint:
        """Move the checkpoint on, if it is still the one that is replaced."""
        await self._ensure_tables(deadline)
        return await self._run(deadline, save_row, self._state, self._row, moved, replacing)

    async def reset(self, *, deadline: Deadline | None = None) -> None:
        """Delete the checkpoint, whatever it holds."""
        await self._run(deadline, delete_row, self._state, self._row)

    async def save_report(self, report: SyncReport, *, deadline: Deadline | None = None) -> None:
        """Keep the report beside those of other runs, the newest of them."""
        await self._ensure_tables(deadline)
        await self._run(deadline, keep_report, self._state, report)

    async def load_reports(self, *, deadline: Deadline | None = None) -> Sequence[SyncReport]:
        """Return the reports that are kept, that of the run that ended last first."""
        return await self._run(deadline, kept_reports, self._state)

    async def load_report(self, *, deadline: Deadline | None = None) -> SyncReport | None:
        """Return the report of the run that ended last, if any has."""
        return next(iter(await self.load_reports(deadline=deadline)), None)

    async def aclose(self) -> None:
        """Close the connections; the store is not usable afterwards. Twice is harmless."""
        await self._threads.aclose(self._resources.close)

    async def _walk(
        self, take: _TakePage, position: str, generation: int, deadline: Deadline | None
    ) -> Stretch:
        """Take a page of each partition that is not at its end, as far as the time reaches."""
        await self._ensure_tables(deadline)
        tokens = _decode_position(position) if position else every_partition()
        outcomes = await asyncio.gather(
            *(self._run(deadline, take, key, token, generation) for key, token in tokens.items()),
            return_exceptions=True,
        )
        following, live, missing, late = dict(tokens), 0, 0, None
        for partition, outcome in zip(tokens, outcomes, strict=True):
            if isinstance(outcome, StoreTimedOut):
                late = outcome
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            live += outcome.live
            missing += outcome.missing
            following[partition] = outcome.next
            if outcome.is_end:
                del following[partition]
        if late is not None and following == tokens:
            raise late
        return Stretch(json.dumps(following) if following else None, live, missing)

    async def _ensure_tables(self, deadline: Deadline | None) -> None:
        def create(requests: TableRequests, table: str) -> None:
            requests.send(self._service.create_table_if_not_exists, table)

        for table in self._tables:
            if table not in self._made:
                await self._run(deadline, create, table)
                self._made.add(table)

    async def _run[**P, T](
        self,
        deadline: Deadline | None,
        work: Callable[Concatenate[TableRequests, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        def within() -> T:
            try:
                return work(TableRequests(deadline), *args, **kwargs)
            except AzureError as error:
                if is_table_missing(error):
                    # Somebody deleted it; the next run makes it again.
                    self._made.clear()
                raise unavailable(error) from error

        return await self._threads.run(deadline, within)


def _by_partition(ids: Sequence[str]) -> dict[str, list[str]]:
    partitions: dict[str, list[str]] = {}
    for record_id in ids:
        partitions.setdefault(partition_key(record_id), []).append(record_id)
    return partitions


def _decode_position(position: str) -> Mapping[str, Token]:
    return {
        partition: None if token is None else (token[0], token[1])
        for partition, token in json.loads(position).items()
    }


def build_table_store(
    endpoint: str, build_credential: Callable[[], Any], *, prefix: str = "bridge"
) -> TableStore:
    """Return a store in the storage account that the endpoint names.

    Plain http on a loopback address is Azurite, which has a key that everybody knows; anything
    else is asked with the credential.

    Args:
        endpoint: the table service's URL.
        build_credential: makes a sync credential of azure-identity; not called for Azurite.
        prefix: what the tables' names begin with; letters and digits.

    """
    with ExitStack() as stack:
        credential: AzureNamedKeyCredential | TokenCredential
        if _is_azurite(endpoint):
            credential = AzureNamedKeyCredential(AZURITE_ACCOUNT, AZURITE_KEY)
        else:
            credential = stack.enter_context(build_credential())
        service = stack.enter_context(
            TableServiceClient(
                endpoint,
                credential=credential,
                # `TableRequests` repeats, within the deadline, and POST too.
                retry_total=0,
            )
        )
        return TableStore(service, prefix=prefix, resources=stack.pop_all())


def _is_azurite(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    return parts.scheme == "http" and is_loopback_address(parts.hostname or "")
