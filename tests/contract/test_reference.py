"""The reference pages are what the code declares today."""

import re
from pathlib import Path

import pytest

from documenting.reference.commands import commands
from documenting.reference.log_events import log_events
from documenting.reference.pages import write_pages, written_pages

CHECKOUT = Path(__file__).parents[2]
PAGES = written_pages(CHECKOUT)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_when_the_code_declares_something_then_the_page_says_it(page: Path) -> None:
    """Written by `make docs`, never by hand."""
    assert PAGES[page] == (CHECKOUT / page).read_text(encoding="utf-8"), "run: make reference"


def test_when_the_pages_are_written_then_each_has_its_kind() -> None:
    """So many of each that a generator which finds nothing fails."""
    rows = {page.stem: len(re.findall(r"^\| ", text, re.MULTILINE)) for page, text in PAGES.items()}

    assert rows["settings"] >= 70
    assert rows["commands"] >= 120
    assert rows["codes"] >= 350
    assert rows["metrics"] >= 50


def test_when_there_is_a_command_then_its_page_says_how_it_ends() -> None:
    """Each that does something has its exit statuses in its own help."""
    leaves = {name: command for name, command in commands() if not hasattr(command, "commands")}

    assert len(leaves) >= 15
    assert [] == [name for name, each in leaves.items() if "Exits with" not in (each.help or "")]


def test_when_an_event_is_logged_then_it_is_found_in_each_way_of_logging() -> None:
    """By `log_event`, by a constant, and as a line of CloudWatch's format."""
    found = {each.event for each in log_events(CHECKOUT)}

    assert {"proxy_call", "shard_poisoned", "decision", "request"} <= found


def test_when_a_page_is_stale_then_writing_mends_it(tmp_path: Path) -> None:
    """A copy of the checkout with one changed line is whole again afterward."""
    for folder in ("docs", "infra", "aws_authorizer", "aws_backend", "azure_function_app"):
        (tmp_path / folder).symlink_to(CHECKOUT / folder)
    for folder in ("deployment", "bridge_cli", "emulator", "bundling", "shared", "releasing"):
        (tmp_path / folder).symlink_to(CHECKOUT / folder)
    (tmp_path / "docs").unlink()
    (tmp_path / "docs").mkdir()
    page = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    stale = page.replace("| `expired` |", "| `ended` |")
    (tmp_path / "docs" / "troubleshooting.md").write_text(stale, encoding="utf-8")

    write_pages(tmp_path)

    assert stale != page
    assert page == (tmp_path / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
