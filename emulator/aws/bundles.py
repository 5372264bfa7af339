"""Builds what each Lambda function ships, by one recipe for AWS and for the laptop.

A bundle holds the locked requirements, the function's own package, `shared`, and bytecode that the
runtime takes without looking at the sources. It holds no machine path and no time, so the same
inputs give the same bytes. As a program it builds for AWS: `make build` and the recipes of
`sam build` in `infra/aws/Makefile` are `python -m emulator.aws.bundles FUNCTION|all FOLDER`.
"""

import argparse
import compileall
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

AWS_PLATFORM: Final = "aarch64-manylinux_2_28"
"""What the template's `Architectures: [arm64]` runs on, as uv names it (Amazon Linux 2023)."""

_TASK_ROOT: Final = "/var/task"  # where Lambda unpacks a bundle, and so what tracebacks should say
_EPOCH: Final = 315_532_800  # 1980-01-01 UTC, the earliest time that a zip can hold
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)

# cryptography's bindings were compiled when its wheel was made: of cffi only the C module loads.
_UNUSED_PACKAGES: Final = ("bin", "cffi", "pycparser", "pycparser-*.dist-info", "boto3/examples")
_UNUSED_FILES: Final = ("*.pyi", "*.h", "*.c", "*.pxd", "py.typed")
# Security scanners and licenses need these two of a distribution's records; nothing needs the rest.
_KEPT_RECORDS: Final = re.compile(r"\.dist-info/(METADATA$|licenses/|LICENSE|NOTICE)")
# botocore ships the description of every AWS service, 25 MB; ours call one.
_SERVICE_DATA: Final = ("botocore/data", "boto3/data")
_CALLED_SERVICES: Final = frozenset({"dynamodb"})

BOOTSTRAP: Final = """\
#!/bin/sh
# Hands over to AWS's own runtime client. Who started MiniStack says which Python has it, and where
# the functions' lines go. /var/task cannot be written to on AWS, so nothing is written here either.
export PYTHONPATH="$LAMBDA_TASK_ROOT" PYTHONDONTWRITEBYTECODE=1
exec "$LOCAL_LAMBDA_PYTHON" -m awslambdaric "$_HANDLER" >>"$LOCAL_LAMBDA_LOG" 2>&1
"""
"""What a bundle for the laptop starts with: the `provided` runtimes run it for each environment."""


class BundleError(Exception):
    """A bundle could not be built; the message says what to change."""

    code = "bundle_failed"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into one bundle."""

    package: str
    """The deployable's own package; `shared` goes with it."""
    requirements: str | None
    """Its lock under `requirements/`; None for the standard library alone."""


RECIPES: Final[Mapping[str, Recipe]] = {
    "AuthorizerFunction": Recipe("aws_authorizer", "authorizer.txt"),
    "RecordsFunction": Recipe("aws_backend", "backend.txt"),
    "DiscoveryFunction": Recipe("aws_backend", None),
    "HealthFunction": Recipe("aws_backend", None),
}
"""Each function of the template, by its logical ID."""

