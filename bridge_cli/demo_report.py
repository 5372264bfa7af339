"""The demo's report as a table for people and as JSON for programs."""

import json

from rich.console import Console
from rich.table import Table

from bridge_cli.demo import DemoReport, Refusal


def to_json(report: DemoReport) -> str:
    """The report as one line of JSON."""
    return json.dumps(
        {
            "ok": not report.problems,
            "records_source": report.records_source,
            "records_synced": report.records_synced,
            "sync_seconds": report.sync_seconds,
            "changes_made": report.changes_made,
            "changes_synced": report.changes_synced,
            "records_read_again": report.records_read_again,
            "changed_by_full_resync": report.changed_by_full_resync,
            "proxy_status": report.proxy_status,
            "rotated_key_status": report.rotated_key_status,
            "refusals": {refusal.name: refusal.status for refusal in report.refusals},
            "refusal_reasons": {refusal.name: refusal.reason for refusal in report.refusals},
            "problems": report.problems,
        }
    )


def print_tables(report: DemoReport, console: Console) -> None:
    """What was shown, and how each bad call was refused."""
    shown = Table(title="The bridge at work", title_justify="left")
    shown.add_column("What")
    shown.add_column("Result", justify="right")
    rate = report.records_synced / report.sync_seconds if report.sync_seconds else 0
    rows = (
        ("records at the source", f"{report.records_source:,}"),
        ("records synced", f"{report.records_synced:,}"),
        ("first sync", f"{report.sync_seconds:.1f} s, {rate:,.0f} records/s"),
        (
            "second sync, after changes at the source",
            f"{report.changes_synced} of {report.changes_made} changes moved",
        ),
        (
            "sync again without its checkpoint",
            f"{report.records_read_again:,} read, {report.changed_by_full_resync} changed",
        ),
        ("call through the proxy", f"HTTP {report.proxy_status}"),
        ("first call after the signing key was rotated", f"HTTP {report.rotated_key_status}"),
    )
    for row in rows:
        shown.add_row(*row)
    console.print(shown)

    refused = Table(title="Who did not get in", title_justify="left")
    for heading in ("Case", "What is wrong", "Answer", "Why, in the authorizer's log"):
        refused.add_column(heading)
    for refusal in report.refusals:
        refused.add_row(refusal.name, refusal.lie, _answer(refusal), _reason(refusal))
    console.print(refused)


def _answer(refusal: Refusal) -> str:
    is_right = refusal.status == refusal.expected_status
    return f"[{'green' if is_right else 'bold red'}]{refusal.status}[/]"


def _reason(refusal: Refusal) -> str:
    return refusal.reason or "[dim]refused by the gateway itself[/]"
