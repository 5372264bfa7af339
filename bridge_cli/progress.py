"""Progress on standard error: a line a step, with a bar where there is something to count."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from emulator.stack_parts import Reporter


class _CountColumn(ProgressColumn):
    """Shows `done/total` for steps that count something, and nothing for the others."""

    def render(self, task: Task) -> Text:
        if not task.fields["is_counted"]:
            return Text("")
        return Text(f"{task.completed:,.0f}/{task.total or 0:,.0f}", style="progress.download")


class _LiveReporter:
    """A spinner and a bar for the present step, a tick for each that is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def step(self, text: str) -> None:
        self.finish()
        self._task = self._progress.add_task(text, total=None, is_counted=False)

    def advance(self, done: int, total: int) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total, is_counted=True)

    def finish(self) -> None:
        if self._task is None:
            return
        (task,) = (task for task in self._progress.tasks if task.id == self._task)
        total = task.total or 1
        self._progress.update(self._task, completed=total, total=total)
        self._task = None


class _LineReporter:
    """Shows each step as one plain line, because a log keeps every line that is written."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        self._console.print(text, highlight=False)

    def advance(self, done: int, total: int) -> None:
        """Do nothing, because counts would fill a log."""


@contextmanager
def progress_on(console: Console) -> Iterator[Reporter]:
    """Give the block a reporter that shows its steps on the console."""
    if not console.is_terminal:
        yield _LineReporter(console)
        return
    # Where the line is too long, the words are wrapped, and never a count or a time.
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", table_column=Column(overflow="fold")),
        BarColumn(bar_width=10, table_column=Column(no_wrap=True)),
        _CountColumn(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=console) as progress:
        reporter = _LiveReporter(progress)
        yield reporter
        reporter.finish()
