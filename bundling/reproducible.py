"""Bytecode and archives that hold no machine path and no time: the same inputs, the same bytes."""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from bundling.errors import BundleError

_EPOCH: Final = 315_532_800  # 1980-01-01 UTC, the earliest time that a zip can hold
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


def hash_bytes(*parts: bytes) -> str:
    """Return a name for these parts in this order, short enough for a file."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()[:32]


def list_files(folder: Path) -> Iterator[Path]:
    """Return every file below the folder, in the same order on every machine."""
    return iter(sorted(path for path in folder.rglob("*") if path.is_file()))


def hash_sources(root: Path, names: Collection[str]) -> bytes:
    """Return what identifies the files and folders of those names below `root`, bytecode apart."""
    parts: list[bytes] = []
    for name in names:
        path = root / name
        for file in list_files(path) if path.is_dir() else [path]:
            if "__pycache__" not in file.parts:
                parts += [file.relative_to(root).as_posix().encode(), file.read_bytes()]
    return hash_bytes(*parts).encode()


def compile_sources(
    folder: Path, *, root: Path, shown_as: str, uncompiled: Collection[str] = ()
) -> None:
    """Write bytecode beside every source below the folder, which the runtime takes unchecked.

    Args:
        folder: the sources.
        root: the folder that will be unpacked in the cloud.
        shown_as: where it is unpacked there, and so what tracebacks say in place of `root`.
        uncompiled: packages in `root` that get no bytecode.

    Raises:
        BundleError: a source is no valid Python.

    """
    command: list[str | Path] = [sys.executable, "-S", "-P", "-s", "-m", "compileall", "-q"]
    command += ["-s", root, "-p", shown_as]
    # The runtime then neither looks at the sources nor hashes them.
    command += ["--invalidation-mode", "unchecked-hash"]
    if uncompiled:
        names = "|".join(map(re.escape, uncompiled))
        command += ["-x", rf"{re.escape(str(root))}/(?:{names})/"]
    # In a process that does nothing else: bytecode marks the texts that its builder uses elsewhere
    # too, such as the names in a module that it has loaded.
    result = subprocess.run(  # noqa: S603 - this interpreter
        [*command, folder],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        told = (result.stdout + result.stderr).strip()
        raise BundleError(f"a file under {folder} is no valid Python {version}: {told}")


def stamp(folder: Path) -> None:
    """Give everything below the folder the same time."""
    for path in folder.rglob("*"):
        os.utime(path, (_EPOCH, _EPOCH))


def write_zip(folder: Path, into: Path, executable: Collection[str] = ()) -> None:
    """Pack the folder's files; those of the top folder named `executable` may be executed."""
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in list_files(folder):
            name = file.relative_to(folder).as_posix()
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            archive.writestr(entry, file.read_bytes())
