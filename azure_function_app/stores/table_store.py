"""Records and checkpoint in Azure Table Storage: the account that the Function App has anyway.

Table Storage knows no "write if newer", but it knows "write if unchanged" (ETag): so a record's
version is read, compared, and the write made conditional on what was read.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import (
    TableClient,
    TableErrorCode,
    TableServiceClient,
    TableTransactionError,
    UpdateMode,
)

from azure_function_app.errors import CheckpointConflict, ContentRefused, StoreUnavailable
from azure_function_app.stores.table_entities import (
    BATCH_OPERATIONS,
    PARTITION_KEYS,
    HeldRecord,
    Operation,
    missing_operation,
    partition_key,
    row_key,
    split_into_transactions,
    state_entity,
    write_operations,
)
from azure_function_app.stores.table_poison import (
    drop_poison,
    get_poison,
    keep_poison,
    list_poison,
)
from azure_function_app.stores.table_refusals import count_changed, refusal_of
from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    Checkpoint,
    SyncReport,
    decode_checkpoint,
    decode_report,
    encode_checkpoint,
    encode_report,
)
from azure_function_app.sync.poison_store import KeptPoison, PoisonEntry, PoisonOrigin
from azure_function_app.sync.record_sink import newest_by_id
from azure_function_app.sync.records import PoisonRecord, Record
from shared.loopback import is_loopback_address

_THREADS: Final = 8
# https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities
_COMPARISONS: Final = 15
_CONFLICTS: Final = frozenset({404, 409, 412})
_ATTEMPTS: Final = 5

# The SDK's defaults wait five minutes for a read.
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 20
_RETRIES: Final = 3

# Azurite's account: the same on every machine, published in its README, good for nothing else.
_AZURITE_ACCOUNT: Final = "devstoreaccount1"
_AZURITE_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class TableStore:
    """A record sink and a checkpoint store in three tables, shared safely with other instances.

    The SDK's sync client serves, in threads, because the credential is sync (design decision 8).
    """

    def __init__(self, service: TableServiceClient, *, prefix: str, resources: ExitStack) -> None:
        """Use the tables whose names begin with the prefix; they are made on first use.

        `resources` is closed with the store.
        """
        self._service = service
        self._resources = resources
        self._tables = [prefix + name for name in ("records", "setaside", "state")]
        self._records, self._set_aside, self._state = map(service.get_table_client, self._tables)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="table-store")
        self._has_tables = False
        self._is_closed = False

    async def write(self, records: Sequence[Record], *, generation: int = 0) -> int:
        """Store a batch and say how many records that changed.

        It takes several transactions. If one fails, others may have been made: the next run writes
        them all again, which changes nothing where they were.
        """
        await self._ensure_tables()
        outcomes = await asyncio.gather(
            *(
                self._run(self._write_or_refuse, transaction, generation)
                for transaction in split_into_transactions(newest_by_id(records))
            )
        )
        return count_changed(outcomes)

    async def mark_missing(self, *, generation: int) -> int:
        """Mark as deleted whatever no record of the generation replaced; say how many that was."""
        await self._ensure_tables()
        counts = await asyncio.gather(
            *(self._run(self._mark_partition, key, generation) for key in PARTITION_KEYS)
        )
        return sum(counts)

    async def newest_generation(self) -> int:
        """Return the latest generation that a record was written in; 0 if there is none."""

        def scan() -> int:
            later = self._records.query_entities("generation gt 0", select=["generation"])
            return max((int(entity["generation"]) for entity in later), default=0)

        await self._ensure_tables()
        return await self._run(scan)

    async def stored_orders(self, ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Return by ID the generation and version of those records that are there."""
        await self._ensure_tables()
        partitions: dict[str, list[str]] = {}
        for record_id in ids:
            partitions.setdefault(partition_key(record_id), []).append(record_id)
        found = await asyncio.gather(
            *(self._run(self._stored, members) for members in partitions.values())
        )
        held = {key: record for rows in found for key, record in rows.items()}
        return {
            record_id: held[row_key(record_id)].order
            for record_id in ids
            if row_key(record_id) in held
        }

    async def set_aside(self, records: Sequence[PoisonRecord], *, origin: PoisonOrigin) -> None:
        """Keep what is no valid record, each item once, whole if it fits into one entity."""
        await self._ensure_tables()
        await asyncio.gather(
            *(self._run(keep_poison, self._set_aside, record, origin) for record in records)
        )

    async def list_poison(self, *, after: str = "", limit: int = 100) -> Sequence[PoisonEntry]:
        """Return the next items that are kept, in the order of their keys."""
        await self._ensure_tables()
        return await self._run(list_poison, self._set_aside, after, limit)

    async def get_poison(self, key: str) -> KeptPoison | None:
        """Return the item of that key with its content; None if there is none."""
        await self._ensure_tables()
        return await self._run(get_poison, self._set_aside, key)

    async def drop_poison(self, key: str) -> bool:
        """Forget the item of that key, and return whether there was one."""
        await self._ensure_tables()
        return await self._run(drop_poison, self._set_aside, key)

    async def load(self) -> Checkpoint:
        """Return the checkpoint as last saved, or `BEGINNING`."""
        entity = await self._load_state("checkpoint")
        if entity is None:
            return BEGINNING
        return decode_checkpoint(entity["value"], entity.metadata["etag"])

    async def save(self, moved: Checkpoint, *, replacing: Checkpoint) -> Checkpoint:
        """Move the checkpoint on, if it is still the one that is replaced."""
        value = encode_checkpoint(moved)
        entity = state_entity("checkpoint", value) | {"saved_by": uuid4().hex}

        def compare_and_swap() -> str:
            try:
                if replacing.fence:
                    saved = self._state.update_entity(
                        entity,
                        mode=UpdateMode.REPLACE,
                        etag=replacing.fence,
                        match_condition=MatchConditions.IfNotModified,
                    )
                else:
                    saved = self._state.create_entity(entity)
            except (ResourceModifiedError, ResourceNotFoundError, ResourceExistsError) as error:
                if _is_table_missing(error):
                    raise
                # The SDK repeats a request whose answer was lost: then it is ours that is there.
                stored = _entity_or_none(self._state, "checkpoint")
                if stored is None or stored.get("saved_by") != entity["saved_by"]:
                    raise CheckpointConflict("Another run has moved the checkpoint.") from None
                return str(stored.metadata["etag"])
            return str(saved["etag"])

        await self._ensure_tables()
        return replace(moved, fence=await self._run(compare_and_swap))

    async def save_report(self, report: SyncReport) -> None:
        """Keep the report in place of the previous one."""
        await self._ensure_tables()
        await self._run(self._state.upsert_entity, state_entity("last_run", encode_report(report)))

    async def load_report(self) -> SyncReport | None:
        """Return the report of the run that ended last, if any has."""
        entity = await self._load_state("last_run")
        return decode_report(entity["value"]) if entity else None

    async def aclose(self) -> None:
        """Close the connections; the store is not usable afterwards. Twice is harmless."""
        if not self._is_closed:
            self._is_closed = True
            await asyncio.get_running_loop().run_in_executor(self._threads, self._resources.close)
            self._threads.shutdown()

    async def _load_state(self, name: str) -> Any:  # noqa: ANN401 - the SDK's entity, an untyped mapping
        return await self._run(_entity_or_none, self._state, name)

    async def _ensure_tables(self) -> None:
        if not self._has_tables:
            for table in self._tables:
                await self._run(self._service.create_table_if_not_exists, table)
            self._has_tables = True

    async def _run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def within() -> T:
            try:
                return work(*args, **kwargs)
            except AzureError as error:
                if _is_table_missing(error):
                    # Somebody deleted it; the next run makes it again.
                    self._has_tables = False
                raise _unavailable(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, within)

    def _write_or_refuse(self, records: Sequence[Record], generation: int) -> int | ContentRefused:
        try:
            return self._write_transaction(records, generation)
        except ContentRefused as refused:
            # The batch's other transactions go on, and count.
            return refused

    def _write_transaction(self, records: Sequence[Record], generation: int) -> int:
        # First versions are mostly new, so the first attempt at those does without reading.
        is_new = all(record.version == 1 for record in records)
        for _ in range(_ATTEMPTS):
            stored = {} if is_new else self._stored([record.id for record in records])
            is_new = False
            operations = list(write_operations(records, generation, stored))
            if self._submit(operations):
                return len(operations)
        raise _too_much_at_once()

    def _mark_partition(self, partition: str, generation: int) -> int:
        count = 0
        missing = f"PartitionKey eq '{partition}' and generation lt {generation}"
        for _ in range(_ATTEMPTS):
            entities = list(
                self._records.query_entities(missing, select=["RowKey", "generation", "deleted"])
            )
            if not entities:
                return count
            for group in itertools.batched(entities, BATCH_OPERATIONS, strict=False):
                if self._submit(
                    [missing_operation(partition, entity, generation) for entity in group]
                ):
                    count += sum(not entity["deleted"] for entity in group)
        raise _too_much_at_once()

    def _submit(self, operations: Sequence[Operation]) -> bool:
        """Return whether the transaction was made; not where somebody else was quicker."""
        if not operations:
            return True
        try:
            self._records.submit_transaction(operations)
        except TableTransactionError as error:
            if refused := refusal_of(error):
                raise refused from error
            if error.status_code not in _CONFLICTS or _is_table_missing(error):
                raise
            return False
        return True

    def _stored(self, ids: Sequence[str]) -> dict[str, HeldRecord]:
        """Return what there is of those records of one partition, by row key."""
        partition = partition_key(ids[0])
        row_keys = map(row_key, ids)
        found: dict[str, HeldRecord] = {}
        for keys in itertools.batched(row_keys, _COMPARISONS - 1, strict=False):
            # Neither key can hold a quote, so neither can leave its place in the filter.
            names = " or ".join(f"RowKey eq '{key}'" for key in keys)
            for entity in self._records.query_entities(
                f"PartitionKey eq '{partition}' and ({names})",
                select=["RowKey", "generation", "version"],
            ):
                found[entity["RowKey"]] = HeldRecord(
                    (entity["generation"], entity["version"].value), str(entity.metadata["etag"])
                )
        return found


