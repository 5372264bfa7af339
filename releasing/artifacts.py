"""Builds everything that a release deploys, into one folder (`python -m releasing build`)."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bundling.bundles import RECIPES, BundleBuilder
from releasing.errors import ReleaseError

PLATFORMS: Final[Mapping[str, str]] = {
    "arm64": "aarch64-manylinux_2_28",
    "x86_64": "x86_64-manylinux_2_28",
}
"""Lambda's architectures, each with the platform that uv installs for (Amazon Linux 2023)."""


def build_artifacts(root: Path, uv: Path, into: Path) -> None:
    """Fill the folder with a zip of each Lambda function for each architecture, and all else.

    All else is what `python -m bundling all` builds beside the Lambda functions.

    Raises:
        ReleaseError: something could not be built.

    """
    into.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=into) as scratch:
        everything = Path(scratch) / "all"
        _run_bundling(root, everything)
        for built in sorted(everything.glob("*.zip")):
            if built.stem not in RECIPES:
                shutil.copyfile(built, into / built.name)
    builder = BundleBuilder(root, uv, root / ".cache" / "bundles")
    for architecture, platform in PLATFORMS.items():
        for function, recipe in RECIPES.items():
            built = builder.build_zip(recipe, platform=platform)
            shutil.copyfile(built, into / f"{function}-{architecture}.zip")


def _run_bundling(root: Path, into: Path) -> None:
    result = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bundling", "all", into],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ReleaseError("build_failed", f"The bundles were not built: {result.stderr.strip()}")
