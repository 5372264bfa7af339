"""The folder of a release, as `gh release download` leaves it."""

import hashlib
from pathlib import Path


def write_checksums(folder: Path) -> None:
    """Write the checksums of all files in the folder, as `sha256sum` does."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
