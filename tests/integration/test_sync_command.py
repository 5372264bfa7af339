"""`bridge import` and `bridge sync` as a person runs them, against a whole local stack."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from azure_function_app.stores.sqlite_store import SqliteStore
from azure_function_app.sync.records import PoisonRecord
from bridge_cli.main import app
from bridge_cli.up_page import write_settings_file
from emulator.stack import LocalStack
from tests.support.local_stack import running_stack
from tests.support.sync_store_promises import origin, valid

BRIDGE = Path(sys.executable).with_name("bridge")
RECORD_COUNT = 600
"""So many that no machine reads them in a second one by one."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """A stack whose records a user's own file has brought, with its settings in a file."""
    folder = tmp_path_factory.mktemp("stack")
    async with running_stack(folder / "stack", imports_records=False) as stack:
        write_settings_file(stack)
        records = folder / "mine.jsonl"
        records.write_text(
            "".join(f'{{"icao": "R{number}"}}\n' for number in range(RECORD_COUNT)), "utf-8"
        )
        code, imported, _ = await import_into(stack, str(records), "--id", "icao")
        assert (0, RECORD_COUNT) == (code, json.loads(imported)["imported"])
        yield stack


@pytest.fixture
def settings(stack: LocalStack, tmp_path: Path) -> Path:
    """The app's settings, with a store of the test's own, some pages long."""
    document = json.loads((stack.folder / "local.settings.json").read_text("utf-8"))
    document["Values"] |= {"SQLITE_PATH": str(tmp_path / "r.sqlite3"), "SYNC_PAGE_SIZE": "200"}
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps(document), "utf-8")
    return file


async def bridge(*arguments: str) -> tuple[int, str, str]:
    """The command's exit code, its output and its complaints; in a thread, with its own loop."""
    with mock.patch.dict("os.environ"):
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


async def import_into(stack: LocalStack, *arguments: str) -> tuple[int, str, str]:
    """The command `bridge import` for the stack's table."""
    place = ("--table", stack.deployment.table_name, "--endpoint-url", stack.aws_endpoint_url)
    return await bridge("import", *arguments, *place, "--json")


async def sync(settings: Path, *arguments: str) -> tuple[int, Any]:
    """The command `bridge sync` with --json: its exit code and the one object that it prints."""
    code, output, complaints = await bridge(
        "sync", *arguments, "--settings", str(settings), "--json"
    )
    assert "" == complaints
    assert 1 == output.count("\n")
    return code, json.loads(output)


def change(settings: Path, **values: str) -> None:
    """Change some of the app's settings."""
    document = json.loads(settings.read_text("utf-8"))
    document["Values"] |= values
    settings.write_text(json.dumps(document), "utf-8")


