"""Builds what each Lambda function ships.

A bundle holds the locked requirements, the function's own package, `shared`, and bytecode that the
runtime takes without looking at the sources. It holds no machine path and no time, so the same
inputs give the same bytes.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

from bundling.reproducible import compile_sources, hash_bytes, hash_sources, stamp, write_zip
from bundling.requirements import Installer, identify_builder

AWS_PLATFORMS: Final[Mapping[str, str]] = MappingProxyType(
    {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
)
"""What the template's parameter Architecture can say, and how uv names it (Amazon Linux 2023)."""

DEFAULT_ARCHITECTURE: Final = "arm64"
"""What the template runs on unless it is told otherwise."""

_TASK_ROOT: Final = "/var/task"  # where Lambda unpacks a bundle, and so what tracebacks should say


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into one bundle."""

    package: str
    """The deployable's own package; `shared` goes with it."""
    requirements: str | None
    """Its lock under `requirements/`; None if it needs only the standard library."""
    left_out: str | None = None
    """A folder of the package that the function never imports."""


RECIPES: Final[Mapping[str, Recipe]] = {
    "AuthorizerFunction": Recipe("aws_authorizer", "authorizer.txt", left_out="explanation"),
    "RecordsFunction": Recipe("aws_backend", "backend.txt"),
    "DiscoveryFunction": Recipe("aws_backend", None),
    "HealthFunction": Recipe("aws_backend", None),
}
"""Each function of the template, by its logical ID."""

NO_PROGRAMS: Final[Mapping[str, str]] = MappingProxyType({})
"""For a bundle that AWS gets: its runtime starts the handler without a program of ours."""


@dataclass(frozen=True, slots=True)
class BundleBuilder:
    """Builds bundles from a checkout."""

    root: Path
    """The checkout: the packages and `requirements/`."""
    uv: Path
    """The installer."""
    cache: Path
    """Where installed requirements and finished zips are kept, by the hash of what made them."""

    def fill(self, recipe: Recipe, into: Path, platform: str | None) -> None:
        """Write the bundle's files into the empty folder `into`.

        `platform` is uv's name of the target; None means this machine.

        Raises:
            BundleError: the requirements could not be installed.

        """
        if recipe.requirements is not None:
            lock = self.root / "requirements" / recipe.requirements
            installed = Installer(self.uv, self.cache).install(lock, platform, shown_as=_TASK_ROOT)
            shutil.copytree(installed, into, dirs_exist_ok=True)
        left_out = shutil.ignore_patterns("__pycache__", *filter(None, [recipe.left_out]))
        for package in (recipe.package, "shared"):
            shutil.copytree(self.root / package, into / package, ignore=left_out)
            compile_sources(into / package, root=into, shown_as=_TASK_ROOT)
        stamp(into)

    def build_zip(
        self, recipe: Recipe, *, platform: str | None, programs: Mapping[str, str] = NO_PROGRAMS
    ) -> Path:
        """Return the bundle as a zip file, from the cache if nothing that makes it has changed.

        `programs` are scripts that go into the bundle's top folder as executable files: text by
        file name.

        Raises:
            BundleError: the requirements could not be installed.

        """
        digest = self._digest(recipe, platform, programs)
        finished = self.cache / f"{recipe.package}-{digest}.zip"
        if not finished.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.cache) as scratch:
                folder = Path(scratch) / "bundle"
                folder.mkdir()
                self.fill(recipe, folder, platform)
                for name, text in programs.items():
                    (folder / name).write_text(text)
                unfinished = Path(scratch) / "bundle.zip"
                write_zip(folder, unfinished, programs.keys())
                unfinished.replace(finished)
        return finished

    def _digest(self, recipe: Recipe, platform: str | None, programs: Mapping[str, str]) -> str:
        names = [recipe.package, "shared"]
        if recipe.requirements is not None:
            names.append(f"requirements/{recipe.requirements}")
        return hash_bytes(
            repr((recipe, sorted(programs.items()))).encode(),
            identify_builder(platform),
            hash_sources(self.root, names),
        )
