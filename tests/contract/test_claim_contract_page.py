"""The claim contract page says what the table says."""

from pathlib import Path

from aws_authorizer.claim_checks import RULES
from shared.reasons import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "claim-contract.md").read_text()


def test_when_the_table_has_a_row_then_the_page_has_one() -> None:
    """With the claim, and the reason to reject."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    for rule in RULES:
        assert any(f"`{rule.claim}`" in row and f"`{rule.reason}`" in row for row in rows), rule


def test_when_a_caller_is_denied_then_the_page_says_why() -> None:
    """Every reason behind a good signature."""
    for reason in (
        Reason.DELEGATED_TOKEN,
        Reason.MISSING_SCOPE,
        Reason.UNKNOWN_CLIENT,
        Reason.MISSING_ROLE,
        Reason.UNCLEAR_IDENTITY,
        Reason.ROLES_ELSEWHERE,
    ):
        assert f"`{reason}`" in PAGE
