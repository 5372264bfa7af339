"""The figures of docs/scale.md are those that the formula and the prices give."""

import re

import pytest

from benchmarks.sync.scale import ARM_GB_SECOND, CALLS, PAGE, TABLES, Call, with_tables
from emulator.aws.template import load_template

TEXT = PAGE.read_text(encoding="utf-8")
ROOT = PAGE.parents[1]


def test_when_a_price_or_the_formula_changes_then_the_page_changes() -> None:
    """`python -m benchmarks.sync.scale` writes the tables."""
    assert with_tables(TEXT) == TEXT
    assert 40 < TEXT.count("\n| ")


def test_when_a_figure_on_the_page_is_changed_then_it_is_seen() -> None:
    """Else the test before this one would hold nothing."""
    wrong = re.sub(r"\*\*\d+\.\d\d\*\*", "**0.01**", TEXT, count=1)

    assert wrong != TEXT
    assert with_tables(wrong) == TEXT


@pytest.mark.parametrize("name", TABLES)
def test_when_a_mark_is_missing_then_the_tables_are_not_written(name: str) -> None:
    """A table that has no place would be lost."""
    with pytest.raises(ValueError, match=name):
        with_tables(TEXT.replace(f"<!-- end of {name} -->", ""))


def test_when_a_call_is_worked_out_by_hand_then_the_formula_agrees() -> None:
    """3.50 + (0.20 + 13.3333 x 0.01) + 0.125 + 0.50 / 1.048576 + 0.09 / 1.048576 for a million."""
    by_hand = 3.50 + 0.20 + 0.133333 + 0.125 + 0.476837 + 0.085831

    assert by_hand == pytest.approx(CALLS[0].dollars, abs=1e-4)


def test_when_no_answer_is_kept_then_the_authorizer_is_paid_for_each_call() -> None:
    """A request and its seconds."""
    kept, new = (Call("", 0.01, 1, 0, 1, 1, rate, authorizer_seconds=0.1) for rate in (1.0, 0.0))

    assert 0.20 + 1.33333 == pytest.approx(new.dollars - kept.dollars, abs=1e-4)


def test_when_calls_share_an_instance_then_they_share_its_second() -> None:
    """A million lone calls cost $52 at 2 GB; sixteen at once a sixteenth."""
    parts = [
        dict(Call("", 0, 0, 0, 0, 0, 1.0, proxy_gb=2.0, calls_at_once=count).costs())
        for count in (1, 16)
    ]

    assert [52.40, 3.65] == [pytest.approx(each["Function App"]) for each in parts]


def test_when_the_template_asks_for_lambda_then_the_formula_has_its_size() -> None:
    """Arm, and as many GB."""
    function = load_template(ROOT / "infra" / "aws" / "template.yaml")["Globals"]["Function"]

    assert function["MemorySize"] / 1024 == CALLS[0].lambda_gb
    assert "Arm" in ARM_GB_SECOND.of
