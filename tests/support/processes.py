"""Looks at real processes: whether they live, and waits for what they do."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL_SECONDS = 0.05


def becomes_true(condition: Callable[[], bool], within_seconds: float = 8.0) -> bool:
    """Whether the condition holds within that time; real processes take real time."""
    give_up_at = time.monotonic() + within_seconds  # noqa: TID251 - as above
    while not condition():
        if time.monotonic() >= give_up_at:  # noqa: TID251 - as above
            return False
        time.sleep(_POLL_SECONDS)
    return True


def is_alive(process_id: int) -> bool:
    """Whether the process runs; a zombie, which nobody has asked about yet, does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def hear_the_terminal_close() -> None:
    """Undo, in a child about to start, that it inherits to ignore SIGHUP, as under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def descendants_of(process_id: int) -> set[int]:
    """The IDs of all processes that the process has started, and that these have started."""
    parents = dict(_parents())
    found: set[int] = set()
    newest = {process_id}
    while newest:
        newest = {child for child, parent in parents.items() if parent in newest} - found
        found |= newest
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry, "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(entry.name), int(fields[1])
