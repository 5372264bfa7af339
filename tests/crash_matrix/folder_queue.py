"""A queue that processes share, in a folder: what is put into it comes at least twice, and late.

As with a Storage queue nothing is lost when who works on a message ends, and order is nothing that
anybody may rely on.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

_DELIVERIES: Final = 2


@dataclass(frozen=True, slots=True)
class FolderQueue:
    """Messages, each a file whose name says how often it was delivered."""

    folder: Path

    def send(self, messages: Sequence[str]) -> None:
        """Put messages there; one that waits already is the same."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for message in messages:
            name = sha256(message.encode()).hexdigest()[:12]
            unfinished = self.folder / f".{name}"
            unfinished.write_text(message)
            with contextlib.suppress(FileNotFoundError):
                unfinished.rename(self.folder / f"0-{name}")

    def waiting(self) -> Iterator[tuple[Path, bytes]]:
        """Yield what waits: first what was delivered before, so that it comes late, and again."""
        for file in sorted(self.folder.glob("[0-9]*"), reverse=True):
            # Another process may have done with it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                yield file, file.read_bytes()

    def done(self, file: Path) -> None:
        """Let a message that was worked on come once more, or be gone."""
        times, _, name = file.name.partition("-")
        with contextlib.suppress(FileNotFoundError):
            if int(times) + 1 < _DELIVERIES:
                file.rename(self.folder / f"{int(times) + 1}-{name}")
            else:
                file.unlink()
