"""What git knows of the checkout."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from releasing.errors import ReleaseError


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder that git keeps."""

    root: Path

    def changes(self) -> list[str]:
        """Return what differs from the last commit, untracked files included, one file a line."""
        return self._git("status", "--porcelain", "--untracked-files=all").splitlines()

    def has_tag(self, name: str) -> bool:
        """Return whether this clone has the tag; one that was never fetched is not seen."""
        return bool(self._git("tag", "--list", name))

    def files(self) -> list[Path]:
        """Return the path of each tracked file that is there, below the root."""
        names = self._git("ls-files", "-z").split("\0")
        return [Path(name) for name in names if name and (self.root / name).is_file()]

    def _git(self, *arguments: str) -> str:
        result = subprocess.run(  # noqa: S603 - arguments of our own
            ["git", "-C", self.root, *arguments],  # noqa: S607 - the machine's git
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ReleaseError("git_failed", f"git {arguments[0]} failed: {result.stderr.strip()}")
        return result.stdout
