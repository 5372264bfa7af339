"""Each code that `bridge smoke` can say is on the troubleshooting page."""

import re
from pathlib import Path

import pytest

from deployment.smoke.advice import ADVICE
from deployment.smoke.outcome import SmokeCode
from deployment.smoke.smoke_run import CHECK_IDS

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## What `bridge smoke` says")[2].partition("\n## ")[0]


def test_when_a_code_is_added_then_the_page_has_a_row_for_it_and_no_other() -> None:
    """Code by code."""
    cells = re.findall(r"^\| ([`a-z_, ]+) \|", SECTION, re.MULTILINE)
    rows = {code for cell in cells for code in re.findall(r"`([a-z_]+)`", cell)}

    assert {code.value for code in SmokeCode} | {"sync_failed", "sync_held"} == rows


def test_when_there_is_a_check_then_the_page_names_it() -> None:
    """So that a failing one can be looked up."""
    named = re.findall(r"`([a-z-]+)`", SECTION.partition("\n| Code")[0])

    assert list(CHECK_IDS) == [name for name in named if name in CHECK_IDS]


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_when_advice_is_given_for_a_code_then_the_page_knows_the_code(code: str) -> None:
    """One vocabulary for both."""
    pages = [PAGE, (CHECKOUT / "docs" / "local-development.md").read_text(encoding="utf-8")]

    assert any(f"`{code}`" in page for page in pages)
