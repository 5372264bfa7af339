from pathlib import Path

import pytest

from bundling.architecture import ArchitectureMismatch, check_architecture

MACHINES = {"arm64": 183, "x86_64": 62}


def library(folder: Path, name: str, architecture: str) -> Path:
    """A file that begins as a shared library for the processor does."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    header = bytearray(b"\x7fELF" + bytes(60))
    header[18:20] = MACHINES[architecture].to_bytes(2, "little")
    file.write_bytes(header)
    return file


@pytest.mark.parametrize("architecture", MACHINES)
def test_when_every_library_is_for_the_processor_then_they_are_counted(
    tmp_path: Path, architecture: str
) -> None:
    """Sources beside them are for any processor, also the ones that are empty."""
    library(tmp_path, "one/_rust.abi3.so", architecture)
    library(tmp_path, "two/deep/_cffi.so", architecture)
    (tmp_path / "one" / "__init__.py").touch()

    assert 2 == check_architecture(tmp_path, architecture)


def test_when_one_library_is_for_another_processor_then_the_error_says_what_to_run(
    tmp_path: Path,
) -> None:
    """By its file, and with the command that builds it again."""
    library(tmp_path, "one/a.so", "arm64")
    library(tmp_path, "two/b.so", "x86_64")

    with pytest.raises(
        ArchitectureMismatch, match=r"^two/b.so is not for arm64; run: ARCHITECTURE=arm64 sam build"
    ):
        check_architecture(tmp_path, "arm64")


def test_when_there_is_only_python_then_nothing_is_counted(tmp_path: Path) -> None:
    """The caller can tell a bundle that runs anywhere from one that was checked."""
    (tmp_path / "handler.py").write_text("def handler(event, context): ...\n")

    assert 0 == check_architecture(tmp_path, "x86_64")
