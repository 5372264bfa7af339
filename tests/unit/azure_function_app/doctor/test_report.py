"""The report's values."""

import json
from copy import replace

from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.report import Check, CheckName, Fix, Place, Report, Status, Verdict

FIX = Fix("Set it.", Place.FUNCTION_APP, setting="X", value="y")
PASSED = Check.passed(CheckName.SETTINGS, "well")
FAILED = Check.failed(CheckName.TOKEN, "ill", Cause.TENANT_UNKNOWN, FIX)
WARNED = Check.warned(CheckName.CLOCK, "odd", Cause.MACHINE_CLOCK_OFF, FIX)
OPEN = Check.needs(CheckName.API_CALL, CheckName.TOKEN)


def report(*checks: Check) -> Report:
    """A report of these checks."""
    return Report("1.2.3", "laptop", 1.23456, checks)


def test_when_checks_are_put_together_then_the_worst_is_the_verdict() -> None:
    """A warning breaks nothing."""
    assert Verdict.WELL is report(PASSED, WARNED).verdict
    assert Verdict.UNSURE is report(PASSED, OPEN).verdict
    assert Verdict.ILL is report(PASSED, OPEN, FAILED).verdict


def test_when_a_report_is_json_then_it_has_the_declared_members() -> None:
    """Programs read it."""
    document = json.loads(report(FAILED).to_json())

    assert {
        "verdict": "ill",
        "seconds": 1.235,
        "version": "1.2.3",
        "at": "laptop",
        "checks": [
            {
                "check": "token",
                "status": "failed",
                "found": "ill",
                "cause": "tenant_unknown",
                "fix": {
                    "sentence": "Set it.",
                    "where": "function_app",
                    "setting": "X",
                    "value": "y",
                    "value_from": None,
                },
                "milliseconds": 0.0,
            }
        ],
    } == document


def test_when_a_check_is_put_in_place_then_repeats_are_judged_again() -> None:
    """A cause that an earlier check has is no failure of its own."""
    later = replace(OPEN, status=Status.FAILED, cause=Cause.TENANT_UNKNOWN, fix=FIX)

    changed = report(FAILED, OPEN).with_check(later)

    assert Status.NOT_CHECKED is changed.check(CheckName.API_CALL).status
    assert Status.FAILED is changed.check(CheckName.TOKEN).status
