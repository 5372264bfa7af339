"""A rollout on the terminal: the present step while it runs, a line for each that ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status as Spinner
from rich.text import Text

from bridge_cli.complaint import printable
from deployment.rollout_report import RolloutReport, RolloutReporter, Status, StepResult
from deployment.steps.step import Step

_MARKS: Final = {
    Status.CHANGED: "[green]✓[/]",
    Status.UNCHANGED: "[green]=[/]",
    Status.WAITING: "[yellow]…[/]",
    Status.FAILED: "[bold red]✗[/]",
    Status.NOT_REACHED: "[dim]-[/]",
}
_WORDS: Final = {
    Status.CHANGED: "changed",
    Status.UNCHANGED: "nothing to do",
    Status.WAITING: "waiting",
    Status.FAILED: "failed",
    Status.NOT_REACHED: "not reached",
}
_ID_WIDTH: Final = 17
_WORD_WIDTH: Final = 14
_SHOWN_CHARACTERS: Final = 100
_ALARM: Final = "SOMEBODY GETS IN WHO MUST NOT. Mend this before anything else:"


class _Lines:
    """Prints a line when a step begins, for a log, and one when it has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def started(self, step: Step) -> None:
        self._console.print(f"  {step.id}: {escape(step.title)}", highlight=False, soft_wrap=True)

    def said(self, line: str) -> None:
        """Do nothing: a log would be filled, and a failure repeats what matters."""

    def ended(self, result: StepResult) -> None:
        print_result(result, self._console)


class _Live:
    """Shows the present step with the last line of what its programs say."""

    def __init__(self, console: Console, spinner: Spinner) -> None:
        self._console = console
        self._spinner = spinner
        self._title = ""

    def started(self, step: Step) -> None:
        self._title = f"[bold]{step.id}[/] {escape(step.title)}"
        self._spinner.update(self._title)

    def said(self, line: str) -> None:
        self._spinner.update(f"{self._title} [dim]{escape(printable(line[:_SHOWN_CHARACTERS]))}[/]")

    def ended(self, result: StepResult) -> None:
        print_result(result, self._console)


@contextmanager
def rollout_on(console: Console) -> Iterator[RolloutReporter]:
    """Give the block a reporter that shows the rollout on the console."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with console.status("") as spinner:
        yield _Live(console, spinner)


def print_result(result: StepResult, console: Console) -> None:
    """Print how a step ended, on one line of its own where the terminal is wide enough.

    What it found stands below, a sentence each; that somebody gets in who must not, above all.
    """
    word = _WORDS[result.status]
    code = f" [dim]({result.code})[/]" if result.code else ""
    console.print(
        f"{_MARKS[result.status]} {result.step.id:<{_ID_WIDTH}}{word:<{_WORD_WIDTH}}"
        f"{escape(printable(result.message))}{code}",
        highlight=False,
        soft_wrap=not console.is_terminal,
    )
    if result.lets_others_in:
        console.print(Text(f"  {_ALARM}", "bold white on red"), soft_wrap=True)
    for detail in result.details:
        lines = Padding(Text(detail), (0, 0, 0, 4)) if console.is_terminal else f"    {detail}"
        console.print(lines, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def print_end(report: RolloutReport, console: Console) -> None:
    """Print what is left to do, and for whom, or that nothing is."""
    waiting = [result for result in report.results if result.status is Status.WAITING]
    for result in waiting:
        if result.code == "step_waits" or not result.lines:
            continue
        console.print(
            f"\n[bold]{result.step.id}[/] waits for: {result.step.who}, with"
            f" {escape(result.step.rights)}. By hand:",
            highlight=False,
        )
        for line in result.lines:
            console.print(f"  {escape(str(line))}", style="cyan", highlight=False, soft_wrap=True)
    failed = [result for result in report.results if result.status is Status.FAILED]
    if failed:
        sentence = "It stopped there. Mend that, and run the same command again: it goes on."
    elif waiting:
        sentence = "What waits is somebody else's. Then run the same command again: it goes on."
    elif report.has_changed:
        sentence = "Everything is there."
    else:
        sentence = "Everything was there: nothing was changed."
    console.print(f"\n{sentence}", highlight=False)
