"""Says for which processor a built folder is: AWS takes a bundle for the wrong one without a word.

The function then fails at its first call, and with it every request that it stands before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

# Of the ELF header: the magic, then e_machine as two bytes from 18 on (System V ABI, "ELF Header").
_MAGIC: Final = b"\x7fELF"
_MACHINE: Final = slice(18, 20)
_MACHINES: Final = {"arm64": (183).to_bytes(2, "little"), "x86_64": (62).to_bytes(2, "little")}


class ArchitectureMismatch(Exception):
    """A bundle is for another processor than the function; the message says what to build again."""

    code = "architecture_mismatch"


def check_architecture(folder: Path, architecture: str) -> int:
    """Return how many libraries under the folder are for the processor; raise unless all are.

    `folder` is one bundle, or what `sam build` leaves in `.aws-sam/build`. A bundle of Python only
    runs anywhere, and counts none.

    Raises:
        ArchitectureMismatch: a library is for another processor.

    """
    expected = _MACHINES[architecture]
    libraries = list(_read_machines(folder))
    for file, machine in libraries:
        if machine != expected:
            raise ArchitectureMismatch(
                f"{file.relative_to(folder)} is not for {architecture}; run: "
                f"ARCHITECTURE={architecture} sam build"
            )
    return len(libraries)


def _read_machines(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                header = stream.read(20)
            if header.startswith(_MAGIC):
                yield file, header[_MACHINE]
