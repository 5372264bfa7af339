"""A sample of the crash matrix, and that it finds each rule that is broken on purpose."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SEED = 1


def try_matrix(*options: str) -> "subprocess.CompletedProcess[str]":
    """Run it in one process; a second one is busy with other tests."""
    return subprocess.run(
        [sys.executable, "-m", "tests.crash_matrix", "--jobs", "1", "--seed", str(SEED), *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store", "points"), [("sqlite", "8"), ("table", "3")])
def test_when_a_run_is_ended_or_disturbed_anywhere_then_the_sink_is_right_in_the_end(
    store: str, points: str
) -> None:
    """A few points of each scenario; `make crash-matrix` tries them all."""
    tried = try_matrix("--store", store, "--points", points)

    assert 0 == tried.returncode, tried.stdout + tried.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mutant", "store", "scenario", "group"),
    [
        ("checkpoint_first", "sqlite", "increment", "file kill_before"),
        ("checkpoint_first", "table", "increment", "table kill_after"),
        ("no_version_rule", "sqlite", "first-load", "api stale"),
        ("no_version_rule", "table", "first-load", "api freeze_after"),
        ("no_fence", "sqlite", "first-load", "api freeze_replaced"),
        ("no_fence", "table", "first-load", "api freeze_replaced"),
        ("sweep_after_done", "sqlite", "sweep", "file kill_before"),
        ("sweep_after_done", "table", "sweep", "table kill_after"),
        ("no_sync", "sqlite", "increment", "file power_loss"),
        ("checkpoint_first", "postgres", "increment", "postgres kill_after"),
        ("no_version_rule", "postgres", "first-load", "api stale"),
        ("no_fence", "postgres", "first-load", "api freeze_replaced"),
        ("sweep_after_done", "postgres", "sweep", "postgres kill_after"),
        ("sweep_after_done", "table", "fan-out-generation", "table kill_after"),
    ],
)
def test_when_a_rule_is_broken_on_purpose_then_the_matrix_finds_it(
    mutant: str, store: str, scenario: str, group: str
) -> None:
    """A matrix that passes without the rule would say nothing about it."""
    where = ["--store", store, "--scenario", scenario, "--groups", group, "--latest-first"]
    tried = try_matrix(*where, "--mutant", mutant, "--stop")

    assert 1 == tried.returncode, tried.stdout + tried.stderr
    assert "1 with a broken promise" in tried.stdout


@pytest.mark.timeout(300)
def test_when_the_feed_is_replaced_before_the_first_checkpoint_then_nothing_old_stays() -> None:
    """The first page of a first load is written, or about to be; then the feed is another one."""
    where = ["--store", "table", "--scenario", "first-load", "--groups", "table freeze_replaced"]
    tried = try_matrix(*where, "--stop", "--latest-first")

    assert 0 == tried.returncode, tried.stdout + tried.stderr
