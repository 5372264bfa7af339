"""Builds what both clouds get: `make build`, and the recipes of `sam build` (infra/aws/Makefile).

It is `python -m bundling FUNCTION|FunctionApp|all FOLDER [--zip] [--architecture arm64|x86_64]`;
with `--from RELEASE` it takes what that release has built, in place of building; with `check` in
place of the function it says whether what `sam build` left in the folder is for that processor,
which only the Lambda functions can choose.
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
from bundling.function_app import AZURE_PLATFORM, FunctionAppBuilder, choose_local_platform
from bundling.released import read_released, unpack_released
from bundling.requirements import find_uv

_FUNCTION_APP = "FunctionApp"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the folder of one Lambda function or of the Function App, or every zip; or check."""
    parsed = _parse(arguments)
    if parsed.function == "check":
        _check(parsed.folder, parsed.architecture)
        return
    parsed.folder.mkdir(parents=True, exist_ok=True)
    try:
        if parsed.release:
            _take(parsed)
        else:
            _build(parsed)
    except BundleError as error:
        sys.exit(str(error))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
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
    parser.add_argument(
        "--from",
        dest="release",
        metavar="RELEASE",
        type=Path,
        help="take it from the folder of a release, in place of building it",
    )
    parsed = parser.parse_args(arguments)
    if parsed.release and (parsed.local or parsed.function in {"all", "check"}):
        parser.error("--from takes one function, as the clouds get it")
    if parsed.local and parsed.function != _FUNCTION_APP:
        parser.error(f"--local is for {_FUNCTION_APP}")
    return parsed


def _build(parsed: argparse.Namespace) -> None:
    root = Path(__file__).parents[1]
    uv, cache = find_uv(root), root / ".cache" / "bundles"
    builder, app_builder = BundleBuilder(root, uv, cache), FunctionAppBuilder(root, uv, cache)
    folder: Path = parsed.folder
    platform = AWS_PLATFORMS[parsed.architecture]
    app_platform = choose_local_platform() if parsed.local else AZURE_PLATFORM
    match parsed.function:
        case "all":
            for function, recipe in RECIPES.items():
                _keep(builder.build_zip(recipe, platform=platform), folder, function)
            _keep(app_builder.build_zip(), folder, _FUNCTION_APP)
        case "FunctionApp" if parsed.zip:
            _keep(app_builder.build_zip(app_platform), folder, _FUNCTION_APP)
        case "FunctionApp":
            app_builder.fill(folder, app_platform)
        case function if parsed.zip:
            _keep(builder.build_zip(RECIPES[function], platform=platform), folder, function)
        case function:
            builder.fill(RECIPES[function], folder, platform)


def _keep(built: Path, folder: Path, name: str) -> None:
    zip_file = folder / f"{name}.zip"
    # Whole or not at all: another run may be reading the one that is there.
    with TemporaryDirectory(dir=folder) as scratch:
        unfinished = Path(scratch) / zip_file.name
        shutil.copyfile(built, unfinished)
        unfinished.replace(zip_file)
    print(f"{zip_file}  {zip_file.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - its output


def _take(parsed: argparse.Namespace) -> None:
    suffix = "" if parsed.function == _FUNCTION_APP else f"-{parsed.architecture}"
    name = f"{parsed.function}{suffix}.zip"
    if parsed.zip:
        zip_file = parsed.folder / f"{parsed.function}.zip"
        zip_file.write_bytes(read_released(parsed.release, name))
    else:
        unpack_released(parsed.release, name, parsed.folder)
    print(f"{parsed.folder}  from {parsed.release / name}")  # noqa: T201 - its output


def _check(folder: Path, architecture: str) -> None:
    try:
        libraries = check_architecture(folder, architecture)
    except ArchitectureMismatch as error:
        sys.exit(str(error))
    if not libraries:
        sys.exit(f"{folder} holds no bundle; run: ARCHITECTURE={architecture} sam build")


if __name__ == "__main__":
    main()
