"""The demo's report as a table for people and as JSON for programs."""

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge_cli.demo import DemoReport
from bridge_cli.refusals import GATEWAY


def to_json(report: DemoReport) -> str:
    """Return the report as one line of JSON."""
    return json.dumps(
        {
            "ok": not report.problems,
            "records_source": report.records_source,
            "records_synced": report.records_synced,
            "sync_seconds": report.sync_seconds,
            "changes_made": report.changes_made,
            "changes_synced": report.changes_synced,
            "records_after_changes": report.records_after_changes,
            "tombstones": report.tombstones,
            "records_read_again": report.records_read_again,
            "changed_by_full_resync": report.changed_by_full_resync,
            "proxy_status": report.proxy_status,
            "rotated_key_status": report.rotated_key_status,
            "refusals": {refusal.case.name: refusal.status for refusal in report.refusals},
            "refusal_reasons": {refusal.case.name: refusal.reason for refusal in report.refusals},
            "problems": report.problems,
        }
    )


def print_tables(report: DemoReport, console: Console) -> None:
    """Print what was shown and how each bad call was refused; counts and times are never cut."""
    shown = Table(title="The bridge at work", title_justify="left")
    shown.add_column("What")
    shown.add_column("Result", justify="right", no_wrap=True)
    rate = report.records_synced / report.sync_seconds if report.sync_seconds else 0
    rows = (
        ("records at the source", f"{report.records_source:,}"),
        ("records synced", f"{report.records_synced:,}"),
        ("first sync", f"{report.sync_seconds:,.1f} s, {rate:,.0f} records/s"),
        (
            "second sync, after changes at the source",
            f"{report.changes_synced:,} of {report.changes_made:,} changes moved",
        ),
        (
            "sync again without its checkpoint",
            f"{report.records_read_again:,} read, {report.changed_by_full_resync:,} changed",
        ),
        ("  of these: records, one added and one deleted", f"{report.records_after_changes:,}"),
        ("  of these: tombstone of the deleted one", f"{report.tombstones:,}"),
        ("call through the proxy", f"HTTP {report.proxy_status}"),
        ("first call after the signing key was rotated", f"HTTP {report.rotated_key_status}"),
    )
    for row in rows:
        shown.add_row(*row)
    console.print(shown)

    refused = Table(title="Who did not get in", title_justify="left")
    refused.add_column("Case", no_wrap=True)
    refused.add_column("What is wrong")
    refused.add_column("Answer", no_wrap=True)
    refused.add_column("Reason", overflow="fold")
    for refusal in report.refusals:
        case = refusal.case
        refused.add_row(
            case.name,
            case.lie,
            _coloured(str(refusal.status), is_right=refusal.status == case.expected_status),
            _coloured(refusal.reason, is_right=refusal.reason == case.expected_reason),
        )
    console.print(refused)
    console.print(f"Reason: as the authorizer logged it; {GATEWAY}: the authorizer was not asked.")


def _coloured(text: str, *, is_right: bool) -> Text:
    return Text(text, style="green" if is_right else "bold red")
