"""The table of what is set aside, in Table Storage.

An entity holds 1 MiB, and a property 64 KiB: what is longer than that together is kept as its
beginning, with its ID and where in the feed to fetch it again.
"""

from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import EdmType, EntityProperty, TableClient

from azure_function_app.stores.table_requests import TableRequests, is_table_missing
from azure_function_app.sync.poison_store import (
    KeptPoison,
    PoisonEntry,
    PoisonOrigin,
    poison_entry,
)
from azure_function_app.sync.records import PoisonRecord

_PARTITION: Final = "set_aside"
_CHUNK_BYTES: Final = 64 * 1024
_MOST_BYTES: Final = 14 * _CHUNK_BYTES
"""Leaves 128 KiB of the entity for everything else: the longest cursor and ID take some 10."""
_ENTRY: Final = (
    "RowKey",
    "record_id",
    "reason",
    "is_tombstone",
    "size",
    "is_whole",
    "run_id",
    "set_aside_at",
    "generation",
    "cursor",
    "page_size",
)


def keep_poison(
    requests: TableRequests, table: TableClient, record: PoisonRecord, origin: PoisonOrigin
) -> None:
    """Keep the item, if it is not kept yet."""
    entry = poison_entry(record, origin, most_bytes=_MOST_BYTES)
    entity = {
        "PartitionKey": _PARTITION,
        "RowKey": entry.key,
        "record_id": entry.id,
        "reason": entry.reason,
        "is_tombstone": entry.is_tombstone,
        "size": entry.size,
        "is_whole": entry.is_whole,
        "run_id": origin.run_id,
        "set_aside_at": origin.set_aside_at,
        "generation": EntityProperty(origin.generation, EdmType.INT64),
        "cursor": origin.cursor,
        "page_size": origin.page_size,
        **dict(_chunks(record.raw[:_MOST_BYTES])),
    }
    try:
        requests.send(table.create_entity, entity)
    except ResourceExistsError:
        return


def list_poison(
    requests: TableRequests, table: TableClient, after: str, limit: int
) -> list[PoisonEntry]:
    """Return the next entries in the order of their keys."""

    def read(**options: Any) -> list[Any]:  # noqa: ANN401 - the SDK's options
        entities = table.query_entities(
            "PartitionKey eq @partition and RowKey gt @after",
            parameters={"partition": _PARTITION, "after": after},
            # An older version of the app kept a beginning of it, as `raw`, which tells its length.
            select=[*_ENTRY, "raw"],
            results_per_page=min(limit, 1_000),
            **options,
        )
        return list(islice(entities, limit))

    return [_entry(entity) for entity in requests.send(read)]


def get_poison(requests: TableRequests, table: TableClient, key: str) -> KeptPoison | None:
    """Return the item of that key, if there is one."""
    try:
        entity = requests.send(table.get_entity, _PARTITION, key)
    except ResourceNotFoundError as error:
        if is_table_missing(error):
            raise
        return None
    return KeptPoison(_entry(entity), _raw(entity))


def drop_poison(requests: TableRequests, table: TableClient, key: str) -> bool:
    """Forget the item of that key, and return whether there was one."""
    # The SDK's `delete_entity` does not say whether there was one.
    try:
        requests.send(table.get_entity, _PARTITION, key, select=["RowKey"])
    except ResourceNotFoundError as error:
        if is_table_missing(error):
            raise
        return False
    requests.send(table.delete_entity, _PARTITION, key)
    return True


def _chunks(raw: bytes) -> Iterator[tuple[str, bytes]]:
    for number, start in enumerate(range(0, len(raw), _CHUNK_BYTES)):
        yield f"raw_{number}", raw[start : start + _CHUNK_BYTES]


def _raw(entity: Any) -> bytes:  # noqa: ANN401 - the SDK's entity, an untyped mapping
    if isinstance(older := entity.get("raw"), str):
        return older.encode()
    chunks: list[bytes] = []
    for number in count():
        if (chunk := entity.get(f"raw_{number}")) is None:
            break
        chunks.append(chunk)
    return b"".join(chunks)


_OLDER_LENGTH: Final = 16_000


def _entry(entity: Any) -> PoisonEntry:  # noqa: ANN401 - the SDK's entity, an untyped mapping
    older = entity.get("raw") or ""
    generation = entity.get("generation")
    return PoisonEntry(
        key=entity["RowKey"],
        id=entity["record_id"],
        reason=entity["reason"],
        is_tombstone=entity.get("is_tombstone") or False,
        size=entity.get("size") or len(older.encode()),
        is_whole=entity["is_whole"] if "is_whole" in entity else len(older) < _OLDER_LENGTH,
        origin=PoisonOrigin(
            run_id=entity["run_id"],
            set_aside_at=entity.get("set_aside_at") or "",
            generation=0 if generation is None else generation.value,
            cursor=entity.get("cursor") or "",
            page_size=entity.get("page_size") or 0,
        ),
    )
