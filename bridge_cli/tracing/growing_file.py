"""Reads what is new in a log, however large it is, and whatever becomes of it meanwhile."""

import os
from pathlib import Path
from typing import BinaryIO, Final

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a log that has grown by more than this since the last look, only the end is read."""
LONGEST_LINE: Final = 64 * 1024
"""A longer line is none of ours, and is left out."""
_REMEMBERED: Final = 128
"""Bytes of what was read, to know the file again."""


class GrowingFile:
    """Gives the lines of a log once each. A line that is still being written waits."""

    def __init__(self, path: Path) -> None:
        """Take the file, which need not be there yet."""
        self._path = path
        self._position = 0
        self._read_last = b""
        self._identity: tuple[int, int] | None = None

    def read_new(self) -> list[str]:
        """Return the complete lines since the last look.

        A log that is another file now, or was emptied, is begun again. None if it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                return self._read_lines(file)
        except OSError:
            return []

    def _read_lines(self, file: BinaryIO) -> list[str]:
        state = os.fstat(file.fileno())
        if (state.st_dev, state.st_ino) != self._identity or not self._goes_on(file, state.st_size):
            self._identity = (state.st_dev, state.st_ino)
            self._position, self._read_last = 0, b""
        begins_inside = False
        if state.st_size - self._position > MOST_BYTES:
            # One byte more, so that a line that begins just there is known to be whole.
            self._position = state.st_size - MOST_BYTES - 1
            begins_inside = True
        file.seek(self._position)
        complete, line_feed, _ = file.read(state.st_size - self._position).rpartition(b"\n")
        if not line_feed:
            return []
        self._position += len(complete) + 1
        self._read_last = (complete + b"\n")[-_REMEMBERED:]
        if begins_inside:
            complete = complete.partition(b"\n")[2]
        return [
            line.decode(errors="replace")
            for line in complete.split(b"\n")
            if line and len(line) <= LONGEST_LINE
        ]

    def _goes_on(self, file: BinaryIO, size: int) -> bool:
        """Return whether the file still holds what was read last, just before where we stopped."""
        if size < self._position:
            return False
        file.seek(self._position - len(self._read_last))
        return file.read(len(self._read_last)) == self._read_last
