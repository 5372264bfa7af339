"""One name means one thing, whichever cloud it is read in."""

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("other", ["azure_function_app", "aws_authorizer", "shared"])
def test_when_the_backend_names_a_class_then_no_other_part_uses_the_name(other: str) -> None:
    """Who searches for a record, a request or a response finds one of a kind in each part."""
    assert set() == _class_names("aws_backend") & _class_names(other)


def _class_names(package: str) -> set[str]:
    return {
        node.name
        for file in (CHECKOUT / package).rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
