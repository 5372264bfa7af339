"""What a run, a dry run and a store's state look like: sentences for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final, assert_never

from azure_function_app.sync.checkpoint_store import (
    BEGINNING,
    RUNS_KEPT,
    Checkpoint,
    SyncReport,
    SyncStatus,
)
from azure_function_app.sync.sweep import SweepPhase
from bridge_cli.syncing.dry_run import Preview

EXIT_CODES: Final = {
    SyncStatus.COMPLETE: 0,
    SyncStatus.FAILED: 1,
    SyncStatus.PAUSED: 3,
    SyncStatus.SUPERSEDED: 4,
    SyncStatus.HELD: 5,
}
"""What the command exits with after a run that ended so. 2 is wrong usage, 130 is Ctrl-C."""


def report_to_json(report: SyncReport, *, message: str | None = None) -> str:
    """Return the run's report as one line of JSON."""
    return json.dumps({**report.to_members(), "seconds": _seconds(report), "message": message})


def report_to_text(report: SyncReport) -> str:
    """Return what the run did in a few short lines."""
    seconds = _seconds(report)
    rate = f", {report.records_read / seconds:,.0f} records a second" if seconds else ""
    pages = f"{report.records_read:,} in {_pages(report.pages)}, {seconds:,.1f} s{rate}"
    lines = [
        _MEANING[report.status],
        f"  read       {pages}",
        f"  changed    {report.records_changed:,}",
        f"  set aside  {_set_aside(report)}",
    ]
    if report.status is SyncStatus.HELD:
        lines.append(f"  missing    {report.records_missing:,}")
    return "\n".join(lines)


def _set_aside(report: SyncReport) -> str:
    deletions = report.tombstones_set_aside
    return f"{report.records_set_aside:,}" + (f" ({deletions:,} deletions)" if deletions else "")


_MEANING: Final = {
    SyncStatus.COMPLETE: "Complete: the end of the change feed was reached.",
    SyncStatus.PAUSED: "Paused: the time of one run (SYNC_RUN_SECONDS) is up, and there is more."
    " The next run goes on.",
    SyncStatus.SUPERSEDED: "Superseded: another run moved the checkpoint, and goes on from there.",
    SyncStatus.HELD: "Held: the new feed lacks more records than may be deleted unasked; none was."
    " If its table is empty by mistake, fill it; if they are meant to go, run"
    " `bridge sync --accept-deletions`.",
    SyncStatus.FAILED: "Failed: what was checkpointed before stays done.",
}


def preview_to_json(preview: Preview) -> str:
    """Return the dry run as one line of JSON."""
    return json.dumps(
        {"dry_run": True, **asdict(preview), "records_changed": preview.records_changed}
    )


def preview_to_text(preview: Preview) -> str:
    """Return what a run would do, in a few short lines."""
    lines = [
        "Dry run: nothing was written, and the checkpoint is where it was.",
        f"  read           {preview.records_read:,} in {_pages(preview.pages)}",
        f"  would add      {preview.records_added:,}",
        f"  would update   {preview.records_updated:,}",
        f"  would delete   {preview.records_deleted:,}",
        f"  unchanged      {preview.records_unchanged:,}",
        f"  set aside      {preview.records_set_aside:,}",
    ]
    if preview.records_missing is not None:
        lines.append(
            f"  would mark as deleted, because the source lacks them: {preview.records_missing:,}"
        )
    if preview.begins_generation:
        lines.append(
            "The cursor has expired: the source is another feed, and a run would begin a new"
            " generation."
        )
    match preview.status:
        case SyncStatus.PAUSED:
            lines.append(
                "The time of one run (SYNC_RUN_SECONDS) was up before the end of the feed; what"
                " comes after is not counted."
            )
        case SyncStatus.HELD:
            lines.append(
                "That is more than may be deleted unasked (SYNC_MOST_DELETED_SHARE): a run would"
                " mark none and end as held."
            )
        case SyncStatus.COMPLETE | SyncStatus.SUPERSEDED | SyncStatus.FAILED:
            pass
        case _:
            assert_never(preview.status)
    return "\n".join(lines)


