"""The stack's own folder."""

from pathlib import Path

import pytest

from emulator.stack import FolderNotOursError, prepare_folder


def test_when_the_folder_is_somebody_elses_then_nothing_in_it_is_deleted(tmp_path: Path) -> None:
    """A folder with content that no stack made is refused, and stays as it is."""
    kept = tmp_path / "thesis.txt"
    kept.write_text("years of work")

    with pytest.raises(FolderNotOursError, match=str(tmp_path)):
        prepare_folder(tmp_path)
    assert "years of work" == kept.read_text()


def test_when_the_folder_is_a_file_then_it_is_refused(tmp_path: Path) -> None:
    """A file of that name is nobody's folder to empty."""
    file = tmp_path / "stack"
    file.write_text("mine")

    with pytest.raises(FolderNotOursError, match="stack"):
        prepare_folder(file)
    assert "mine" == file.read_text()


@pytest.mark.parametrize("is_there", [True, False])
def test_when_the_folder_is_new_or_empty_then_it_is_taken(
    tmp_path: Path,
    is_there: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Nothing can be lost there."""
    folder = tmp_path / "stack"
    if is_there:
        folder.mkdir()

    prepare_folder(folder)

    assert (folder / "logs").is_dir()


def test_when_the_folder_is_an_earlier_stacks_then_it_starts_empty(tmp_path: Path) -> None:
    """The last run's logs and records are not taken for this one's."""
    folder = tmp_path / "stack"
    prepare_folder(folder)
    (folder / "logs" / "lambda.log").write_text("old")

    prepare_folder(folder)

    assert [] == list((folder / "logs").iterdir())
