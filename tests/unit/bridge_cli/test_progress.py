"""Progress on a terminal, and where there is none."""

import io

from rich.console import Console

from bridge_cli.progress import progress_on


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
