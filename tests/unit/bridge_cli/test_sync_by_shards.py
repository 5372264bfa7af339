"""`bridge sync` of an app that fans out: the same plan and the same workers, in one process."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from typer.testing import CliRunner

from azure_function_app import bootstrap
from azure_function_app.errors import BackendUnavailable
from bridge_cli.main import app
from tests.support.fake_feed import ShardedFeed
from tests.support.functions_app import NEEDED, both_clients

NAMES = [f"r{number}" for number in range(20)]

type Bridge = Callable[..., tuple[int, dict[str, Any]]]


class ClosableFeed(ShardedFeed):
    """A feed that can be closed, as the real API can."""

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> ClosableFeed:
    """What stands in for the API."""
    feed = ClosableFeed()
    feed.put(*NAMES)
    monkeypatch.setattr(bootstrap, "build_api_clients", lambda *_: both_clients(feed))
    monkeypatch.setattr(bootstrap, "ChangeFeed", lambda *_: feed)
    return feed


@pytest.fixture
def bridge(tmp_path: Path, feed: ClosableFeed) -> Iterator[Bridge]:  # noqa: ARG001 - it must stand first
    """Runs `bridge sync` with the settings of an app that fans out, by default."""

    def run(*arguments: str, fans_out: str = "true") -> tuple[int, dict[str, Any]]:
        values = NEEDED | {
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "SQLITE_PATH": str(tmp_path / "records.sqlite3"),
            "SYNC_FAN_OUT": fans_out,
            "SYNC_PAGE_SIZE": "2",
        }
        file = tmp_path / "local.settings.json"
        file.write_text(json.dumps({"IsEncrypted": False, "Values": values}), "utf-8")
        command = ["sync", *arguments, "--json", "--settings", str(file)]
        result = CliRunner().invoke(app, command)
        return result.exit_code, json.loads(result.stdout)

    with mock.patch.dict("os.environ"):
        yield run


def test_when_the_app_fans_out_then_one_command_reads_every_shard(
    bridge: Bridge, feed: ClosableFeed
) -> None:
    """The report is of all of it, and the state shows each shard."""
    code, report = bridge()
    _, state = bridge("status")

    assert (0, "complete", 20, 20) == (
        code,
        report["status"],
        report["records_read"],
        report["records_changed"],
    )
    assert [0, 1, 2] == [shard["shard"] for shard in state["shards"]]
    assert ["feed-1", False] == [
        state["checkpoint"]["cursor"],
        state["checkpoint"]["is_rereading"],
    ]
    assert {None, 0, 1, 2} == {run.get("shard") for run in state["runs"]}
    assert 1 + 1 == feed.listings


def test_when_everything_is_to_be_read_again_then_it_is_in_the_same_generation(
    bridge: Bridge,
) -> None:
    """Nothing changes by it."""
    bridge()

    code, report = bridge("--full")
    _, state = bridge("status")

    assert (0, 20, 0, 0) == (
        code,
        report["records_read"],
        report["records_changed"],
        state["checkpoint"]["generation"],
    )


def test_when_a_generation_is_begun_by_hand_then_it_replaces_everything(bridge: Bridge) -> None:
    """And is swept in the end."""
    bridge()

    code, report = bridge("--reset", "--yes")
    _, state = bridge("status")

    assert (0, 20, 1, False) == (
        code,
        report["records_changed"],
        state["checkpoint"]["generation"],
        state["checkpoint"]["is_rereading"],
    )


def test_when_a_sweep_is_held_then_a_persons_word_lets_it_go_on(
    bridge: Bridge, feed: ClosableFeed
) -> None:
    """The word is for the plan's sweep."""
    bridge()
    feed.start_anew()
    feed.put(*NAMES[:3])

    held, report = bridge()
    accepted, after = bridge("--accept-deletions")
    nothing, refused = bridge("--accept-deletions")

    assert (5, "held", 17, "deletions_held") == (
        held,
        report["status"],
        report["records_missing"],
        report["error_code"],
    )
    assert (0, 17) == (accepted, after["records_changed"])
    assert (1, "starting_point_refused") == (nothing, refused["error_code"])


