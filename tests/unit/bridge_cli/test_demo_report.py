"""The demo's report."""

import json

import pytest
from rich.console import Console

from bridge_cli.demo import DemoReport
from bridge_cli.demo_report import print_tables, to_json
from bridge_cli.refusals import NOT_READABLE, REFUSAL_CASES, Refusal

CASES = {case.name: case for case in REFUSAL_CASES}
REFUSED = Refusal(CASES["expired"], 401, "expired")
LET_IN = Refusal(CASES["bad_signature"], 200, "allowed")
LARGE = DemoReport(
    records_source=1_284_034,
    records_synced=1_284_034,
    sync_seconds=6_795.25,
    changes_made=1_003,
    changes_synced=1_003,
    records_after_changes=1_284_035,
    tombstones=1_001,
    records_read_again=1_285_036,
    changed_by_full_resync=1_002,
    proxy_status=200,
    rotated_key_status=200,
    refusals=[Refusal(case, case.expected_status, case.expected_reason) for case in REFUSAL_CASES],
)
"""Counts a good deal longer than the demo's."""


def _printed(report: DemoReport, width: int) -> list[str]:
    console = Console(record=True, width=width)
    print_tables(report, console)
    return console.export_text().splitlines()


def test_when_the_report_is_json_then_it_has_what_programs_read() -> None:
    """The members that checks rely on are there, refusals as case to status, reasons beside it."""
    report = DemoReport(records_source=2, records_synced=2, refusals=[REFUSED])

    members = json.loads(to_json(report))
    assert {"records_source", "records_synced", "sync_seconds", "proxy_status"} <= members.keys()
    assert {"expired": 401} == members["refusals"]
    assert {"expired": "expired"} == members["refusal_reasons"]
    assert members["ok"]


def test_when_something_was_not_as_promised_then_the_report_is_not_ok() -> None:
    """An expectation that fails is a problem, in words."""
    report = DemoReport(refusals=[LET_IN])
    report.expect(is_so=False, otherwise="bad_signature was let in")

    members = json.loads(to_json(report))
    assert not members["ok"]
    assert ["bad_signature was let in"] == members["problems"]


def test_when_the_tables_are_printed_then_each_refusal_has_its_status_and_reason() -> None:
    """A person sees the case, the answer and the reason; what the gateway did is explained."""
    text = "\n".join(_printed(DemoReport(refusals=[REFUSED, LET_IN]), 120))

    assert "expired an hour ago" in text
    assert "allowed" in text
    assert "gateway: the authorizer was not asked." in text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_when_the_terminal_is_narrow_then_counts_times_and_names_are_whole(width: int) -> None:
    """No line is longer than the terminal, and none breaks or shortens a count, a time, a name."""
    lines = _printed(LARGE, width)
    text = "\n".join(lines)

    assert max(map(len, lines)) <= width
    assert "…" not in text
    for whole in (
        "1,284,034",
        "6,795.2 s, 189 records/s",
        "1,003 of 1,003 changes moved",
        "1,285,036 read, 1,002 changed",
        "1,284,035",
        "1,001",
        "HTTP 200",
        *CASES,
        *(case.lie for case in REFUSAL_CASES),
        *(case.expected_reason for case in REFUSAL_CASES),
    ):
        assert any(whole in line for line in lines), whole


def test_when_a_repeat_reads_more_than_the_source_has_then_the_table_says_why() -> None:
    """28,404 is 28,403 records and the tombstone of the one that was deleted."""
    report = DemoReport(records_after_changes=28_403, tombstones=1, records_read_again=28_404)
    lines = _printed(report, 80)
    (again,) = (n for n, line in enumerate(lines) if "28,404 read" in line)

    assert "of these: records, one added and one deleted" in lines[again + 1]
    assert "28,403" in lines[again + 1]
    assert "of these: tombstone of the deleted one" in lines[again + 2]
    assert "  1 │" in lines[again + 2]


def test_when_the_reason_is_long_then_nothing_of_it_is_lost_at_80_columns() -> None:
    """Several decisions where one was expected are all shown."""
    reasons = ", ".join(["allowed"] * 5)
    report = DemoReport(refusals=[Refusal(CASES["no_token"], 200, reasons)])
    lines = _printed(report, 80)

    assert max(map(len, lines)) <= 80
    assert 5 == "\n".join(lines).count("allowed")
    assert NOT_READABLE not in lines
