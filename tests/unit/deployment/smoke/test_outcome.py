"""What a report says in the end, and what it never shows."""

import json

import pytest

from deployment.smoke.outcome import CheckResult, Outcome, SmokeReport, shown


def result(outcome: Outcome, came: str = "came", *, lets_others_in: bool = False) -> CheckResult:
    """A check that ended so."""
    return CheckResult("id", "asked", "expected", came, outcome, 1.0, "c", "advice", lets_others_in)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 0),
        ([Outcome.PASSED, Outcome.NOT_APPLICABLE], 0),
        ([Outcome.PASSED, Outcome.BLOCKED], 3),
        ([Outcome.BLOCKED, Outcome.FAILED, Outcome.PASSED], 1),
    ],
)
def test_when_checks_ended_then_the_worst_of_them_decides(
    outcomes: list[Outcome], code: int
) -> None:
    """A failure counts for more than what could not be asked."""
    assert code == SmokeReport([result(outcome) for outcome in outcomes]).exit_code


def test_when_somebody_got_in_then_the_report_says_so() -> None:
    """Also in JSON."""
    report = SmokeReport([result(Outcome.FAILED, lets_others_in=True)])

    assert json.loads(report.to_json())["lets_others_in"] is True


def test_when_a_secret_stands_in_what_came_then_it_is_redacted() -> None:
    """Whole, or as much of its beginning as fits into what is shown."""
    secret = "s" * 20 + "e" * 100
    found = result(Outcome.FAILED, f"{secret} and {secret[:50]}").without({secret})

    assert "[redacted] and [redacted]eeeeeeeeee" == found.came
    assert ("id", "advice", 1.0) == (found.id, found.advice, found.seconds)


def test_when_a_peer_sends_controls_then_a_terminal_does_not_get_them() -> None:
    """Nor more than a line of them."""
    assert "a b c" == shown("a\x1b\nb\u202ec")
    assert 160 == len(shown("x" * 10_000))