def last_success(runs: Sequence[SyncReport]) -> str | None:
    """Return when the latest of the runs that reached the end did so; None where none has.

    What reaches the end of one shard does not count.
    """
    complete = [run for run in runs if run.status is SyncStatus.COMPLETE and run.shard is None]
    return max((run.finished_at for run in complete), default=None)


def state_to_json(
    place: str,
    checkpoint: Checkpoint,
    runs: Sequence[SyncReport],
    shards: Mapping[int, Checkpoint] | None = None,
) -> str:
    """Return the state of the sync as one line of JSON; the runs newest first.

    Args:
        place: where the store is.
        checkpoint: that of the whole feed, or of the plan that its shards are read by.
        runs: that are kept, the newest first.
        shards: how far each shard is; None where the feed is read as a whole.

    """
    by_shard = {} if shards is None else {"shards": _shards_to_members(shards)}
    return json.dumps(
        {
            "store": place,
            "checkpoint": None
            if checkpoint == BEGINNING
            else {
                "cursor": checkpoint.cursor,
                "generation": checkpoint.generation,
                "is_rereading": checkpoint.is_rereading,
                "sweep": None if checkpoint.sweep is None else asdict(checkpoint.sweep),
            },
            **by_shard,
            "last_success_at": last_success(runs),
            "runs": [run.to_members() for run in runs],
        }
    )


def _shards_to_members(shards: Mapping[int, Checkpoint]) -> list[dict[str, object]]:
    return [
        {"shard": shard, "cursor": row.cursor, "is_rereading": row.is_rereading}
        for shard, row in sorted(shards.items())
    ]


def state_to_text(
    place: str,
    checkpoint: Checkpoint,
    runs: Sequence[SyncReport],
    shards: Mapping[int, Checkpoint] | None = None,
) -> str:
    """Return the state of the sync in a few short lines; the newest hundred runs, newest first.

    The arguments are those of `state_to_json`.
    """
    name = "Checkpoint" if shards is None else "Plan      "
    lines = [f"Store       {place}", f"{name}  {_checkpoint_to_text(checkpoint)}"]
    for shard, row in sorted((shards or {}).items()):
        rereading = ", not read to its end yet" if row.is_rereading else ""
        lines.append(f"Shard {shard:<4}  {row.cursor}{rereading}")
    if not runs:
        return "\n".join([*lines, "Runs        none has ended yet"])
    succeeded = last_success(runs)
    lines.append(
        f"Succeeded   last at {succeeded}"
        if succeeded
        else f"Succeeded   none of the runs that are kept, the oldest of {runs[-1].started_at}"
    )
    lines.append("Runs        newest first")
    for run in runs[:RUNS_KEPT]:
        where = "" if run.shard is None else f"  shard {run.shard}"
        code = f" ({run.error_code})" if run.error_code else ""
        missing = f", {run.records_missing:,} missing" if run.records_missing else ""
        lines.append(
            f"  {run.finished_at}{where}  {run.status}{code}: {run.records_read:,} read,"
            f" {run.records_changed:,} changed, {_set_aside(run)} set aside{missing},"
            f" {_seconds(run):,.1f} s"
        )
    return "\n".join(lines)


def _checkpoint_to_text(checkpoint: Checkpoint) -> str:
    if checkpoint == BEGINNING:
        return "none: the next run begins at the beginning"
    cursor = checkpoint.cursor or "at the beginning"
    return (
        f"{cursor}\n            generation {checkpoint.generation}{_rereading_to_text(checkpoint)}"
    )


def _rereading_to_text(checkpoint: Checkpoint) -> str:
    if not checkpoint.is_rereading:
        return ""
    if checkpoint.sweep is None:
        return ", which is not read to its end yet"
    missing = f"{checkpoint.sweep.missing:,}"
    match checkpoint.sweep.phase:
        case SweepPhase.COUNTING:
            return f", in which missing records are being counted, {missing} so far"
        case SweepPhase.HELD:
            return f", which lacks {missing} records, and these are held: --accept-deletions"
        case SweepPhase.MARKING:
            return f", which lacks {missing} records, and these are being marked as deleted"
        case _:
            assert_never(checkpoint.sweep.phase)


def _seconds(report: SyncReport) -> float:
    started, ended = map(datetime.fromisoformat, (report.started_at, report.finished_at))
    return round((ended - started).total_seconds(), 3)


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count:,} pages"
