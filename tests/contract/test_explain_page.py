"""The page about `bridge explain` names every check, every code and everything that is shown."""

import ast
import re
from pathlib import Path

from aws_authorizer.explanation.explained_token import explain_token
from aws_authorizer.explanation.shown_values import SHOWN_CLAIMS, SHOWN_HEADER_MEMBERS
from aws_authorizer.key_set import StaticKeySet
from tests.support.fake_clock import FakeClock
from tests.support.tokens import API, NOW, claim_contract

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "explain.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def _first_cells(section: str) -> list[str]:
    rows = re.findall(r"^\| ([^|]*) \|", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]


def _codes() -> set[str]:
    """Every code that the command's own modules give an `ExplainError`."""
    calls = [
        node
        for file in (CHECKOUT / "bridge_cli" / "explaining").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ExplainError"
    ]
    return {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}


def test_when_there_is_a_check_then_the_page_names_it_in_order() -> None:
    """Each of them, and no other."""
    contract = claim_contract()
    sources = dict.fromkeys(contract.tenant_ids, StaticKeySet({}))
    explanation = explain_token("", contract, sources, FakeClock(now=NOW), api=API)

    named = _first_cells(_section("The checks"))
    assert sorted(check.check for check in explanation.checks) == sorted(named)


def test_when_there_is_a_code_then_the_page_has_a_row_for_it_and_no_other() -> None:
    """What ends the command without an explanation, with what to do."""
    codes = _codes() | {"settings_invalid"}

    assert 10 <= len(codes)
    assert codes == set(_first_cells(_section("The exit status")))


def test_when_a_claim_is_shown_then_the_page_says_so() -> None:
    """What it may show of a token is a promise."""
    named = set(re.findall(r"`([a-z]+)`", _section("What is shown")))

    assert SHOWN_CLAIMS | SHOWN_HEADER_MEMBERS | {"oid"} == named
