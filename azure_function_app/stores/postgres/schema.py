"""The tables in PostgreSQL, and which version of them this app knows."""

from enum import Enum, auto
from typing import Final

from azure_function_app.errors import StoreNewer
from azure_function_app.stores.postgres.connections import Connection

_VERSION: Final = 1
"""Grows when an older version of the app could no longer use the tables; a new one is no reason."""
# One of these locks at a time, so that instances that start at once do not make the same twice.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('azure-aws-bridge ' || $1, 0))"
# IF NOT EXISTS asks for the right to make schemas even where it exists.
_HAS_SCHEMA: Final = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)"
# By their full names: a schema that the role may not look into is passed over in the search path,
# and its tables would be made again among the session's temporary ones, to be gone with it.
_FOUND_TABLES: Final = """
SELECT name FROM unnest($1::text[]) AS name
WHERE to_regclass(format('%I.%I', $2::text, name)) IS NOT NULL
"""
_TABLE_NAMES: Final = frozenset({"state", "records", "poison", "runs"})
_READ_VERSION: Final = "SELECT value FROM state WHERE name = 'schema'"
# json, not jsonb: it keeps the text as it came, with every digit of a number and U+0000 in strings.
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS records (
    id text COLLATE "C" PRIMARY KEY,
    generation bigint NOT NULL,
    version bigint NOT NULL,
    updated_at text NOT NULL,
    deleted boolean NOT NULL,
    data json NOT NULL
);
CREATE TABLE IF NOT EXISTS poison (
    key text COLLATE "C" PRIMARY KEY,
    id text NOT NULL,
    reason text NOT NULL,
    is_tombstone boolean NOT NULL,
    size bigint NOT NULL,
    is_whole boolean NOT NULL,
    run_id text NOT NULL,
    set_aside_at text NOT NULL,
    generation bigint NOT NULL,
    cursor text NOT NULL,
    page_size bigint NOT NULL,
    raw bytea NOT NULL
);
CREATE TABLE IF NOT EXISTS state (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    fence text NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (
    run_id text COLLATE "C" PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    finished_at text COLLATE "C" NOT NULL,
    shard bigint,
    report text NOT NULL
);
"""
_FIRST_STATE: Final = """
INSERT INTO state (name, value, fence)
SELECT 'schema', $1, ''
UNION ALL SELECT 'generation', coalesce(max(generation), 0)::text, '' FROM records
ON CONFLICT (name) DO NOTHING
"""


class Tables(Enum):
    """How much of the schema is there."""

    NONE = auto()
    SOME = auto()
    """Somebody has dropped the others, or emptied them."""
    ALL = auto()


async def find_tables(connection: Connection, schema: str) -> Tables:
    """Return how much of the schema is there.

    Raises:
        StoreNewer: it is of a version that this app does not know.
        Exception: the driver's own, also where the role may not look into the schema.

    """
    rows = await connection.fetch(_FOUND_TABLES, sorted(_TABLE_NAMES), schema)
    found = {row["name"] for row in rows}
    if not found:
        return Tables.NONE
    version = await connection.fetchval(_READ_VERSION) if "state" in found else None
    if version is not None and int(version) > _VERSION:
        raise StoreNewer(
            f"The tables in PostgreSQL have schema {version}, and this version of the app knows"
            f" {_VERSION}: deploy the later version again."
        )
    return Tables.ALL if version is not None and found == _TABLE_NAMES else Tables.SOME


async def make_schema(connection: Connection, schema: str) -> None:
    """Make the tables, and the schema that they are in, where they are not there.

    Raises:
        StoreNewer: as `find_tables`.

    """
    await connection.fetchval(_LOCK, schema)
    if await find_tables(connection, schema) is Tables.ALL:
        return
    if not await connection.fetchval(_HAS_SCHEMA, schema):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    await connection.execute(_TABLES)
    await connection.execute(_FIRST_STATE, str(_VERSION))