def _too_much_at_once() -> StoreUnavailable:
    return StoreUnavailable("Other runs keep changing the same records; the next run goes on.")


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
            credential = AzureNamedKeyCredential(_AZURITE_ACCOUNT, _AZURITE_KEY)
        else:
            credential = stack.enter_context(build_credential())
        service = stack.enter_context(
            TableServiceClient(
                endpoint,
                credential=credential,
                connection_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retry_total=_RETRIES,
            )
        )
        return TableStore(service, prefix=prefix, resources=stack.pop_all())


def _is_azurite(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    return parts.scheme == "http" and is_loopback_address(parts.hostname or "")


def _entity_or_none(table: TableClient, name: str) -> Any:  # noqa: ANN401 - the SDK's entity
    try:
        return table.get_entity("state", name)
    except ResourceNotFoundError:
        return None


def _is_table_missing(error: AzureError) -> bool:
    return getattr(error, "error_code", None) == TableErrorCode.TABLE_NOT_FOUND


def _unavailable(error: AzureError) -> StoreUnavailable:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    match status:
        case 401 | 403:
            advice = (
                f"Table Storage refused this app ({status}): give its identity the role"
                " Storage Table Data Contributor on the account that TABLE_ENDPOINT names."
            )
        case None:
            advice = "Table Storage could not be reached: check TABLE_ENDPOINT."
        case _:
            advice = f"Table Storage answered {status}."
    return StoreUnavailable(advice)
