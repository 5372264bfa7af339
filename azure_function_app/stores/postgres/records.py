"""Records and checkpoint as rows: statements, each for a transaction that somebody else ends."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from uuid import uuid4

from azure_function_app.errors import CheckpointConflict, ContentRefused
from azure_function_app.stores.postgres.connections import Connection
from azure_function_app.sync.checkpoint_store import Checkpoint
from azure_function_app.sync.record_sink import newest_by_id
from azure_function_app.sync.record_view import HeldVersion
from azure_function_app.sync.records import Record, encode_data
from azure_function_app.sync.stored_text import encode_checkpoint
from azure_function_app.sync.sweep import Stretch

_COUNTED: Final = 10_000
"""Records counted at a time, and below, marked at a time: a mark writes the whole row."""
_MARKED: Final = 1_000
_GUARD: Final = "generation"
# In the order of their IDs, so that two batches that share records wait for each other in turn.
_UPSERT: Final = """
INSERT INTO records AS stored (id, generation, version, updated_at, deleted, data)
SELECT new.id, $1, new.version, new.updated_at, new.deleted, new.data
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::boolean[], $6::json[])
    AS new (id, version, updated_at, deleted, data)
ON CONFLICT (id) DO UPDATE SET
    generation = excluded.generation,
    version = excluded.version,
    updated_at = excluded.updated_at,
    deleted = excluded.deleted,
    data = excluded.data
WHERE (excluded.generation, excluded.version) > (stored.generation, stored.version)
"""
_STRETCH: Final = """
WITH stretch AS (
    SELECT id, deleted, generation FROM records WHERE id > $1 ORDER BY id LIMIT $3
)
"""
_COUNT: Final = (
    _STRETCH
    + """\
SELECT count(*) AS found, max(id) AS last, count(*) FILTER (WHERE NOT deleted) AS live,
    count(*) FILTER (WHERE NOT deleted AND generation < $2) AS missing
FROM stretch
"""
)
# Version 0, so that the record's first version in the new generation replaces it. What another
# transaction has taken into the generation meanwhile is looked at again, and left.
_MARK: Final = (
    _STRETCH  # noqa: S608 - statements of ours
    + """
, marked AS (
    UPDATE records SET deleted = true, generation = $2, version = 0
    FROM stretch WHERE records.id = stretch.id AND records.generation < $2
    RETURNING NOT stretch.deleted AS was_live
)
SELECT count(*) AS found, max(id) AS last, count(*) FILTER (WHERE NOT deleted) AS live,
    (SELECT count(*) FROM marked WHERE was_live) AS missing
