"""What the table of records holds, for a person who looks: it only reads, and makes no table."""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from azure.core.exceptions import AzureError
from azure.data.tables import TableClient

from azure_function_app.stores.store_threads import StoreThreads
from azure_function_app.stores.table_entities import (
    GUARD_KEY,
    PARTITION_KEYS,
    partition_key,
    row_key,
)
from azure_function_app.stores.table_requests import TableRequests, is_table_missing, unavailable
from azure_function_app.sync.record_view import HeldVersion

# https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities
_COMPARISONS: Final = 15


class TableView:
    """Looks at the records in their table, in threads of the store's."""

    def __init__(self, records: TableClient, threads: StoreThreads) -> None:
        """Take the table, and what its requests run in."""
        self._records = records
        self._threads = threads

    async def held_versions(self, record_ids: Sequence[str]) -> Mapping[str, HeldVersion]:
        """Return by ID which version is held of those of the records that are held."""
        partitions: dict[str, list[str]] = {}
        for record_id in record_ids:
            partitions.setdefault(partition_key(record_id), []).append(record_id)
        groups = [
            (partition, group)
            for partition, members in partitions.items()
            for group in itertools.batched(members, _COMPARISONS - 1, strict=False)
        ]
        found = await asyncio.gather(
            *(self._look_up(partition, group) for partition, group in groups)
        )
        return {record_id: held for part in found for record_id, held in part.items()}

    async def count_live(self, *, before: int) -> int:
        """Return how many records are held, and not deleted, in generations before that one."""
        earlier = f"generation lt {before} and deleted eq false"
        return await self._query(earlier, ["RowKey"], lambda live: sum(1 for _ in live), 0)

    async def newest_generation(self) -> int:
        """Return the latest generation that has begun; 0 if there is none."""
        guarded = await asyncio.gather(
            *(
                self._latest(
                    f"PartitionKey eq '{partition}' and RowKey eq '{GUARD_KEY}'",
                    "newest_generation",
                )
                for partition in PARTITION_KEYS
            )
        )
        begun = [generation for generation in guarded if generation is not None]
        if begun:
            return max(begun)
        # Tables from before there were guards.
        return await self._latest("generation gt 0", "generation") or 0

    async def _latest(self, condition: str, member: str) -> int | None:
        def take(entities: Any) -> int | None:  # noqa: ANN401 - the SDK's iterator
            return max((int(entity[member]) for entity in entities), default=None)

        return await self._query(condition, [member], take, None)

    async def _look_up(self, partition: str, record_ids: Sequence[str]) -> dict[str, HeldVersion]:
        ids = {row_key(record_id): record_id for record_id in record_ids}
        # Neither key can hold a quote, so neither can leave its place in the filter.
        names = " or ".join(f"RowKey eq '{key}'" for key in ids)
        return await self._query(
            f"PartitionKey eq '{partition}' and ({names})",
            ["RowKey", "generation", "version", "deleted"],
            lambda entities: {
                ids[entity["RowKey"]]: HeldVersion(
                    int(entity["generation"]), int(entity["version"].value), entity["deleted"]
                )
                for entity in entities
            },
            {},
        )

    async def _query[T](
        self, condition: str, members: list[str], take: Callable[[Any], T], nothing: T
    ) -> T:
        """Return what is taken from the entities; `nothing` where there is no table yet."""

        def read(**options: Any) -> T:  # noqa: ANN401 - the SDK's options
            return take(self._records.query_entities(condition, select=members, **options))

        def within() -> T:
            try:
                return TableRequests(None).send(read)
            except AzureError as error:
                if is_table_missing(error):
                    return nothing
                raise unavailable(error) from error

        return await self._threads.run(None, within)
