"""Builds what AWS gets: `make build`, and the recipes of `sam build` in `infra/aws/Makefile`.

It is `python -m bundling FUNCTION|all FOLDER`.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bundling.bundles import AWS_PLATFORM, RECIPES, BundleBuilder, BundleError, find_uv


def main(arguments: Sequence[str] | None = None) -> None:
    """Build one function's folder, or every function's zip file."""
    parser = argparse.ArgumentParser(prog="python -m bundling", description=main.__doc__)
    parser.add_argument("function", choices=[*sorted(RECIPES), "all"])
    parser.add_argument("folder", type=Path)
    parsed = parser.parse_args(arguments)
    root = Path(__file__).parents[1]
    folder: Path = parsed.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        builder = BundleBuilder(root, find_uv(root), root / ".cache" / "bundles")
        if parsed.function != "all":
            builder.fill(RECIPES[parsed.function], folder, AWS_PLATFORM)
            return
        for function, recipe in RECIPES.items():
            bundle = builder.build_zip(recipe, platform=AWS_PLATFORM)
            zip_file = folder / f"{function}.zip"
            shutil.copyfile(bundle, zip_file)
            print(f"{zip_file}  {zip_file.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - its output
    except BundleError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