type Bundles = Mapping[str, Path]
"""Each function's zip file, by the function's logical ID."""


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
        """Put the bundle's files into an empty folder.

        `platform` is uv's name of the target; None means this machine.

        Raises:
            BundleError: the requirements could not be installed.

        """
        if recipe.requirements is not None:
            shutil.copytree(
                self._installed(recipe.requirements, platform), into, dirs_exist_ok=True
            )
        for package in (recipe.package, "shared"):
            shutil.copytree(
                self.root / package, into / package, ignore=shutil.ignore_patterns("__pycache__")
            )
            _compile(into, into / package)
        _stamp(into)

    def build_zip(self, recipe: Recipe, *, platform: str | None, is_local: bool) -> Path:
        """The bundle as a zip file, from the cache where nothing that it is made of has changed.

        A local one has a `bootstrap`, with which the `provided` runtimes start.
        """
        digest = self._digest(recipe, platform, is_local=is_local)
        finished = self.cache / f"{recipe.package}-{digest}.zip"
        if not finished.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.cache) as scratch:
                folder = Path(scratch) / "bundle"
                folder.mkdir()
                self.fill(recipe, folder, platform)
                if is_local:
                    (folder / "bootstrap").write_text(BOOTSTRAP)
                unfinished = Path(scratch) / "bundle.zip"
                _zip(folder, unfinished)
                unfinished.replace(finished)
        return finished

    def _installed(self, requirements: str, platform: str | None) -> Path:
        lock = self.root / "requirements" / requirements
        digest = _hash(lock.read_bytes(), self._common_inputs(platform))
        finished = self.cache / f"{lock.stem}-{digest}"
        if not finished.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.cache) as scratch:
                folder = Path(scratch) / "installed"
                self._install(lock, folder, platform)
                _trim(folder)
                _compile(folder, folder)
                folder.rename(finished)
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

    def _digest(self, recipe: Recipe, platform: str | None, *, is_local: bool) -> str:
        parts = [repr((recipe, is_local)).encode(), self._common_inputs(platform)]
        if recipe.requirements is not None:
            parts.append((self.root / "requirements" / recipe.requirements).read_bytes())
        for package in (recipe.package, "shared"):
            for file in _files(self.root / package):
                if "__pycache__" not in file.parts:
                    parts += [str(file.relative_to(self.root)).encode(), file.read_bytes()]
        return _hash(*parts)

    def _common_inputs(self, platform: str | None) -> bytes:
        machine = platform or f"{sys.platform} {os.uname().machine}"
        return _hash(Path(__file__).read_bytes(), machine.encode(), sys.version.encode()).encode()


def find_uv(root: Path) -> Path:
    """The machine's own uv if it has one, else the checkout's.

    Raises:
        BundleError: there is neither.

    """
    found = shutil.which("uv") or shutil.which(root / ".tools" / "uv" / "bin" / "uv")
    if found is None:
        raise BundleError("uv is not on PATH nor in the checkout's .tools; run: make install")
    return Path(found)


def build_local_bundles(root: Path) -> Bundles:
    """Every function's bundle for this machine, ready for MiniStack; a second call finds them made.

    Raises:
        BundleError: the requirements could not be installed.

    """
    builder = BundleBuilder(root, find_uv(root), root / ".cache" / "bundles")
    return {
        function: builder.build_zip(recipe, platform=None, is_local=True)
        for function, recipe in RECIPES.items()
    }


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()[:32]


def _files(folder: Path) -> Iterator[Path]:
    return iter(sorted(path for path in folder.rglob("*") if path.is_file()))


def _trim(folder: Path) -> None:
    unused = [path for pattern in _UNUSED_PACKAGES for path in folder.glob(pattern)]
    unused += [path for pattern in _UNUSED_FILES for path in folder.rglob(pattern)]
    unused += [
        path
        for path in folder.glob("*.dist-info/**/*")
        if path.is_file() and not _KEPT_RECORDS.search(path.as_posix())
    ]
    unused += [
        service
        for data in _SERVICE_DATA
        for service in (folder / data).glob("*/")
        if service.name not in _CALLED_SERVICES
    ]
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _compile(root: Path, folder: Path) -> None:
    is_compiled = compileall.compile_dir(
        folder,
        quiet=2,
        stripdir=str(root),
        prependdir=_TASK_ROOT,
        # The runtime then neither looks at the sources nor hashes them.
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not is_compiled:
        raise BundleError(f"a file under {folder} is no valid Python {sys.version_info.minor}")


def _stamp(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (_EPOCH, _EPOCH))


def _zip(folder: Path, into: Path) -> None:
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _files(folder):
            name = file.relative_to(folder).as_posix()
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            archive.writestr(entry, file.read_bytes())


def main() -> None:
    """Build what AWS gets: one function's folder, or every function's zip file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("function", choices=[*sorted(RECIPES), "all"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    root = Path(__file__).parents[2]
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        builder = BundleBuilder(root, find_uv(root), root / ".cache" / "bundles")
        if arguments.function != "all":
            builder.fill(RECIPES[arguments.function], folder, AWS_PLATFORM)
            return
        for function, recipe in RECIPES.items():
            bundle = builder.build_zip(recipe, platform=AWS_PLATFORM, is_local=False)
            zip_file = folder / f"{function}.zip"
            shutil.copyfile(bundle, zip_file)
            print(f"{zip_file}  {zip_file.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - its output
    except BundleError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
