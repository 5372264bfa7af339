"""Builds what each Lambda function ships.

A bundle holds the locked requirements, the function's own package, `shared`, and bytecode that the
runtime takes without looking at the sources. It holds no machine path and no time, so the same
inputs give the same bytes.
"""

import compileall
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

AWS_PLATFORMS: Final[Mapping[str, str]] = MappingProxyType(
    {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
)
"""What the template's parameter Architecture can say, and how uv names it (Amazon Linux 2023)."""

DEFAULT_ARCHITECTURE: Final = "arm64"
"""What the template runs on unless it is told otherwise."""

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


class BundleError(Exception):
    """A bundle could not be built; the message says what to change."""

    code = "bundle_failed"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What goes into one bundle."""

    package: str
    """The deployable's own package; `shared` goes with it."""
    requirements: str | None
    """Its lock under `requirements/`; None if it needs only the standard library."""


RECIPES: Final[Mapping[str, Recipe]] = {
    "AuthorizerFunction": Recipe("aws_authorizer", "authorizer.txt"),
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
            shutil.copytree(
                self._installed(recipe.requirements, platform), into, dirs_exist_ok=True
            )
        for package in (recipe.package, "shared"):
            shutil.copytree(
                self.root / package, into / package, ignore=shutil.ignore_patterns("__pycache__")
            )
            _compile(into, into / package)
        _stamp(into)

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
                _zip(folder, unfinished, programs.keys())
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

    def _digest(self, recipe: Recipe, platform: str | None, programs: Mapping[str, str]) -> str:
        parts = [repr((recipe, sorted(programs.items()))).encode(), self._common_inputs(platform)]
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
    """Return the machine's own uv if it has one, else the checkout's.

    Raises:
        BundleError: there is neither.

    """
    found = shutil.which("uv") or shutil.which(root / ".tools" / "uv" / "bin" / "uv")
    if found is None:
        raise BundleError("uv is not on PATH nor in the checkout's .tools; run: make install")
    return Path(found)


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


def _zip(folder: Path, into: Path, executable: Collection[str]) -> None:
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in _files(folder):
            name = file.relative_to(folder).as_posix()
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(entry, file.read_bytes())
