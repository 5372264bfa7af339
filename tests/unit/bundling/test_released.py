"""A release's packages are taken as they were published, or not at all."""

import zipfile
from pathlib import Path

import pytest

from bundling import __main__ as program
from bundling.errors import BundleError
from bundling.released import read_released
from tests.support.releases import write_checksums

NAMES = ("FunctionApp.zip", "HealthFunction-arm64.zip", "HealthFunction-x86_64.zip")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release of three zips, each with its own name in it."""
    folder = tmp_path / "release"
    folder.mkdir()
    for name in NAMES:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("inner/name.txt", name)
    write_checksums(folder)
    return folder


def test_when_a_function_is_taken_then_it_is_the_one_for_the_processor(
    release: Path, tmp_path: Path
) -> None:
    """As the files that `sam build` wants."""
    taking = ["--from", str(release)]
    program.main(["HealthFunction", str(tmp_path / "into"), *taking])
    program.main(["HealthFunction", str(tmp_path / "other"), *taking, "--architecture", "x86_64"])

    assert NAMES[1] == (tmp_path / "into" / "inner" / "name.txt").read_text()
    assert NAMES[2] == (tmp_path / "other" / "inner" / "name.txt").read_text()


def test_when_the_function_app_is_taken_then_its_zip_is_the_same_bytes(
    release: Path, tmp_path: Path
) -> None:
    """The bytes that are attested are those that Azure gets."""
    program.main(["FunctionApp", str(tmp_path / "into"), "--zip", "--from", str(release)])

    taken = tmp_path / "into" / "FunctionApp.zip"
    assert (release / "FunctionApp.zip").read_bytes() == taken.read_bytes()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("changed", "is not what SHA256SUMS says"),
        ("not listed", "is not what SHA256SUMS says"),
        ("gone", "is no whole release"),
        ("without checksums", "is no whole release"),
        ("no zip", "cannot be unpacked"),
    ],
)
def test_when_a_release_is_broken_then_nothing_of_it_is_taken(
    release: Path, tmp_path: Path, broken: str, told: str
) -> None:
    """By one sentence, which says what to do."""
    zip_file, sums = release / "FunctionApp.zip", release / "SHA256SUMS"
    match broken:
        case "changed":
            zip_file.write_bytes(zip_file.read_bytes() + b"x")
        case "not listed":
            sums.write_text("")
        case "gone":
            zip_file.unlink()
        case "without checksums":
            sums.unlink()
        case _:
            sums.unlink()
            zip_file.write_bytes(b"no zip")
            write_checksums(release)

    with pytest.raises(SystemExit, match=told):
        program.main(["FunctionApp", str(tmp_path / "into"), "--from", str(release)])

    assert [] == list((tmp_path / "into").iterdir())


def test_when_a_name_is_another_files_end_then_it_is_not_taken_for_it(release: Path) -> None:
    """Only a whole line says what a file is."""
    sums = release / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("  FunctionApp", "  x/FunctionApp"))

    with pytest.raises(BundleError, match="is not what SHA256SUMS says"):
        read_released(release, "FunctionApp.zip")


@pytest.mark.parametrize("words", [["all"], ["check"], ["FunctionApp", "--local"]])
def test_when_more_than_a_release_has_is_asked_for_then_the_usage_is_wrong(
    release: Path, words: list[str]
) -> None:
    """Nothing is built in its place."""
    function, *options = words

    with pytest.raises(SystemExit, match="2"):
        program.main([function, str(release.parent / "into"), "--from", str(release), *options])
