"""docs/deploy.md says of each step and each key what the code says."""

import re

import pytest

from deployment.bridge_keys import ENVIRONMENT_KEYS, NAME, REQUIRED, TABLES, Key
from deployment.steps.all_steps import STEPS
from tests.support.bridge_files import CHECKOUT, EXAMPLE

PAGE = (CHECKOUT / "docs/deploy.md").read_text(encoding="utf-8")
ADMINISTRATOR = "Entra administrator"
KEYS: list[tuple[str, Key[object]]] = [
    ("name", NAME),
    *((f"{table}.{key.name}", key) for table, listed in TABLES.items() for key in listed),
    *((f"environments.<name>.{key.name}", key) for key in ENVIRONMENT_KEYS),
]


def _default(key: Key[object]) -> str:
    if key.default is REQUIRED:
        return "required"
    if isinstance(key.default, bool):
        return f"`{str(key.default).lower()}`"
    return f"`{key.default}`" if key.default or key.default == 0 else "nothing"


def _rows(first: str) -> list[str]:
    """Return the rows of the table whose head begins with the word."""
    table = PAGE.split(f"\n| {first} |", 1)[1].split("\n\n", 1)[0]
    return table.splitlines()[2:]


def test_when_the_page_lists_steps_then_they_are_those_of_the_code() -> None:
    """In their order, with who takes each, what it changes and what it leaves."""
    rows = [f"| `{step.id}` | {step.who} | {step.changes} | {step.leaves} |" for step in STEPS]

    assert rows == _rows("Step")


def test_when_the_page_draws_the_order_then_every_step_is_in_it() -> None:
    """A picture that lacks one would mislead."""
    picture = PAGE.split("```mermaid", 1)[1].split("```", 1)[0]

    assert set() == {step.id for step in STEPS if f"[{step.id}" not in picture}


def test_when_the_page_says_rights_then_they_are_those_of_the_code() -> None:
    """Of the people whose steps need some."""
    (administrator,) = (step for step in STEPS if step.who == ADMINISTRATOR)

    assert administrator.rights in PAGE
    assert len(_rows("Who")) == 4


@pytest.mark.parametrize(("place", "key"), KEYS, ids=[place for place, _key in KEYS])
def test_when_a_key_is_declared_then_the_page_has_its_row(place: str, key: Key[object]) -> None:
    """With its default, its meaning and what it expects."""
    row = f"| `{place}` | {_default(key)} | {key.meaning} Expects {key.expects} |"

    assert row in _rows("Key")


def test_when_the_page_has_a_row_then_the_key_is_declared() -> None:
    """No key that is gone, but for the settings, which have a table of their own."""
    named = {re.split(r"`", row)[1] for row in _rows("Key")}

    assert {place for place, _key in KEYS} | {"settings.<SETTING>"} == named


def test_when_the_example_is_read_then_it_names_the_page() -> None:
    """Whoever opens it first finds the rest."""
    assert "docs/deploy.md" in EXAMPLE
