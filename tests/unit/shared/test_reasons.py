"""The reason codes."""

import re
from pathlib import Path

import pytest

from shared.reasons import Reason


@pytest.mark.parametrize("reason", Reason)
def test_when_a_call_is_refused_then_one_sentence_says_what_to_change(reason: Reason) -> None:
    """Every reason but the good one has a sentence that ends like one."""
    assert (reason is not Reason.ALLOWED) == reason.what_to_change.endswith(".")


@pytest.mark.parametrize("reason", Reason)
def test_when_a_reason_is_written_then_its_code_is_its_name(reason: Reason) -> None:
    """So that whoever reads a log finds it in the code."""
    assert reason.name.lower() == reason.value == str(reason)


def test_when_reasons_are_counted_then_no_code_stands_for_two() -> None:
    """An enum would take a second name for the same value as an alias."""
    assert len(Reason.__members__) == len(set(Reason))


def test_when_a_reason_is_declared_then_the_authorizer_gives_it() -> None:
    """A code that nothing writes would promise a check that is not there."""
    authorizer = Path(__file__).parents[3] / "aws_authorizer"
    code = "\n".join(file.read_text(encoding="utf-8") for file in authorizer.glob("*.py"))

    assert set(Reason.__members__) == set(re.findall(r"\bReason\.([A-Z_]+)\b", code))
