"""Builds what both clouds get: `make build`, and the recipes of `sam build` (infra/aws/Makefile).

It is `python -m bundling FUNCTION|FunctionApp|all FOLDER [--architecture arm64|x86_64]`; with
`check` in place of the function it says whether what `sam build` left in the folder is for that
processor, which only the Lambda functions can choose.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bundling.architecture import ArchitectureMismatch, check_architecture
from bundling.bundles import AWS_PLATFORMS, DEFAULT_ARCHITECTURE, RECIPES, BundleBuilder
from bundling.errors import BundleError
from bundling.function_app import FunctionAppBuilder
from bundling.requirements import find_uv

_FUNCTION_APP = "FunctionApp"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the folder of one Lambda function or of the Function App, or every zip; or check."""
    parser = argparse.ArgumentParser(prog="python -m bundling", description=main.__doc__)
    parser.add_argument("function", choices=[*sorted(RECIPES), _FUNCTION_APP, "all", "check"])
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
        uv, cache = find_uv(root), root / ".cache" / "bundles"
        builder, app_builder = BundleBuilder(root, uv, cache), FunctionAppBuilder(root, uv, cache)
        match parsed.function:
            case "all":
                for function, recipe in RECIPES.items():
                    _keep(builder.build_zip(recipe, platform=platform), folder, function)
                _keep(app_builder.build_zip(), folder, _FUNCTION_APP)
            case "FunctionApp":
                app_builder.fill(folder)
            case function:
                builder.fill(RECIPES[function], folder, platform)
    except BundleError as error:
        sys.exit(str(error))


def _keep(built: Path, folder: Path, name: str) -> None:
    zip_file = folder / f"{name}.zip"
    # Whole or not at all: another run may be reading the one that is there.
    with TemporaryDirectory(dir=folder) as scratch:
        unfinished = Path(scratch) / zip_file.name
        shutil.copyfile(built, unfinished)
        unfinished.replace(zip_file)
    print(f"{zip_file}  {zip_file.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - its output


def _check(folder: Path, architecture: str) -> None:
    try:
        libraries = check_architecture(folder, architecture)
    except ArchitectureMismatch as error:
        sys.exit(str(error))
    if not libraries:
        sys.exit(f"{folder} holds no bundle; run: ARCHITECTURE={architecture} sam build")


if __name__ == "__main__":
    main()
