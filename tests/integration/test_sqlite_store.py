"""The embedded store between processes."""

import asyncio
import sqlite3
import sys
from pathlib import Path

from azure_function_app.stores.sqlite_store import SqliteStore
from tests.support.fake_feed import record

CHECKOUT = Path(__file__).parents[2]

WRITE_EVERY_SECOND_VERSION = """
import asyncio, sys
from pathlib import Path
from azure_function_app.stores.sqlite_store import SqliteStore
from tests.support.fake_feed import record

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    for version in range(int(sys.argv[2]), 30, 2):
        await store.write([record(f"r{n}", version) for n in range(50)])
    await store.aclose()

asyncio.run(main())
"""
DIE_IN_MID_WRITE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], autocommit=True)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO records VALUES ('x', 1, 1, '', 0, '{}')")
os._exit(9)
"""


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another connection sees."""
    connection = sqlite3.connect(path, autocommit=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def run_python(program: str, *arguments: object) -> tuple[int | None, bytes]:
    """An interpreter's exit code and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *map(str, arguments),
        cwd=CHECKOUT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    return process.returncode, errors


async def test_when_processes_write_at_once_then_none_fails_and_the_newest_wins(
    tmp_path: Path,
) -> None:
    """Two interpreters make the file and write the same records, in odd and even versions."""
    path = tmp_path / "records.sqlite3"

    outcomes = await asyncio.gather(
        run_python(WRITE_EVERY_SECOND_VERSION, path, 1),
        run_python(WRITE_EVERY_SECOND_VERSION, path, 2),
    )

    assert ((0, b""), (0, b"")) == tuple(outcomes)
    assert [(50, 29, 29)] == query(path, "SELECT count(*), min(version), max(version) FROM records")


async def test_when_a_process_dies_in_mid_write_then_nothing_is_half_written(
    tmp_path: Path,
) -> None:
    """A transaction that was not committed leaves no trace, and no lock."""
    path = tmp_path / "records.sqlite3"
    store = SqliteStore(path)
    await store.write([record("a")])

    died = await run_python(DIE_IN_MID_WRITE, path)

    assert (9, b"") == died
    assert 1 == await store.write([record("b")])
    assert [("a",), ("b",)] == query(path, "SELECT id FROM records ORDER BY id")
    await store.aclose()
