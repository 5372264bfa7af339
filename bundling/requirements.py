"""Installs a lock for the platform that it will run on, trimmed and compiled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bundling.errors import BundleError
from bundling.reproducible import compile_sources, hash_bytes
from bundling.stripping import strip_modules
from bundling.trimming import trim


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs locked requirements, each lock once a platform."""

    uv: Path
    cache: Path
    """Where installed requirements are kept, by the hash of what made them."""

    def install(
        self,
        lock: Path,
        platform: str | None,
        *,
        shown_as: str,
        is_stripped: bool = False,
        uncompiled: Sequence[str] = (),
    ) -> Path:
        """Return a folder with the lock's packages; it is the cache's own, so copy it.

        Args:
            lock: hashed pins.
            platform: uv's name of the target; None means this machine.
            shown_as: where the packages lie in the cloud, for tracebacks.
            is_stripped: whether compiled modules lose their debug information.
            uncompiled: packages that get no bytecode.

        Raises:
            BundleError: they could not be installed, from wheels and by their hashes.

        """
        choices = repr((shown_as, is_stripped, uncompiled)).encode()
        digest = hash_bytes(lock.read_bytes(), identify_builder(platform), choices)
        finished = self.cache / f"{lock.stem}-{digest}"
        if not finished.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.cache) as scratch:
                folder = Path(scratch) / "installed"
                self._install(lock, folder, platform)
                trim(folder)
                if is_stripped:
                    strip_modules(folder)
                compile_sources(folder, root=folder, shown_as=shown_as, uncompiled=uncompiled)
                _keep(folder, finished)
        return finished

    def _install(self, lock: Path, folder: Path, platform: str | None) -> None:
        target = ["--python-platform", platform] if platform else []
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        command: list[str | Path] = [self.uv, "pip", "install", "--quiet", "--target", folder]
        command += ["--python", sys.executable, "--python-version", version, *target]
        command += ["--only-binary", ":all:", "--no-deps", "--link-mode", "copy"]
        command += ["--require-hashes", "--requirement", lock]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our uv, our lock
        if result.returncode != 0:
            raise BundleError(f"{lock.name} could not be installed: {result.stderr.strip()}")


def identify_builder(platform: str | None) -> bytes:
    """Return what beside the sources decides a bundle's bytes: this package, Python, the target."""
    machine = platform or f"{sys.platform} {os.uname().machine}"
    sources = [file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))]
    return hash_bytes(*sources, machine.encode(), sys.version.encode()).encode()


def find_uv(root: Path) -> Path:
    """Return the machine's own uv if it has one, else the checkout's.

    Raises:
        BundleError: there is neither.

    """
    found = shutil.which("uv") or shutil.which(root / ".tools" / "uv" / "bin" / "uv")
    if found is None:
        raise BundleError("uv is not on PATH nor in the checkout's .tools; run: make install")
    return Path(found)


def _keep(folder: Path, finished: Path) -> None:
    try:
        folder.rename(finished)
    except OSError:
        # Two builds at once make the same bytes; the first to finish has put them there.
        if not finished.exists():
            raise
