"""The folder that a release is put into, all of it or nothing."""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Final

from releasing.errors import ReleaseError

CHECKSUMS_FILE: Final = "SHA256SUMS"

_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._-]+)")


def refuse_foreign(folder: Path) -> None:
    """Raise unless a release may replace the folder.

    Raises:
        ReleaseError: it is no folder, or holds files and no checksums of a release.

    """
    if not folder.exists():
        return
    is_release = (folder / CHECKSUMS_FILE).is_file()
    if not folder.is_dir() or (any(folder.iterdir()) and not is_release):
        raise ReleaseError(
            "folder_taken",
            f"{folder} holds something that is no release: take another folder, or empty it.",
        )


def put_in_place(filled: Path, folder: Path) -> None:
    """Make the filled folder, which is on the same disk, the release, in place of an older one.

    Raises:
        ReleaseError: the place is taken by something that is no release.

    """
    refuse_foreign(folder)
    if folder.exists():
        shutil.rmtree(folder)
    filled.rename(folder)


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of the folder, by its name."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name != CHECKSUMS_FILE
    }


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums that the folder's release was published with, by file name.

    Raises:
        ReleaseError: there are none, or a line is none.

    """
    file = folder / CHECKSUMS_FILE
    if not file.is_file():
        raise ReleaseError("release_missing", f"There is no {CHECKSUMS_FILE} in {folder}.")
    lines = [_LINE.fullmatch(line) for line in file.read_text(encoding="utf-8").splitlines()]
    if not all(lines):
        raise ReleaseError("checksums_damaged", f"{file} has a line that is no checksum.")
    return {found[2]: found[1] for found in lines if found}


def write_checksums(folder: Path) -> None:
    """Write the checksums of the folder's files beside them, as `sha256sum --check` reads them."""
    lines = [f"{digest}  {name}\n" for name, digest in checksums(folder).items()]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")
