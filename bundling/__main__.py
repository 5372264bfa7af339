"""Builds what AWS gets: `make build`, and the recipes of `sam build` in `infra/aws/Makefile`.

It is `python -m bundling FUNCTION|all FOLDER [--architecture arm64|x86_64]`; with `check` in place
of the function it says whether what `sam build` left in the folder is for that processor.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bundling.architecture import ArchitectureMismatch, check_architecture
from bundling.bundles import (
    AWS_PLATFORMS,
    DEFAULT_ARCHITECTURE,
    RECIPES,
    BundleBuilder,
    BundleError,
    find_uv,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build one function's folder, or every function's zip file, or check what was built."""
    parser = argparse.ArgumentParser(prog="python -m bundling", description=main.__doc__)
    parser.add_argument("function", choices=[*sorted(RECIPES), "all", "check"])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--architecture", choices=sorted(AWS_PLATFORMS), default=DEFAULT_ARCHITECTURE
    )
    parsed = parser.parse_args(arguments)
    root = Path(__file__).parents[1]
    folder: Path = parsed.folder
    if parsed.function == "check":
        _check(folder, parsed.architecture)
        return
    platform = AWS_PLATFORMS[parsed.architecture]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        builder = BundleBuilder(root, find_uv(root), root / ".cache" / "bundles")
        if parsed.function != "all":
            builder.fill(RECIPES[parsed.function], folder, platform)
            return
        for function, recipe in RECIPES.items():
            bundle = builder.build_zip(recipe, platform=platform)
            zip_file = folder / f"{function}.zip"
            shutil.copyfile(bundle, zip_file)
            print(f"{zip_file}  {zip_file.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - its output
    except BundleError as error:
        sys.exit(str(error))


def _check(folder: Path, architecture: str) -> None:
    try:
        libraries = check_architecture(folder, architecture)
    except ArchitectureMismatch as error:
        sys.exit(str(error))
    if not libraries:
        sys.exit(f"{folder} holds no bundle; run: ARCHITECTURE={architecture} sam build")


if __name__ == "__main__":
    main()