def stored(settings: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the store's file holds."""
    connection = sqlite3.connect(settings.with_name("r.sqlite3"))
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def spoil(settings: Path, sql: str) -> None:
    """Change the store behind the command's back."""
    connection = sqlite3.connect(settings.with_name("r.sqlite3"), autocommit=True)
    connection.execute(sql)
    connection.close()


async def test_when_a_run_is_asked_for_then_everything_arrives(settings: Path) -> None:
    """A second run finds nothing new, and the state shows it."""
    code, report = await sync(settings)
    again, repeated = await sync(settings)
    told, state = await sync(settings, "status")

    assert (0, "complete", RECORD_COUNT) == (code, report["status"], report["records_changed"])
    assert (0, "complete", 0) == (again, repeated["status"], repeated["records_changed"])
    assert [(RECORD_COUNT,)] == stored(settings, "SELECT count(*) FROM records")
    assert (0, repeated["run_id"]) == (told, state["runs"][0]["run_id"])
    assert repeated["finished_at"] == state["last_success_at"]
    assert state["checkpoint"]["cursor"]


async def test_when_a_run_is_dry_then_it_says_what_would_change_and_writes_nothing(
    settings: Path,
) -> None:
    """Not even a file where there is none; afterwards neither checkpoint nor report."""
    code, first = await sync(settings, "--dry-run")
    assert not settings.with_name("r.sqlite3").exists()
    await sync(settings)
    spoil(settings, "DELETE FROM records WHERE id IN ('R1', 'R2')")
    spoil(settings, "UPDATE records SET version = 0 WHERE id = 'R3'")
    spoil(settings, "INSERT INTO records VALUES ('gone', 0, 1, '2026-01-01T00:00:00Z', 0, '{}')")
    before = stored(settings, "SELECT * FROM records UNION ALL SELECT *, 1, 1, 1 FROM state")
    full_code, full = await sync(settings, "--dry-run", "--full")
    reset_code, reset = await sync(settings, "--dry-run", "--reset")

    assert (0, True, RECORD_COUNT) == (code, first["dry_run"], first["records_added"])
    assert (0, 2, 1, RECORD_COUNT - 3, None) == (
        full_code,
        full["records_added"],
        full["records_updated"],
        full["records_unchanged"],
        full["records_missing"],
    )
    assert (0, 1, RECORD_COUNT + 1) == (
        reset_code,
        reset["records_missing"],
        reset["records_changed"],
    )
    assert before == stored(
        settings, "SELECT * FROM records UNION ALL SELECT *, 1, 1, 1 FROM state"
    )


async def test_when_everything_is_read_again_then_what_was_lost_is_there_and_the_rest_stays(
    settings: Path,
) -> None:
    """In the same generation: nothing is deleted that the source lacks."""
    await sync(settings)
    spoil(settings, "DELETE FROM records WHERE id = 'R1'")
    spoil(settings, "INSERT INTO records VALUES ('gone', 0, 1, '2026-01-01T00:00:00Z', 0, '{}')")

    code, report = await sync(settings, "--full")

    assert (0, RECORD_COUNT, 1) == (code, report["records_read"], report["records_changed"])
    assert [(0, 0, RECORD_COUNT + 1)] == stored(
        settings, "SELECT max(generation), sum(deleted), count(*) FROM records"
    )


async def test_when_the_sync_is_reset_then_what_the_source_lacks_is_deleted_in_the_end(
    settings: Path,
) -> None:
    """In a new generation; and only when somebody has said yes."""
    await sync(settings)
    spoil(settings, "INSERT INTO records VALUES ('gone', 0, 1, '2026-01-01T00:00:00Z', 0, '{}')")
    unasked, _, complaint = await bridge("sync", "--reset", "--json", "--settings", str(settings))
    declined, _, question = await bridge("sync", "--reset", "--settings", str(settings))
    untouched = stored(settings, "SELECT max(generation) FROM records")

    code, report = await sync(settings, "--reset", "--yes")

    assert (2, 1, [(0,)]) == (unasked, declined, untouched)
    assert "--yes" in complaint
    assert "mark as deleted" in question
    assert (0, "complete") == (code, report["status"])
    assert [("gone", 1)] == stored(settings, "SELECT id, generation FROM records WHERE deleted")


async def test_when_a_cursor_is_given_then_the_run_goes_on_from_there(settings: Path) -> None:
    """One that the API does not take changes nothing, and says where to find one."""
    await sync(settings)
    ((state, _),) = stored(settings, "SELECT value, fence FROM state WHERE name = 'checkpoint'")
    end = json.loads(state)["cursor"]
    refused, failure = await sync(settings, "--from", "nonsense")
    empty, _ = await sync(settings, "--from", "")
    unmoved = stored(settings, "SELECT value FROM state WHERE name = 'checkpoint'")
    await sync(settings, "--full")

    code, report = await sync(settings, "--from", end)

    assert (1, 1, "starting_point_refused") == (refused, empty, failure["error_code"])
    assert "bridge sync status" in failure["message"]
    assert [(state,)] == unmoved
    assert (0, 0) == (code, report["records_read"])


async def test_when_a_generation_is_unfinished_then_no_cursor_may_skip_a_part_of_it(
    settings: Path,
) -> None:
    """What is skipped would be marked as deleted when the end is reached."""
    await sync(settings)
    store = SqliteStore(settings.with_name("r.sqlite3"))
    checkpoint = await store.load()
    await store.aclose()
    spoil(
        settings,
        "UPDATE state SET value = json_set(value, '$.is_rereading', json('true'),"
        " '$.generation', 1, '$.cursor', '') WHERE name = 'checkpoint'",
    )

    code, failure = await sync(settings, "--from", checkpoint.cursor)

    assert (1, "starting_point_refused") == (code, failure["error_code"])
    assert [(0,)] == stored(settings, "SELECT sum(deleted) FROM records")


async def test_when_a_run_is_stopped_then_the_next_one_goes_on(settings: Path) -> None:
    """Ctrl-C leaves a checkpoint, a report and no record that the next run would not write."""
    change(settings, SYNC_PAGE_SIZE="1")
    command = await asyncio.create_subprocess_exec(
        BRIDGE, "sync", "--json", "--settings", str(settings), stdout=asyncio.subprocess.PIPE
    )
    database = settings.with_name("r.sqlite3")
    async with asyncio.timeout(60):
        while not (database.exists() and _count(database) >= 3):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    os.kill(command.pid, signal.SIGINT)
    output, _ = await command.communicate()
    _, state = await sync(settings, "status")
    change(settings, SYNC_PAGE_SIZE="200")
    code, report = await sync(settings)

    assert (130, "cancelled") == (command.returncode, json.loads(output)["error_code"])
    assert ("failed", "cancelled") == (
        state["runs"][0]["status"],
        state["runs"][0]["error_code"],
    )
    # The page that was being checkpointed when it came may be done, and is not in the report.
    done = RECORD_COUNT - report["records_read"]
    assert 0 == code
    assert done - state["runs"][0]["pages"] in {0, 1}
    assert [(RECORD_COUNT,)] == stored(settings, "SELECT count(*) FROM records")


def _count(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        count: int = connection.execute("SELECT count(*) FROM records").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
    return count


async def test_when_the_time_of_a_run_is_up_then_it_ends_as_paused(settings: Path) -> None:
    """With a code of its own, for a script that runs it again."""
    change(settings, SYNC_PAGE_SIZE="1", SYNC_RUN_SECONDS="1")

    code, report = await sync(settings)

    assert (3, "paused") == (code, report["status"])


async def test_when_the_api_cannot_be_reached_then_the_failure_says_what_to_check(
    settings: Path,
) -> None:
    """Exit code 1, the reason, and the report that the run has saved."""
    change(settings, AWS_API_BASE_URL="http://127.0.0.1:9/x", SYNC_CALL_SECONDS="1")

    code, report = await sync(settings)
    cursor_code, failure = await sync(settings, "--from", "AAAA")

    assert (1, "failed", "backend_unreachable") == (code, report["status"], report["error_code"])
    assert "AWS_API_BASE_URL" in report["message"]
    assert (1, "backend_unreachable") == (cursor_code, failure["error_code"])


async def test_when_the_table_has_a_feed_then_an_import_is_refused(
    stack: LocalStack, tmp_path: Path
) -> None:
    """Its readers would miss what is put beneath them."""
    more = tmp_path / "more.jsonl"
    more.write_text('{"id": "more", "data": {}}\n', "utf-8")

    code, output, _ = await import_into(stack, str(more))

    assert (1, "feed_not_empty") == (code, json.loads(output)["error_code"])
    assert "new table" in json.loads(output)["message"]


async def test_when_more_is_missing_than_may_be_deleted_then_only_a_persons_word_deletes_it(
    settings: Path,
) -> None:
    """Held runs have an exit code of their own; the word counts once, and where there is a need."""
    await sync(settings)
    spoil(
        settings,
        "INSERT INTO records SELECT 'gone' || id, 0, 1, updated_at, 0, '{}' FROM records LIMIT 300",
    )
    nothing_held, refusal = await sync(settings, "--accept-deletions")
    dry_code, dry = await sync(settings, "--dry-run", "--reset")

    held_code, held = await sync(settings, "--reset", "--yes")
    again, _ = await sync(settings)
    _, state = await sync(settings, "status")
    deleted_while_held = stored(settings, "SELECT count(*) FROM records WHERE deleted")
    code, report = await sync(settings, "--accept-deletions")

    assert (1, "starting_point_refused") == (nothing_held, refusal["error_code"])
    assert (5, "held", 300) == (dry_code, dry["status"], dry["records_missing"])
    assert (5, "held", "deletions_held", 300) == (
        held_code,
        held["status"],
        held["error_code"],
        held["records_missing"],
    )
    assert 5 == again
    assert ("held", 300) == (
        state["checkpoint"]["sweep"]["phase"],
        state["checkpoint"]["sweep"]["missing"],
    )
    assert ["held", "held", "complete"] == [run["status"] for run in state["runs"]]
    assert [(0,)] == deleted_while_held
    assert (0, "complete", 300) == (code, report["status"], report["records_changed"])
    assert [(300,)] == stored(
        settings, "SELECT count(*) FROM records WHERE deleted AND id LIKE 'gone%'"
    )


async def test_when_a_sweep_is_held_and_everything_is_read_again_then_it_is_still_held(
    settings: Path,
) -> None:
    """What was read again is no reason to delete, and no word of a person's."""
    await sync(settings)
    spoil(
        settings,
        "INSERT INTO records SELECT 'gone' || id, 0, 1, updated_at, 0, '{}' FROM records LIMIT 300",
    )
    await sync(settings, "--reset", "--yes")

    code, report = await sync(settings, "--full")

    assert (5, "held", 300) == (code, report["status"], report["records_missing"])
    assert [(0,)] == stored(settings, "SELECT count(*) FROM records WHERE deleted")


@pytest.mark.parametrize(
    ("damage", "error_code"),
    [
        ("UPDATE state SET value = '{' WHERE name = 'checkpoint'", "checkpoint_damaged"),
        ("UPDATE state SET value = '[]' WHERE name = 'checkpoint'", "checkpoint_foreign"),
    ],
)
async def test_when_the_checkpoint_cannot_be_read_then_a_reset_heals_it(
    settings: Path, damage: str, error_code: str
) -> None:
    """Nothing else does, and until then nothing is changed."""
    await sync(settings)
    spoil(settings, damage)
    failed, failure = await sync(settings)
    full, _ = await sync(settings, "--full")

    code, report = await sync(settings, "--reset", "--yes")
    following, _ = await sync(settings)

    assert (1, 1, error_code) == (failed, full, failure["error_code"])
    assert "bridge sync --reset" in failure["message"]
    assert (0, "complete", RECORD_COUNT) == (code, report["status"], report["records_read"])
    assert 0 == following
    assert [(1,)] == stored(settings, "SELECT DISTINCT generation FROM records")


@pytest.fixture
async def set_aside(settings: Path) -> list[str]:
    """The keys of two items that were set aside: one is a valid record by today's rules."""
    await sync(settings)
    store = SqliteStore(settings.with_name("r.sqlite3"))
    bad = PoisonRecord("\x1b[2Jbad", "no version", b'{"id":"bad\x1b[2J"}', is_tombstone=True)
    await store.set_aside([valid("mended", 2), bad], origin=origin())
    entries = await store.list_poison()
    await store.aclose()
    return [entry.key for entry in sorted(entries, key=lambda entry: entry.id)]


async def test_when_items_are_set_aside_then_they_are_listed_and_shown(
    settings: Path, set_aside: list[str]
) -> None:
    """Page by page; and a terminal gets nothing that it would obey."""
    bad, mended = set_aside
    code, everything = await sync(settings, "poison", "list")
    _, first = await sync(settings, "poison", "list", "--limit", "1")
    _, rest = await sync(settings, "poison", "list", "--after", first["next"])
    shown_code, kept = await sync(settings, "poison", "show", bad)
    unknown, failure = await sync(settings, "poison", "show", "0" * 64)
    _, listing, _ = await bridge("sync", "poison", "list", "--settings", str(settings))
    _, content, _ = await bridge("sync", "poison", "show", bad, "--settings", str(settings))

    assert (0, None, {bad, mended}) == (
        code,
        everything["next"],
        {item["key"] for item in everything["items"]},
    )
    assert everything["items"] == first["items"] + rest["items"]
    assert (0, b'{"id":"bad\x1b[2J"}') == (shown_code, b64decode(kept["content_base64"]))
    assert (1, "poison_unknown") == (unknown, failure["error_code"])
    assert "\x1b" not in listing + content
    assert "\\x1b[2Jbad, a deletion: no version" in listing


async def test_when_what_is_set_aside_is_replayed_then_what_is_mended_leaves(
    settings: Path, set_aside: list[str]
) -> None:
    """The rest stays, with an exit code of its own, until a person drops it."""
    code, report = await sync(settings, "poison", "replay")
    _, left = await sync(settings, "poison", "list")
    dropped_code, dropped = await sync(settings, "poison", "drop", set_aside[0])
    again, _ = await sync(settings, "poison", "drop", set_aside[0])
    done, nothing = await sync(settings, "poison", "replay")

    assert (6, 1, 0, 1) == (code, report["stored"], report["overtaken"], report["unfit"])
    assert [set_aside[0]] == [item["key"] for item in left["items"]]
    assert [(2,)] == stored(settings, "SELECT version FROM records WHERE id = 'mended'")
    assert (0, 1, 1) == (dropped_code, dropped["dropped"], again)
    assert (0, 0) == (done, nothing["unfit"])


@pytest.mark.usefixtures("set_aside")
async def test_when_everything_is_to_be_dropped_then_somebody_is_asked(settings: Path) -> None:
    """Unless the command says yes; and of one reason, only that."""
    place = ("--settings", str(settings))
    unasked, _, complaint = await bridge("sync", "poison", "drop", "--all", "--json", *place)
    declined, _, question = await bridge("sync", "poison", "drop", "--all", *place)
    _, kept = await sync(settings, "poison", "list")
    _, some = await sync(settings, "poison", "drop", "--all", "--reason", "no version", "--yes")
    _, rest = await sync(settings, "poison", "drop", "--all", "--yes")
    _, left = await sync(settings, "poison", "list")

    assert (2, 1, 2) == (unasked, declined, len(kept["items"]))
    assert "--yes" in complaint
    assert "kept nowhere else" in question
    assert (1, 1, []) == (some["dropped"], rest["dropped"], left["items"])


async def test_when_there_is_no_store_yet_then_looking_at_the_poison_makes_none(
    settings: Path,
) -> None:
    """There is nothing to list, to replay or to drop."""
    listed, found = await sync(settings, "poison", "list")
    replayed, _ = await sync(settings, "poison", "replay")
    dropped, _ = await sync(settings, "poison", "drop", "0" * 64)

    assert (0, [], 0, 1) == (listed, found["items"], replayed, dropped)
    assert not settings.with_name("r.sqlite3").exists()
