"""The folder of a release."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from releasing.errors import ReleaseError
from releasing.release_folder import (
    checksums,
    put_in_place,
    read_checksums,
    refuse_foreign,
    write_checksums,
)


def release(folder: Path, content: str = "zip") -> Path:
    """A release of one file."""
    folder.mkdir()
    (folder / "Function.zip").write_text(content)
    write_checksums(folder)
    return folder


def test_when_checksums_are_written_then_sha256sum_accepts_them(tmp_path: Path) -> None:
    """As the pages tell everybody to check them."""
    folder = release(tmp_path / "release")
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)

    assert "Function.zip: OK\n" == result.stdout


def test_when_checksums_are_read_then_they_are_those_of_the_files(tmp_path: Path) -> None:
    """Their own file has none."""
    folder = release(tmp_path / "release")

    assert {"Function.zip": hashlib.sha256(b"zip").hexdigest()} == read_checksums(folder)
    assert checksums(folder) == read_checksums(folder)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "release_missing"),
        ("zip\n", "checksums_damaged"),
        (f"{'0' * 64}  ../../etc/passwd\n", "checksums_damaged"),
        (f"{'0' * 63}  Function.zip\n", "checksums_damaged"),
        (f"{'0' * 64}  Function.zip\n\n", "checksums_damaged"),
    ],
)
def test_when_checksums_are_damaged_then_they_are_refused(
    tmp_path: Path, text: str | None, code: str
) -> None:
    """All of them."""
    if text is not None:
        (tmp_path / "SHA256SUMS").write_text(text)

    with pytest.raises(ReleaseError) as raised:
        read_checksums(tmp_path)

    assert code == raised.value.code


def test_when_there_is_an_older_release_then_the_new_one_takes_its_place(tmp_path: Path) -> None:
    """With nothing of the older one left."""
    old, new = release(tmp_path / "dist"), release(tmp_path / "new", "newer")
    (old / "Removed.zip").touch()
    put_in_place(new, old)

    assert {"Function.zip", "SHA256SUMS"} == {file.name for file in old.iterdir()}
    assert "newer" == (old / "Function.zip").read_text()


def test_when_there_is_nothing_or_an_empty_folder_then_the_release_goes_there(
    tmp_path: Path,
) -> None:
    """Both are nobody's."""
    (tmp_path / "empty").mkdir()
    put_in_place(release(tmp_path / "one"), tmp_path / "empty")
    put_in_place(release(tmp_path / "two"), tmp_path / "nothing")

    assert (tmp_path / "empty" / "SHA256SUMS").is_file()
    assert (tmp_path / "nothing" / "SHA256SUMS").is_file()


@pytest.mark.parametrize("is_folder", [True, False])
def test_when_the_place_is_somebody_elses_then_nothing_is_removed(
    tmp_path: Path, *, is_folder: bool
) -> None:
    """`dist` may mean something else to whoever runs it."""
    place = tmp_path / "dist"
    mine = place / "thesis.txt" if is_folder else place
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")

    with pytest.raises(ReleaseError) as raised:
        refuse_foreign(place)

    assert "folder_taken" == raised.value.code
    assert "years of work" == mine.read_text()
