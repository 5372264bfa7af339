"""What a picture shows: a command, how it is run, and what must be seen after it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from documenting.pictures.stage import Stage


@dataclass(frozen=True, slots=True)
class Scene:
    """A command whose terminal is shown; what is typed there is what runs."""

    name: str
    title: str
    command: tuple[str, ...]
    headings: tuple[str, ...]
    """What the run must have printed, so that no picture of a failure is kept."""
    columns: int
    seconds: float = 300.0
    exit_status: int = 0
    prepare: Callable[[Stage, Path], Awaitable[tuple[str, ...]]] | None = None
    """Makes, on a running stack, the files that the command reads; returns further arguments."""
