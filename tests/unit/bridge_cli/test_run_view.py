"""What a person and a program see of a run."""

import json
from dataclasses import replace

import pytest

from azure_function_app.sync.checkpoint_store import BEGINNING, Checkpoint, SyncReport, SyncStatus
from azure_function_app.sync.sweep import Sweep, SweepPhase
from bridge_cli.syncing.run_view import (
    EXIT_CODES,
    report_to_json,
    report_to_text,
    state_to_json,
    state_to_text,
)


def report(status: SyncStatus, *, day: int = 21, error_code: str | None = None) -> SyncReport:
    """A run of two seconds on that day."""
    return SyncReport(
        run_id="r",
        status=status,
        pages=1,
        records_read=1_000,
        records_changed=7,
        records_set_aside=0,
        started_at=f"2026-11-{day}T05:47:00.000Z",
        finished_at=f"2026-11-{day}T05:47:02.000Z",
        error_code=error_code,
    )


def test_when_a_run_can_end_so_then_it_has_an_exit_code_of_its_own() -> None:
    """And none that means wrong usage."""
    assert set(SyncStatus) == set(EXIT_CODES)
    assert len(SyncStatus) == len(set(EXIT_CODES.values()) - {2})


@pytest.mark.parametrize("status", SyncStatus)
def test_when_a_run_has_ended_then_its_text_says_how_and_how_much(status: SyncStatus) -> None:
    """In lines that fit a terminal."""
    text = report_to_text(report(status))

    assert text.lower().startswith(f"{status}:")
    assert "1,000 in 1 page, 2.0 s, 500 records a second" in text
    assert 2.0 == json.loads(report_to_json(report(status)))["seconds"]


def test_when_the_last_run_failed_then_the_state_says_since_when_none_has_succeeded() -> None:
    """As far back as the store remembers."""
    runs = [
        report(SyncStatus.FAILED, day=23, error_code="backend_503"),
        report(SyncStatus.COMPLETE, day=22),
        report(SyncStatus.COMPLETE, day=21),
    ]
    checkpoint = Checkpoint("AAAA", "fence", 2, is_rereading=True)

    text = state_to_text("here", checkpoint, runs)
    state = json.loads(state_to_json("here", checkpoint, runs))

    assert "last at 2026-11-22T05:47:02.000Z" in text
    assert "failed (backend_503)" in text
    assert "generation 2, which is not read to its end yet" in text
    assert "2026-11-22T05:47:02.000Z" == state["last_success_at"]
    assert ["failed", "complete", "complete"] == [run["status"] for run in state["runs"]]


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (SweepPhase.COUNTING, "being counted, 1,234 so far"),
        (SweepPhase.HELD, "lacks 1,234 records, and these are held: --accept-deletions"),
        (SweepPhase.MARKING, "lacks 1,234 records, and these are being marked"),
    ],
)
def test_when_a_sweep_is_under_way_then_the_state_says_how_far_it_is(
    phase: SweepPhase, words: str
) -> None:
    """And what a person has to say to it."""
    sweep = Sweep(phase, "p", live=2_000, missing=1_234)
    checkpoint = Checkpoint("AAAA", "fence", 2, is_rereading=True, sweep=sweep)

    assert words in state_to_text("here", checkpoint, [])
    state = json.loads(state_to_json("here", checkpoint, []))
    assert (phase, 1_234) == (
        state["checkpoint"]["sweep"]["phase"],
        state["checkpoint"]["sweep"]["missing"],
    )


def test_when_a_run_is_held_then_its_text_says_how_many_are_missing() -> None:
    """In the run's own text and among the runs; deletions that were set aside too."""
    held = replace(
        report(SyncStatus.HELD),
        records_missing=1_234,
        records_set_aside=3,
        tombstones_set_aside=2,
    )

    assert "missing    1,234" in report_to_text(held)
    assert "bridge sync --accept-deletions" in report_to_text(held)
    assert "3 (2 deletions) set aside, 1,234 missing" in state_to_text("here", BEGINNING, [held])


def test_when_no_run_has_succeeded_then_the_state_does_not_claim_one() -> None:
    """With runs that failed, and with none at all."""
    failed = state_to_text("here", BEGINNING, [report(SyncStatus.FAILED)])
    none = state_to_text("here", BEGINNING, [])

    assert "none of the runs that are kept, the oldest of 2026-11-21T05:47:00.000Z" in failed
    assert "none has ended yet" in none
    assert json.loads(state_to_json("here", BEGINNING, []))["checkpoint"] is None
