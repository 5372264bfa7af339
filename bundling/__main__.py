"""Builds what both clouds get: `make build`, and the recipes of `sam build` (infra/aws/Makefile).

It is `python -m bundling FUNCTION|FunctionApp|all FOLDER [--zip] [--architecture arm64|x86_64]`;
with `check` in place of the function it says whether what `sam build` left in the folder is for
that processor, which only the Lambda functions can choose.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bundling.architecture import ArchitectureMismatch, check_architecture
from bundling.bundles import AWS_PLATFORMS, DEFAULT_ARCHITECTURE, RECIPES, BundleBuilder
from bundling.errors import BundleError
from bundling.function_app import AZURE_PLATFORM, FunctionAppBuilder, choose_local_platform
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
    parser.add_argument(
        "--zip", action="store_true", help="leave <function>.zip in the folder, not its files"
    )
    parser.add_argument(
        "--local",
        action="store_true",
        help="build the Function App for this machine where Azure's own wheels do not run on it",
    )
    parsed = parser.parse_args(arguments)
    if parsed.local and parsed.function != _FUNCTION_APP:
        parser.error(f"--local is for {_FUNCTION_APP}")
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
                app_platform = choose_local_platform() if parsed.local else AZURE_PLATFORM
                if parsed.zip:
                    _keep(app_builder.build_zip(app_platform), folder, _FUNCTION_APP)
                else:
                    app_builder.fill(folder, app_platform)
            case function if parsed.zip:
                _keep(builder.build_zip(RECIPES[function], platform=platform), folder, function)
            case function:
                builder.fill(RECIPES[function], folder, platform)
    except BundleError as error:
        sys.exit(str(error))


def _keep(built: Path, folder: Path, name: str) -> None:
    zip_file = folder / f"{name}.zip"
    shutil.copyfile(built, zip_file)
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
