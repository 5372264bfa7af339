"""Builds what the Function App ships: one zip file, published as it is, built nowhere else.

It holds what `.funcignore` lets through, and the locked requirements where Azure's worker looks for
them, `.python_packages/lib/site-packages`. Azure builds nothing (`remoteBuild: false`), so what
runs is what was tested here. requirements.txt goes along all the same: it says, by hashes, what the
packages were made from, scanners read it, and a publish that forgets to turn the remote build off,
which is what `az` and `azd` do for Python by default, installs the same pins.
"""

import os
import platform as machine
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bundling.reproducible import compile_sources, hash_bytes, hash_sources, stamp, write_zip
from bundling.requirements import Installer, find_uv, identify_builder

AZURE_PLATFORM: Final = "x86_64-manylinux_2_28"
"""What Flex Consumption runs on, as uv names it; a newer glibc's wheels fail to load there."""
OWN_FILES: Final = ("function_app.py", "host.json", "requirements.txt")
OWN_PACKAGES: Final = ("azure_function_app", "shared")
SITE_PACKAGES: Final = ".python_packages/lib/site-packages"
"""Where the worker looks for the app's dependencies (its `lib/site-packages`, on Linux)."""
NEVER_IMPORTED: Final = ("anyio", "h11", "httpcore", "msal_extensions")
"""What httpx requires for a transport that ours replaces, and azure-identity for a cache on disk:
no bytecode for them, 0.5 MB."""
SELDOM_IMPORTED: Final = ("azure_function_app/doctor/checks", "azure_function_app/doctor/probes")
"""Ours without bytecode: an administrator who asks the doctor waits a moment longer, once."""

_APP_ROOT: Final = "/home/site/wwwroot"  # where Azure unpacks it, and so what tracebacks should say
_X86_64: Final = frozenset({"x86_64", "AMD64"})
_OLDEST_GLIBC: Final = (2, 28)


@dataclass(frozen=True, slots=True)
class FunctionAppBuilder:
    """Builds the Function App's package from a checkout."""

    root: Path
    uv: Path
    cache: Path
    """Where installed requirements and finished zips are kept, by the hash of what made them."""

    def fill(self, into: Path, platform: str | None = AZURE_PLATFORM) -> None:
        """Write the package's files into the empty folder `into`.

        `platform` is uv's name of the target; None means this machine.

        Raises:
            BundleError: the requirements could not be installed.

        """
        installed = Installer(self.uv, self.cache).install(
            self.root / "requirements.txt",
            platform,
            shown_as=f"{_APP_ROOT}/{SITE_PACKAGES}",
            is_stripped=True,
            uncompiled=NEVER_IMPORTED,
        )
        for name in OWN_FILES:
            shutil.copyfile(self.root / name, into / name)
        for package in OWN_PACKAGES:
            shutil.copytree(
                self.root / package, into / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        compile_sources(into, root=into, shown_as=_APP_ROOT, uncompiled=SELDOM_IMPORTED)
        shutil.copytree(installed, into / SITE_PACKAGES)
        stamp(into)

    def build_zip(self, platform: str | None = AZURE_PLATFORM) -> Path:
        """Return the package as a zip file, from the cache if nothing that makes it has changed.

        Raises:
            BundleError: the requirements could not be installed.

        """
        digest = hash_bytes(
            identify_builder(platform), hash_sources(self.root, [*OWN_FILES, *OWN_PACKAGES])
        )
        finished = self.cache / f"function_app-{digest}.zip"
        if not finished.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.cache) as scratch:
                folder = Path(scratch) / "package"
                folder.mkdir()
                self.fill(folder, platform)
                unfinished = Path(scratch) / "package.zip"
                write_zip(folder, unfinished)
                unfinished.replace(finished)
        return finished


def build_function_app(root: Path, *, platform: str | None = AZURE_PLATFORM) -> Path:
    """Return the checkout's Function App as a zip file; a second call finds it built.

    Raises:
        BundleError: the requirements could not be installed.

    """
    return FunctionAppBuilder(root, find_uv(root), root / ".cache" / "bundles").build_zip(platform)


def choose_local_platform() -> str | None:
    """Return Azure's platform if this machine runs its wheels, else None: this machine's own.

    So a rehearsal has Azure's very bytes on x86_64 Linux with glibc, and the same locked versions
    in wheels of its own elsewhere.
    """
    is_like_azure = sys.platform == "linux" and os.uname().machine in _X86_64
    return AZURE_PLATFORM if is_like_azure and _glibc() >= _OLDEST_GLIBC else None


def _glibc() -> tuple[int, ...]:
    name, version = machine.libc_ver()
    return tuple(map(int, version.split("."))) if name == "glibc" else ()