FROM stretch
"""
)
_RETAIN: Final = """
UPDATE records SET generation = $1, version = 0 WHERE generation < $1 AND id = ANY($2::text[])
"""
_HELD: Final = """
SELECT id, generation, version, deleted FROM records WHERE id = ANY($1::text[])
"""
_COUNT_LIVE: Final = "SELECT count(*) FROM records WHERE generation < $1 AND NOT deleted"
# Shared by all who write, so that none of them waits for another; who begins a generation waits
# for those that are under way, and whoever comes after waits for the new one and sees it.
_READ_GUARD: Final = "SELECT value FROM state WHERE name = $1 FOR SHARE"
_MAKE_GUARD: Final = """
INSERT INTO state (name, value, fence)
SELECT $1, coalesce(max(generation), 0)::text, '' FROM records
ON CONFLICT (name) DO NOTHING
"""
_RAISE_GUARD: Final = """
UPDATE state SET value = $2::text WHERE name = $1 AND value::bigint < $2::bigint
"""
_NEWEST_GENERATION: Final = """
SELECT coalesce((SELECT value::bigint FROM state WHERE name = $1), max(generation), 0) FROM records
"""
_READ_STATE: Final = "SELECT value, fence FROM state WHERE name = $1"
_LOCK_STATE: Final = "SELECT fence FROM state WHERE name = $1 FOR UPDATE"
_MOVE_STATE: Final = "UPDATE state SET value = $2, fence = $3 WHERE name = $1 AND fence = $4"
_FIRST_STATE: Final = """
INSERT INTO state (name, value, fence) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING
"""
_DELETE_STATE: Final = "DELETE FROM state WHERE name = $1"

type Rows = tuple[list[str], list[int], list[str], list[bool], list[str]]


def rows_of(records: Iterable[Record]) -> Rows:
    """Return the columns of the newest version of each record.

    Raises:
        ContentRefused: a record's data has no JSON form.

    """
    ordered = sorted(newest_by_id(records), key=lambda record: record.id)
    try:
        data = [encode_data(record) for record in ordered]
    except (ValueError, TypeError, RecursionError) as error:
        why = type(error).__name__
        raise ContentRefused(f"PostgreSQL does not take it: no JSON ({why})") from error
    return (
        [record.id for record in ordered],
        [record.version for record in ordered],
        [record.updated_at for record in ordered],
        [record.deleted for record in ordered],
        data,
    )


async def upsert(connection: Connection, rows: Rows, generation: int) -> int:
    """Store records and return how many that changed.

    Raises:
        CheckpointConflict: a later generation has begun.

    """
    await enter_generation(connection, generation)
    return _affected(await connection.execute(_UPSERT, generation, *rows)) if rows[0] else 0


async def enter_generation(connection: Connection, generation: int) -> None:
    """Keep every later generation from beginning until this transaction ends.

    Raises:
        CheckpointConflict: one has begun.

    """
    while (begun := await connection.fetchval(_READ_GUARD, _GUARD)) is None:
        await connection.execute(_MAKE_GUARD, _GUARD)
    if int(begun) > generation:
        raise CheckpointConflict("A later generation of the records has begun.")
    if int(begun) < generation:
        await connection.execute(_RAISE_GUARD, _GUARD, generation)


async def newest_generation(connection: Connection) -> int:
    """Return the latest generation that has begun; 0 if there is none."""
    return int(await connection.fetchval(_NEWEST_GENERATION, _GUARD))


async def count_missing(connection: Connection, position: str, generation: int) -> Stretch:
    """Count the live records of one stretch, and those that the generation lacks."""
    return await _take(connection, _COUNT, position, generation, _COUNTED)


async def mark_missing(connection: Connection, position: str, generation: int) -> Stretch:
    """Mark as deleted what the generation lacks in one stretch.

    Raises:
        CheckpointConflict: a later generation has begun.

    """
    await enter_generation(connection, generation)
    return await _take(connection, _MARK, position, generation, _MARKED)


async def _take(
    connection: Connection, statement: str, position: str, generation: int, most: int
) -> Stretch:
    row = await connection.fetchrow(statement, position, generation, most)
    return Stretch(row["last"] if row["found"] == most else None, row["live"], row["missing"])


async def retain(connection: Connection, ids: Iterable[str], generation: int) -> None:
    """Take records of earlier generations into this one, as they are.

    Raises:
        CheckpointConflict: a later generation has begun.

    """
    await enter_generation(connection, generation)
    await connection.execute(_RETAIN, generation, sorted(_holdable(ids)))


async def held_versions(connection: Connection, ids: Iterable[str]) -> dict[str, HeldVersion]:
    """Return by ID which version is held of those of the records that are held."""
    rows = await connection.fetch(_HELD, _holdable(ids))
    return {
        row["id"]: HeldVersion(row["generation"], row["version"], row["deleted"]) for row in rows
    }


async def count_live(connection: Connection, before: int) -> int:
    """Return how many records are held, and not deleted, in generations before that one."""
    return int(await connection.fetchval(_COUNT_LIVE, before))


def _holdable(ids: Iterable[str]) -> list[str]:
    # Of an ID that no text in PostgreSQL can be, there is no record.
    return [record_id for record_id in ids if "\0" not in record_id and _is_encodable(record_id)]


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


async def read_state(connection: Connection, name: str) -> tuple[str, str] | None:
    """Return the text in that row of the state and its fence, if there is such a row."""
    row = await connection.fetchrow(_READ_STATE, name)
    return None if row is None else (row["value"], row["fence"])


async def hold_checkpoint(connection: Connection, name: str, replacing: Checkpoint) -> None:
    """Keep the checkpoint as it is until this transaction ends.

    Raises:
        CheckpointConflict: it is no longer the one that is to be replaced.

    """
    if (await connection.fetchval(_LOCK_STATE, name) or "") != replacing.fence:
        raise _conflict()


async def move_checkpoint(
    connection: Connection, name: str, moved: Checkpoint, replacing: Checkpoint
) -> Checkpoint:
    """Move the checkpoint and return it as it now stands.

    Raises:
        CheckpointConflict: it is no longer the one that is to be replaced.

    """
    # Random, not counted: a run from before the tables were dropped must not match by chance.
    saved = replace(moved, fence=uuid4().hex)
    text = encode_checkpoint(saved)
    if replacing.fence:
        tag = await connection.execute(_MOVE_STATE, name, text, saved.fence, replacing.fence)
    else:
        tag = await connection.execute(_FIRST_STATE, name, text, saved.fence)
    if _affected(tag) == 0:
        raise _conflict()
    return saved


async def delete_state(connection: Connection, name: str) -> None:
    """Delete that row of the state, whatever it holds."""
    await connection.execute(_DELETE_STATE, name)


def _conflict() -> CheckpointConflict:
    return CheckpointConflict("Another run has moved the checkpoint.")


def _affected(tag: str) -> int:
    # Such as "INSERT 0 500" or "UPDATE 1".
    return int(tag.rpartition(" ")[2])