def test_when_a_cursor_is_given_then_it_has_no_place(bridge: Bridge) -> None:
    """Each shard has its own."""
    bridge()

    code, failure = bridge("--from", "1.0.0")

    assert (1, "starting_point_refused") == (code, failure["error_code"])
    assert "SYNC_FAN_OUT" in failure["message"]


def test_when_there_is_no_feed_yet_then_a_run_and_a_dry_run_are_complete(
    bridge: Bridge, feed: ClosableFeed
) -> None:
    """The first day in an empty account."""
    feed.lose()

    dry, preview = bridge("--dry-run")
    code, report = bridge()

    assert (0, 0) == (dry, preview["records_read"])
    assert (0, "complete", 0) == (code, report["status"], report["records_read"])


def test_when_the_feed_is_gone_then_the_command_says_what_to_do(
    bridge: Bridge, feed: ClosableFeed
) -> None:
    """A dry run too, which a run would end as."""
    bridge()
    feed.lose()

    dry, preview = bridge("--dry-run")
    code, report = bridge()

    assert (1, "feed_missing") == (dry, preview["error_code"])
    assert (1, "failed", "feed_missing") == (code, report["status"], report["error_code"])
    assert "Fill the table" in report["message"]


def test_when_a_row_cannot_be_read_then_a_reset_heals_it(bridge: Bridge, tmp_path: Path) -> None:
    """Whichever it is."""
    for row in ("plan", "checkpoint-shard-1"):
        bridge()
        connection = sqlite3.connect(tmp_path / "records.sqlite3", autocommit=True)
        connection.execute("UPDATE state SET value = 'x' WHERE name = ?", (row,))
        connection.close()

        broken, failure = bridge()
        healed, _ = bridge("--reset", "--yes")

        assert (1, "checkpoint_damaged") == (broken, failure["error_code"])
        assert 0 == healed


def test_when_a_shard_fails_then_the_command_says_why(bridge: Bridge, feed: ClosableFeed) -> None:
    """With the report of the shard's run."""

    def fail(cursor: str) -> None:
        if cursor.startswith("1.1."):
            raise BackendUnavailable("The API is down.")

    feed.before_answer = fail

    code, report = bridge()

    assert (1, "failed", 1, "backend_unavailable") == (
        code,
        report["status"],
        report["shard"],
        report["error_code"],
    )


@pytest.mark.parametrize("is_new", [True, False])
def test_when_a_run_is_only_tried_then_every_shard_is_compared(
    bridge: Bridge, feed: ClosableFeed, *, is_new: bool
) -> None:
    """Also where the feed is another one, which a run would begin a generation for."""
    bridge()
    if is_new:
        feed.start_anew()
        feed.put(*NAMES[:18])
    else:
        feed.put("r1", "new")

    code, preview = bridge("--dry-run")
    _, report = bridge()

    assert 0 == code
    assert preview["records_changed"] == report["records_changed"]


def test_when_the_way_of_reading_changes_then_both_ways_end_alike(
    bridge: Bridge, feed: ClosableFeed
) -> None:
    """From the whole feed to its shards and back, in the same generation."""
    bridge(fans_out="false")
    feed.put("r1")

    to_shards = bridge()[1]
    feed.put("r2")
    back = bridge(fans_out="false")[1]
    idle = bridge(fans_out="false")[1]
    _, state = bridge("status", fans_out="false")

    assert [1, 1, 0] == [run["records_changed"] for run in (to_shards, back, idle)]
    assert [20, 20, 0] == [run["records_read"] for run in (to_shards, back, idle)]
    assert 0 == state["checkpoint"]["generation"]
