"""How far a run has come, on standard error: one line that changes, and none in a log."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from bridge_cli.syncing.watched_source import OnPage
from shared.clock import Clock


@contextmanager
def showing_progress(console: Console, clock: Clock, *, is_shown: bool) -> Iterator[OnPage]:
    """Give the block what it calls after each page."""
    if not (is_shown and console.is_terminal):
        yield lambda _pages, _records: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=Column(overflow="fold")),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
    )
    began = clock.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Reading the change feed", total=None)

        def on_page(pages: int, records: int) -> None:
            rate = records / max(clock.monotonic() - began, 0.001)
            progress.update(
                task, description=f"{pages:,} pages, {records:,} records, {rate:,.0f} a second"
            )

        yield on_page
