"""The demo's report."""

import json

from rich.console import Console

from bridge_cli.demo import DemoReport, Refusal
from bridge_cli.demo_report import print_tables, to_json

REFUSED = Refusal("expired", "expired an hour ago", 401, 401, "expired")
LET_IN = Refusal("bad_signature", "one bit flipped", 200, 401, "")


def test_when_the_report_is_json_then_it_has_what_programs_read() -> None:
    """The members that checks rely on are there, refusals as case to status."""
    report = DemoReport(records_source=2, records_synced=2, refusals=[REFUSED])

    members = json.loads(to_json(report))
    assert {"records_source", "records_synced", "sync_seconds", "proxy_status"} <= members.keys()
    assert {"expired": 401} == members["refusals"]
    assert members["ok"]


def test_when_something_was_not_as_promised_then_the_report_is_not_ok() -> None:
    """An expectation that fails is a problem, in words."""
    report = DemoReport(refusals=[LET_IN])
    report.expect(is_so=False, otherwise="bad_signature was let in")

    members = json.loads(to_json(report))
    assert not members["ok"]
    assert ["bad_signature was let in"] == members["problems"]


def test_when_the_tables_are_printed_then_each_refusal_has_its_status_and_reason() -> None:
    """A person sees the case, the answer and the reason."""
    console = Console(record=True, width=120)
    print_tables(DemoReport(refusals=[REFUSED, LET_IN]), console)

    text = console.export_text()
    assert "expired an hour ago" in text
    assert "refused by the gateway itself" in text
