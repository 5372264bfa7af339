"""The calls that must be refused: each for its own reason."""

from dataclasses import replace

import pytest

from bridge_cli.refusals import GATEWAY, NOT_READABLE, PROBE, REFUSAL_CASES, Refusal, RefusalCase
from shared.reasons import Reason

CASES = pytest.mark.parametrize("case", REFUSAL_CASES, ids=lambda case: case.name)


@CASES
def test_when_a_case_is_refused_as_expected_then_there_is_no_problem(case: RefusalCase) -> None:
    """Status and reason are both right."""
    assert [] == Refusal(case, case.expected_status, case.expected_reason).problems


@CASES
@pytest.mark.parametrize(
    "reason", [*Reason, GATEWAY, NOT_READABLE, "", "expired, expired", "allowed, expired"]
)
def test_when_a_case_is_refused_for_another_reason_then_it_is_a_problem(
    case: RefusalCase, reason: str
) -> None:
    """The right status does not make up for it; nothing stands for "any reason"."""
    problems = Refusal(case, case.expected_status, str(reason)).problems

    assert (reason != case.expected_reason) == bool(problems)
    assert all(case.name in problem and case.expected_reason in problem for problem in problems)


@CASES
def test_when_a_case_gets_another_status_then_it_is_a_problem(case: RefusalCase) -> None:
    """The right reason does not make up for it."""
    (problem,) = Refusal(case, 200, case.expected_reason).problems

    assert f"{case.name} was answered with 200 instead of {case.expected_status}" == problem


def test_when_the_reasons_are_read_then_each_case_has_its_own_and_the_probe_another() -> None:
    """A reason that two cases shared would not tell them apart."""
    reasons = [case.expected_reason for case in (*REFUSAL_CASES, PROBE)]

    assert len(reasons) == len(set(reasons))
    assert {GATEWAY} == set(reasons) - set(Reason)
    assert NOT_READABLE not in reasons


def test_when_nothing_is_expected_then_nothing_matches() -> None:
    """An expected reason that was forgotten is a problem, not a wildcard."""
    forgotten = replace(REFUSAL_CASES[0], expected_reason="")

    assert Refusal(forgotten, forgotten.expected_status, GATEWAY).problems
