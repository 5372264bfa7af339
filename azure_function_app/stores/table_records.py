"""The table of records: what is written there, transaction by transaction, each behind a guard.

Table Storage knows no "write if newer", but it knows "write if unchanged" (ETag): so a record's
version is read, compared, and the write made conditional on what was read. In the same way each
partition has one entity more, its guard, which names the newest generation: every transaction
changes it, on the condition that it is as it was read. So a run of an earlier generation, however
late it comes, has its transactions refused as a whole.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableTransactionError

from azure_function_app.errors import CheckpointConflict, StoreUnavailable
from azure_function_app.stores.table_entities import (
    BATCH_OPERATIONS,
    GUARD_KEY,
    PARTITION_KEYS,
    Guard,
    HeldRecord,
    Operation,
    guard_operation,
    missing_operation,
    partition_key,
    retaining_operations,
    row_key,
    write_operations,
)
from azure_function_app.stores.table_refusals import refusal_of
from azure_function_app.stores.table_requests import TableRequests, is_table_missing
from azure_function_app.sync.records import Record

# https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities
_COMPARISONS: Final = 15
_COUNTED: Final = 1_000
"""Entities that one answer to a query may hold."""
_CONFLICTS: Final = frozenset({404, 409, 412})
_ATTEMPTS: Final = 10
"""Each that fails has let another run's through."""

type Token = tuple[str, str] | None
"""Where Table Storage says that the next page begins; None for the first."""


class PartitionStretch(NamedTuple):
    """What was counted or marked of one partition in one go."""

    next: Token
    is_end: bool
    live: int
    missing: int


