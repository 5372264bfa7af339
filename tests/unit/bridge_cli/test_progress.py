"""Progress on a terminal, and where there is none."""

import io
import re

import pytest
from rich.console import Console

from bridge_cli.progress import progress_on

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STEPS = (
    "Importing the airports into DynamoDB",
    "Starting AWS, deploying the template",
    "Syncing every record into SQLite, and then some more words than fit beside it",
)


def test_when_there_is_no_terminal_then_each_step_is_one_plain_line() -> None:
    """Counts are left out, so that a log stays short."""
    written = io.StringIO()
    with progress_on(Console(file=written)) as reporter:
        reporter.step("Importing")
        reporter.advance(1, 2)
        reporter.step("Syncing")

    assert "Importing\nSyncing\n" == written.getvalue()


def test_when_there_is_a_terminal_then_counted_steps_show_their_count() -> None:
    """The last state of each step stays on the screen."""
    written = io.StringIO()
    with progress_on(Console(file=written, force_terminal=True, width=100)) as reporter:
        reporter.step("Importing")
        reporter.advance(2_000, 2_000)

    assert "2,000/2,000" in written.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("total", [7, 28_403, 1_284_034])
def test_when_the_terminal_is_narrow_then_counts_and_times_are_whole(
    width: int, total: int
) -> None:
    """Words are wrapped; no count and no time is shortened or broken, and no line is too long."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width)
    with progress_on(console) as reporter:
        for step in STEPS:
            reporter.step(step)
            reporter.advance(total, total)
    last_picture = ANSI.sub("", written.getvalue().replace("\r", "\n")).splitlines()
    text = "\n".join(last_picture)

    assert max(map(len, last_picture)) <= width
    assert "…" not in text
    assert len(STEPS) <= text.count(f"{total:,}/{total:,}")
    assert text.count(f"{total:,}/{total:,}") == len(
        re.findall(rf"{total:,}/{total:,} +\d:\d\d:\d\d", text)
    )
