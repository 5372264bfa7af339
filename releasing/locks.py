"""What each deployable installs: its lock, the pins in it, and an environment made of them."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundling.bundles import RECIPES
from releasing.errors import ReleaseError

FUNCTION_APP: Final = "FunctionApp"

RUNTIME_LOCKS: Final[Mapping[str, str | None]] = {
    FUNCTION_APP: "requirements.txt",
    **{
        function: recipe.requirements and f"requirements/{recipe.requirements}"
        for function, recipe in RECIPES.items()
    },
}
"""The lock of everything that is deployed; None where the standard library is enough."""


def pins(lock: str) -> dict[str, str]:
    """Return the version of each distribution that the lock installs on this machine.

    Names are normalized (PEP 503). Platforms differ in none of ours but Windows.

    Raises:
        ReleaseError: a line pins nothing exactly.

    """
    found: dict[str, str] = {}
    for line in lock.splitlines():
        if not line or line.startswith(("#", " ", "\t")):
            continue
        requirement = Requirement(line.removesuffix("\\"))
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        specifiers = list(requirement.specifier)
        if len(specifiers) != 1 or specifiers[0].operator != "==":
            raise ReleaseError("lock_open", f"The lock leaves {requirement.name} open: {line}")
        found[canonicalize_name(requirement.name)] = specifiers[0].version
    return found


@dataclass(frozen=True, slots=True)
class LockedEnvironments:
    """Environments that hold a lock's distributions and nothing else."""

    uv: Path
    """The installer."""
    cache: Path
    """Where environments are kept, by the hash of the lock and of the interpreter."""

    def folder(self, lock: Path) -> Path:
        """Return where the lock's environment is, or will be."""
        digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
        return self.cache / f"{lock.stem}-{digest}"

    def python(self, lock: Path) -> Path:
        """Return the interpreter of the lock's environment, made now if it is not there yet.

        Raises:
            ReleaseError: the lock could not be installed.

        """
        finished = self.folder(lock)
        if not finished.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.cache) as scratch:
                folder = Path(scratch) / "environment"
                self._run("venv", "--python", sys.executable, folder)
                install = ("sync", "--python", folder / "bin" / "python", "--require-hashes")
                self._run("pip", *install, "--only-binary", ":all:", lock)
                try:
                    folder.rename(finished)
                except OSError:
                    # Another process made it meanwhile.
                    if not finished.exists():
                        raise
        return finished / "bin" / "python"

    def _run(self, *arguments: str | Path) -> None:
        result = subprocess.run(  # noqa: S603 - our uv, our lock
            [self.uv, *arguments, "--quiet"], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise ReleaseError(
                "lock_not_installed", f"{arguments[-1]} failed: {result.stderr.strip()}"
            )
