"""What Table Storage holds: keys and entities, and the transactions that they go in.

Records are spread over partitions by a digest of their ID, because a transaction stays within one
partition.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import Any, Final

from azure.core import MatchConditions
from azure.data.tables import EdmType, EntityProperty, UpdateMode

from azure_function_app.sync.checkpoint_store import SyncReport
from azure_function_app.sync.records import Record, encode_data
from azure_function_app.sync.stored_text import encode_report

PARTITION_KEYS: Final = tuple(f"{number:x}" for number in range(16))
# https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions
BATCH_OPERATIONS: Final = 99
"""Of a hundred that are allowed; one is the guard's."""
_BATCH_BYTES: Final = 3 * 1024 * 1024
"""Below the limit of 4 MiB by what the envelope of a hundred operations can take."""
# A string property holds 64 KiB of UTF-16, so 32,768 units; a character is at most two.
_CHUNK_LENGTH: Final = 16_000
_ROW_KEY_LENGTH: Final = 200
"""Of 512 that are allowed; short, because a filter with fourteen of them must fit into a URL."""
STATE_PARTITION: Final = "state"
_RUNS: Final = "run"
RUNS_PARTITIONS: Final = (_RUNS, f"{_RUNS}.")
"""The first, and what all are before."""
# Table Storage sorts by key, upwards only.
_DIGITS_REVERSED: Final = str.maketrans(digits, digits[::-1])
GUARD_KEY: Final = "=guard"
"""The row key of a partition's guard; no record's can be like it, see `row_key`."""
_KEY_BYTES: Final = frozenset(f"{ascii_letters}{digits}-._~".encode())

type _Entity = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """What is known of a record that is there already."""

    order: tuple[int, int]
    """Generation and version, by which a later one is told."""
    etag: str


@dataclass(frozen=True, slots=True)
class Guard:
    """A partition's guard, as it was last seen."""

    generation: int
    """The newest one that has begun."""
    etag: str
    transaction_id: str
    """Names the transaction that changed it last."""


type Operation = tuple[str, _Entity] | tuple[str, _Entity, Mapping[str, Any]]


def write_operations(
    records: Sequence[Record], generation: int, stored: Mapping[str, HeldRecord]
) -> Iterator[Operation]:
    """Yield what writes the records, each only if it is later than what is stored of it.

    Args:
        records: of one partition, each ID once.
        generation: what they are written in.
        stored: what there is of them, by row key.

    """
    for record in records:
        entity = record_entity(record) | {"generation": generation}
        known = stored.get(entity["RowKey"])
        if known is None:
            yield "create", entity
        elif (generation, record.version) > known.order:
            yield "update", entity, _if_unchanged(UpdateMode.REPLACE, known.etag)


def guard_operation(
    partition: str, generation: int, transaction_id: str, guard: Guard | None
) -> Operation:
    """Return what makes a transaction fail if the guard is no longer as it was seen.

    The guard has none of a record's properties but its keys, so no query for records finds it.
    """
    entity = {
        "PartitionKey": partition,
        "RowKey": GUARD_KEY,
        "newest_generation": generation,
        "transaction_id": transaction_id,
    }
    if guard is None:
        return "create", entity
    return "update", entity, _if_unchanged(UpdateMode.REPLACE, guard.etag)


def missing_operation(partition: str, entity: Any, generation: int) -> Operation:  # noqa: ANN401 - the SDK's entity
    """Return what marks a stored record as deleted: the generation has none of its ID."""
    marks = {
        "PartitionKey": partition,
        "RowKey": entity["RowKey"],
        "deleted": True,
        "generation": generation,
        # So that the record's first version in the new generation replaces it.
        "version": EntityProperty(0, EdmType.INT64),
    }
    return "update", marks, _if_unchanged(UpdateMode.MERGE, str(entity.metadata["etag"]))


def retaining_operations(
    partition: str, stored: Mapping[str, HeldRecord], generation: int
) -> Iterator[Operation]:
    """Yield what takes stored records of earlier generations into this one, as they are."""
    for key, held in stored.items():
        if held.order < (generation, 0):
            marks = {
                "PartitionKey": partition,
                "RowKey": key,
                "generation": generation,
                # So that the record's first version in the new generation replaces it.
                "version": EntityProperty(0, EdmType.INT64),
            }
            yield "update", marks, _if_unchanged(UpdateMode.MERGE, held.etag)


def _if_unchanged(mode: UpdateMode, etag: str) -> Mapping[str, Any]:
    return {"mode": mode, "etag": etag, "match_condition": MatchConditions.IfNotModified}


def split_into_transactions(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the records in groups that each fit into one transaction."""
    partitions: dict[str, list[Record]] = {}
    for record in records:
        partitions.setdefault(partition_key(record.id), []).append(record)
    for members in partitions.values():
        group: list[Record] = []
        size = 0
        for record in members:
            # As it will stand in the payload, a JSON string in a JSON object.
            weight = len(json.dumps(encode_data(record))) + 4 * _ROW_KEY_LENGTH
            if group and (len(group) == BATCH_OPERATIONS or size + weight > _BATCH_BYTES):
                yield group
                group, size = [], 0
            group.append(record)
            size += weight
        yield group


def record_entity(record: Record) -> dict[str, Any]:
    """Return the record as an entity, its data in parts that each fit into one property."""
    data = encode_data(record)
    chunks = [data[start : start + _CHUNK_LENGTH] for start in range(0, len(data), _CHUNK_LENGTH)]
    return {
        "PartitionKey": partition_key(record.id),
        "RowKey": row_key(record.id),
        "record_id": record.id,
        "version": EntityProperty(record.version, EdmType.INT64),
        "updated_at": record.updated_at,
        "deleted": record.deleted,
        # The parts in order make the whole: data, data_1, data_2 and so on.
        **{f"data_{number}" if number else "data": part for number, part in enumerate(chunks)},
    }


def checkpoint_entity(row: str, text: str, saved_by: str) -> dict[str, Any]:
    """Return a checkpoint's entity in the table of states; `saved_by` names this very save."""
    return {
        "PartitionKey": STATE_PARTITION,
        "RowKey": row,
        "value": text,
        "saved_by": saved_by,
    }


def report_entity(report: SyncReport) -> dict[str, Any]:
    """Return the report's entity in the table of states; the newest has the least row key."""
    newest_first = report.finished_at.translate(_DIGITS_REVERSED)
    return {
        "PartitionKey": runs_partition(report.shard),
        "RowKey": f"{newest_first}-{row_key(report.run_id)}",
        "value": encode_report(report),
    }


def runs_partition(shard: int | None) -> str:
    """Return the partition of the reports on such runs; all lie between `RUNS_PARTITIONS`."""
    return _RUNS if shard is None else f"{_RUNS}-shard-{shard}"


def partition_key(record_id: str) -> str:
    """Return the partition that the ID belongs to."""
    digest = hashlib.sha256(record_id.encode()).digest()
    return PARTITION_KEYS[digest[0] % len(PARTITION_KEYS)]


def row_key(record_id: str) -> str:
    """Return the ID in characters that a key can hold, different for different IDs.

    Keys may hold no slash, backslash, `#`, `?` or control character, and `%` makes trouble. What
    follows `=` is two hexadecimal digits, so `=_` can begin nothing but a digest.
    """
    key = "".join(
        chr(byte) if byte in _KEY_BYTES else f"={byte:02X}" for byte in record_id.encode()
    )
    if len(key) <= _ROW_KEY_LENGTH:
        return key
    return "=_" + hashlib.sha256(record_id.encode()).hexdigest()