class TableRecords:
    """The records in their table. Its methods block; each partition is one caller's at a time."""

    def __init__(self, table: TableClient) -> None:
        """Take the table."""
        self._table = table
        self._guards: dict[str, Guard] = {}
        """As this process has last seen them."""

    def write(self, requests: TableRequests, records: Sequence[Record], generation: int) -> int:
        """Write the records of one transaction and say how many that changed.

        Raises:
            CheckpointConflict: a later generation has begun.
            ContentRefused: Table Storage will never take some record; none was written.

        """
        partition = partition_key(records[0].id)
        # First versions are mostly new, so the first attempt at those does without reading.
        is_new = all(record.version == 1 for record in records)
        for _ in range(_ATTEMPTS):
            stored = (
                {}
                if is_new
                else self.stored(requests, partition, [record.id for record in records])
            )
            is_new = False
            operations = list(write_operations(records, generation, stored))
            if self._submit(requests, partition, generation, operations):
                return len(operations)
        raise _too_much_at_once()

    def retain(
        self, requests: TableRequests, partition: str, ids: Sequence[str], generation: int
    ) -> None:
        """Take the partition's records of those IDs into the generation, as they are.

        Raises:
            CheckpointConflict: a later generation has begun.

        """
        for some in itertools.batched(ids, BATCH_OPERATIONS, strict=False):
            for _ in range(_ATTEMPTS):
                stored = self.stored(requests, partition, some)
                operations = list(retaining_operations(partition, stored, generation))
                if self._submit(requests, partition, generation, operations):
                    break
            else:
                raise _too_much_at_once()

    def begin_generation(self, requests: TableRequests, partition: str, generation: int) -> None:
        """Refuse every transaction of an earlier generation in the partition from now on.

        Raises:
            CheckpointConflict: a later one has begun.

        """
        for _ in range(_ATTEMPTS):
            self._guards.pop(partition, None)
            guard = self._guard(requests, partition, generation)
            if guard is not None and guard.generation == generation:
                return
            self._submit(requests, partition, generation, [], also_empty=True)
        raise _too_much_at_once()

    def newest_generation(self, requests: TableRequests, partition: str) -> int | None:
        """Return the generation that the partition's guard names; None if it has no guard."""
        guard = self._read_guard(requests, partition)
        return None if guard is None else guard.generation

    def newest_generation_written(self, requests: TableRequests) -> int:
        """Return the latest generation that a record says it is of, by looking at all of them."""

        def scan(**options: Any) -> int:  # noqa: ANN401 - the SDK's options
            later = self._table.query_entities("generation gt 0", select=["generation"], **options)
            return max((int(entity["generation"]) for entity in later), default=0)

        return requests.send(scan)

    def count_missing(
        self, requests: TableRequests, partition: str, token: Token, generation: int
    ) -> PartitionStretch:
        """Count one page of live records, and those that the generation has not replaced."""
        entities, following = requests.send(
            self._page(f"PartitionKey eq '{partition}' and deleted eq false", _COUNTED, token)
        )
        missing = sum(entity.get("generation", 0) < generation for entity in entities)
        return PartitionStretch(following, following is None, len(entities), missing)

    def mark_missing(
        self, requests: TableRequests, partition: str, token: Token, generation: int
    ) -> PartitionStretch:
        """Mark one page of what the generation has not replaced as deleted.

        Raises:
            CheckpointConflict: a later generation has begun.

        """
        for _ in range(_ATTEMPTS):
            entities, following = requests.send(
                self._page(
                    f"PartitionKey eq '{partition}' and generation lt {generation}",
                    BATCH_OPERATIONS,
                    token,
                )
            )
            operations = [missing_operation(partition, entity, generation) for entity in entities]
            if self._submit(requests, partition, generation, operations):
                live = sum(not entity["deleted"] for entity in entities)
                return PartitionStretch(following, following is None, live, live)
        raise _too_much_at_once()

    def _page(
        self, condition: str, most: int, token: Token
    ) -> Callable[..., tuple[list[Any], Token]]:
        # A pair, whatever the SDK's types say of it.
        continuation: Any = None if token is None else dict(zip(_TOKEN_KEYS, token, strict=True))

        def read(**options: Any) -> tuple[list[Any], Token]:  # noqa: ANN401 - the SDK's options
            pages: Any = self._table.query_entities(
                condition,
                select=["RowKey", "generation", "deleted"],
                results_per_page=most,
                **options,
            ).by_page(continuation)
            entities = list(next(pages, ()))
            following = pages.continuation_token or {}
            if not following.get("PartitionKey"):
                return entities, None
            return entities, (following["PartitionKey"], following.get("RowKey") or "")

        return read

    def _submit(
        self,
        requests: TableRequests,
        partition: str,
        generation: int,
        operations: Sequence[Operation],
        *,
        also_empty: bool = False,
    ) -> bool:
        """Return whether the transaction was made; not where somebody else was quicker."""
        if not operations and not also_empty:
            return True
        transaction_id = uuid4().hex
        guard = self._guard(requests, partition, generation)
        guarding = guard_operation(partition, generation, transaction_id, guard)
        try:
            made = requests.send(self._table.submit_transaction, [guarding, *operations])
        except TableTransactionError as error:
            if refused := refusal_of(error):
                raise refused from error
            if error.status_code not in _CONFLICTS or is_table_missing(error):
                raise
            self._guards.pop(partition, None)
            found = self._read_guard(requests, partition)
            # Ours, if only the answer to an earlier attempt was lost.
            return found is not None and found.transaction_id == transaction_id
        self._guards[partition] = Guard(generation, made[0]["etag"], transaction_id)
        return True

    def _guard(self, requests: TableRequests, partition: str, generation: int) -> Guard | None:
        guard = self._guards.get(partition)
        if guard is None:
            guard = self._read_guard(requests, partition)
        if guard is not None:
            if guard.generation > generation:
                raise CheckpointConflict("A later generation of the records has begun.")
            self._guards[partition] = guard
        return guard

    def _read_guard(self, requests: TableRequests, partition: str) -> Guard | None:
        try:
            entity: Any = requests.send(self._table.get_entity, partition, GUARD_KEY)
        except ResourceNotFoundError as error:
            if is_table_missing(error):
                raise
            return None
        return Guard(
            entity["newest_generation"], str(entity.metadata["etag"]), entity["transaction_id"]
        )

    def stored(
        self, requests: TableRequests, partition: str, ids: Sequence[str]
    ) -> dict[str, HeldRecord]:
        """Return what there is of those records of one partition, by row key."""
        row_keys = map(row_key, ids)
        found: dict[str, HeldRecord] = {}
        for keys in itertools.batched(row_keys, _COMPARISONS - 1, strict=False):
            # Neither key can hold a quote, so neither can leave its place in the filter.
            names = " or ".join(f"RowKey eq '{key}'" for key in keys)
            condition = f"PartitionKey eq '{partition}' and ({names})"

            def read(condition: str = condition, **options: Any) -> list[Any]:  # noqa: ANN401 - the SDK's options
                return list(
                    self._table.query_entities(
                        condition, select=["RowKey", "generation", "version"], **options
                    )
                )

            for entity in requests.send(read):
                found[entity["RowKey"]] = HeldRecord(
                    (entity["generation"], entity["version"].value), str(entity.metadata["etag"])
                )
        return found


_TOKEN_KEYS: Final = ("PartitionKey", "RowKey")


def _too_much_at_once() -> StoreUnavailable:
    return StoreUnavailable("Other runs keep changing the same records; the next run goes on.")


def every_partition() -> dict[str, Token]:
    """Return where a walk through all records begins."""
    return dict.fromkeys(PARTITION_KEYS)
