"""Builds a release twice, in two fresh copies of the checkout, and compares the bytes."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from releasing.errors import ReleaseError
from releasing.release_folder import checksums


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between one build and another, and must not be seen in the bytes."""

    folder: str
    """Where the copy stands, below the scratch folder."""
    variables: Mapping[str, str]
    """What the environment says beside the machine's own."""
    umask: int
    """Which rights new files do not get."""
    is_backward: bool
    """Whether the files are copied in the reverse order."""


SURROUNDINGS: Final[tuple[Surroundings, ...]] = (
    Surroundings(
        "one", {"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C"}, 0o022, is_backward=False
    ),
    Surroundings(
        "another/place/with a longer name",
        {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"},
        0o077,
        is_backward=True,
    ),
)


def copy_files(root: Path, files: Sequence[Path], into: Path) -> None:
    """Copy the files to the same places below `into`, with new times."""
    for file in files:
        place = into / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, place)
        place.chmod((root / file).stat().st_mode & 0o777)


def build_repeatedly(root: Path, files: Sequence[Path], uv: Path, scratch: Path) -> list[Path]:
    """Return the folders of artifacts that the same files gave in each of `SURROUNDINGS`.

    Each copy has caches of its own for what it builds; downloads are checked by their hashes.

    Raises:
        ReleaseError: a build failed.

    """
    built: list[Path] = []
    for number, surroundings in enumerate(SURROUNDINGS):
        copy = scratch / surroundings.folder
        ordered = sorted(files, reverse=surroundings.is_backward)
        copy_files(root, ordered, copy)
        # Bundling looks for the installer on PATH, and then here.
        installer = copy / ".tools" / "uv" / "bin" / "uv"
        installer.parent.mkdir(parents=True, exist_ok=True)
        installer.symlink_to(uv.resolve())
        into = scratch / f"artifacts-{number}"
        _build(copy, installer, into, surroundings)
        built.append(into)
    return built


def compare(folders: Sequence[Path]) -> dict[str, str]:
    """Return the checksums that all folders have in common.

    Raises:
        ReleaseError: the folders differ, or are empty; the message names the files.

    """
    first, *others = [checksums(folder) for folder in folders]
    if not first:
        raise ReleaseError("nothing_built", f"There is nothing in {folders[0]}.")
    for other in others:
        different = sorted(
            name for name in first.keys() | other.keys() if first.get(name) != other.get(name)
        )
        if different:
            raise ReleaseError(
                "builds_differ",
                f"Built twice, these are not the same bytes: {', '.join(different)}. Something of"
                " the machine, the time or the order of files is in them.",
            )
    return first


def compare_with_release(built: Path, released: Mapping[str, str]) -> None:
    """Raise unless the built files are the release's packages, all of them and no others.

    `released` has the SHA-256 of each of the release's files, by name.

    Raises:
        ReleaseError: they differ; the message names the files.

    """
    packages = {name: digest for name, digest in released.items() if name.endswith(".zip")}
    here = checksums(built)
    different = sorted(
        name for name in here.keys() | packages.keys() if here.get(name) != packages.get(name)
    )
    if different or not packages:
        raise ReleaseError(
            "release_differs",
            f"These sources do not build the release: {', '.join(different) or 'it has nothing'}."
            " Is it this tag's, and built with the same versions of Python and uv?",
        )


def _build(copy: Path, uv: Path, into: Path, surroundings: Surroundings) -> None:
    variables = [f"{name}={value}" for name, value in surroundings.variables.items()]
    result = subprocess.run(  # noqa: S603 - our own program
        ["env", *variables, sys.executable, "-m", "releasing", "build", into, "--uv", uv],  # noqa: S607 - POSIX's
        cwd=copy,
        umask=surroundings.umask,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ReleaseError("build_failed", f"A build failed: {result.stderr.strip()}")
