"""Looks at a published package before anything of it is used, and unpacks it.

What Azure would refuse or stumble over is refused here: no zip file, one that is cut off, one
without host.json at its root. And what a zip file can do to the machine that unpacks it: names that
lead out of the folder, links, more content than a Function App has.
"""

import shutil
import stat
import zipfile
import zlib
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Final

from emulator.azure.errors import AzureRefusal

MOST_ZIP_BYTES: Final = 200_000_000
"""What an upload may have at most; ours has 12 MB."""
_MOST_BYTES: Final = 1_000_000_000
_MOST_FILES: Final = 50_000
_HOST_JSON: Final = "host.json"
_COPIED_AT_ONCE: Final = 1 << 20


def unpack_package(zip_file: Path, into: Path) -> None:
    """Unpack the package into the folder `into`, which is made, or not left behind.

    Raises:
        AzureRefusal: it is no package; the code says what is wrong with it.

    """
    try:
        with zipfile.ZipFile(zip_file) as archive:
            entries = archive.infolist()
            _check(entries)
            into.mkdir(parents=True)
            try:
                for entry in entries:
                    _extract(archive, entry, into)
            except BaseException:
                shutil.rmtree(into)
                raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _refusal(
            "package_damaged", f"The package is no whole zip file ({error}): upload it again."
        ) from None


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise _refusal(
            "package_too_large",
            f"The package unpacks to more than {_MOST_FILES:,} files or {_MOST_BYTES:,} bytes.",
        )
    for entry in entries:
        _check_entry(entry)
    names = [entry.filename for entry in entries]
    if len({name.lower() for name in names}) < len(names):
        raise _refusal("package_unsafe", "The package has two entries of one name.")
    if _HOST_JSON not in names:
        raise _refusal(
            "package_without_host_json",
            "The package has no host.json at its root: pack the app's files, not their folder.",
        )


def _check_entry(entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename)
    leads_out = path.is_absolute() or ".." in path.parts or not path.parts
    # What zipfile itself would quietly make safe is refused all the same: other programs do not.
    if leads_out or "\\" in entry.orig_filename or "\0" in entry.orig_filename:
        raise _refusal("package_unsafe", f"{entry.orig_filename!r} leads out of the package.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise _refusal(
            "package_unsafe", f"{entry.filename} is a link or a device, and no file: pack a copy."
        )
    if entry.flag_bits & 1:
        raise _refusal("package_unsafe", f"{entry.filename} is encrypted.")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, into: Path) -> None:
    target = into / entry.filename
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as copy:
        # At most what the entry declares, and with its checksum.
        shutil.copyfileobj(source, copy, _COPIED_AT_ONCE)


def _refusal(code: str, message: str) -> AzureRefusal:
    return AzureRefusal(HTTPStatus.BAD_REQUEST, code, message)
