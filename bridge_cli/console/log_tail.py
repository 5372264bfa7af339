"""The JSON objects that have been added to a log since it was last looked at."""

import json
from pathlib import Path
from typing import Any

from bridge_cli.tracing.growing_file import GrowingFile


class LogTail:
    """A place in a log of JSON lines. A file that was emptied is begun again."""

    def __init__(self, path: Path) -> None:
        """Begin at the file's beginning; it need not be there yet."""
        self._file = GrowingFile(path)

    def read_new(self) -> list[dict[str, Any]]:
        """Return the JSON objects on the lines that were completed since the last call.

        A line need not begin with its object: Core Tools write the time before it. What is no JSON
        object is left out.
        """
        found = map(_object_in, self._file.read_new())
        return [members for members in found if members is not None]


def _object_in(line: str) -> dict[str, Any] | None:
    start = line.find("{")
    if start < 0:
        return None
    try:
        members = json.loads(line[start:])
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None
