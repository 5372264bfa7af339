"""Builds what both clouds get: `make build`, and the recipes of `sam build` (infra/aws/Makefile).

It is `python -m bundling FUNCTION|FunctionApp|all FOLDER`.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bundling.bundles import AWS_PLATFORM, RECIPES, BundleBuilder
from bundling.errors import BundleError
from bundling.function_app import FunctionAppBuilder
from bundling.requirements import find_uv

_FUNCTION_APP = "FunctionApp"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the folder of one Lambda function or of the Function App, or every zip file."""
    parser = argparse.ArgumentParser(prog="python -m bundling", description=main.__doc__)
    parser.add_argument("function", choices=[*sorted(RECIPES), _FUNCTION_APP, "all"])
    parser.add_argument("folder", type=Path)
    parsed = parser.parse_args(arguments)
    root = Path(__file__).parents[1]
    folder: Path = parsed.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        uv, cache = find_uv(root), root / ".cache" / "bundles"
        builder, app_builder = BundleBuilder(root, uv, cache), FunctionAppBuilder(root, uv, cache)
        match parsed.function:
            case "all":
                for function, recipe in RECIPES.items():
                    _keep(builder.build_zip(recipe, platform=AWS_PLATFORM), folder, function)
                _keep(app_builder.build_zip(), folder, _FUNCTION_APP)
            case "FunctionApp":
                app_builder.fill(folder)
            case function:
                builder.fill(RECIPES[function], folder, AWS_PLATFORM)
    except BundleError as error:
        sys.exit(str(error))


def _keep(built: Path, folder: Path, name: str) -> None:
    zip_file = folder / f"{name}.zip"
    shutil.copyfile(built, zip_file)
    print(f"{zip_file}  {zip_file.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - its output


if __name__ == "__main__":
    main()
