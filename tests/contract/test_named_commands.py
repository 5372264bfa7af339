"""Every command that a page, a message or a log line names is one that there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from bridge_cli.main import app

CHECKOUT = Path(__file__).parents[2]
PLACES = ("docs", "azure_function_app", "bridge_cli", "aws_backend", "deployment")
FILES = [
    CHECKOUT / "README.md",
    *(
        file
        for place in PLACES
        for file in sorted((CHECKOUT / place).rglob("*"))
        if file.suffix in {".md", ".py"}
    ),
]
# A word that is in capitals or braces is a placeholder; after a bar come further choices.
NAMED = re.compile(
    r"`(bridge (?:sync|feed|import|smoke|doctor|entra|deploy|clouds)\b[^`|]*)(?:\|[^`]*)?`"
)


def _named() -> Iterator[str]:
    for file in FILES:
        text = " ".join(file.read_text(encoding="utf-8").split()).replace('" "', "")
        yield from NAMED.findall(text)


def _problem(words: list[str]) -> str | None:
    """Return what of a command there is not; None if there is all of it."""
    command = typer.main.get_command(app)
    for word in words:
        name = word.strip("[](),")
        if name.startswith("-"):
            options = {option for parameter in command.params for option in parameter.opts}
            if name not in options:
                return name
        elif isinstance(command, TyperGroup) and re.fullmatch(r"[a-z-]+", name):
            if name not in command.commands:
                return name
            command = command.commands[name]
    return None


def test_when_commands_are_looked_for_then_those_that_heal_are_found() -> None:
    """Else the next test would find nothing wrong in nothing."""
    named = set(_named())

    assert {
        "bridge sync --accept-deletions",
        "bridge sync --reset",
        "bridge sync poison replay",
        "bridge feed renew",
        "bridge smoke",
    } <= named


@pytest.mark.parametrize("named", sorted(set(_named())))
def test_when_a_command_is_named_then_there_is_such_a_one(named: str) -> None:
    """With all of its options."""
    assert _problem(named.split()[1:]) is None


@pytest.mark.parametrize(
    "named",
    ["sync --accept", "sync poison mend", "feed heal", "sync poison list --reason", "smoke --url"],
)
def test_when_there_is_no_such_command_then_it_is_seen(named: str) -> None:
    """An option of another command is none of this one."""
    assert _problem(named.split()) is not None
