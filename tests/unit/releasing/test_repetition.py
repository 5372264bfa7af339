"""Builds that repeat, and builds that do not, in checkouts as small as can be."""

import shutil
from pathlib import Path

import pytest

from releasing.errors import ReleaseError
from releasing.repetition import (
    SURROUNDINGS,
    build_repeatedly,
    compare,
    compare_with_release,
    copy_files,
)

PROGRAM = """\
import os, sys, time
from pathlib import Path

into = Path(sys.argv[2])
into.mkdir()
built = into / "Function.zip"
"""

FAULTS = {
    "the folder": "built.write_text(os.getcwd())",
    "the time zone": "built.write_text(str(time.localtime(0)))",
    "the hash seed": "built.write_text(str(hash('a text')))",
    "the rights of new files": "built.write_text(oct(os.umask(0)))",
    "the time": "built.write_text(str(time.time_ns()))",
    "the order of files": "built.write_text(str(sorted(Path('.').glob('*.txt'),"
    " key=lambda file: file.stat().st_mtime_ns)))",
    "another file": "(into / os.path.basename(os.getcwd())).touch()",
}
"""What a build may take from its surroundings by mistake."""


def checkout(folder: Path, fault: str = "built.write_text('the same')") -> tuple[Path, list[Path]]:
    """A checkout whose program for releases has only one line of its own, and its files."""
    files = {
        Path("releasing/__init__.py"): "",
        Path("releasing/__main__.py"): PROGRAM + fault,
        Path("one.txt"): "1",
        Path("two.txt"): "2",
    }
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return folder, list(files)


def build(tmp_path: Path, fault: str = "built.write_text('the same')") -> list[Path]:
    """The folders of two builds."""
    root, files = checkout(tmp_path / "checkout", fault)
    uv = tmp_path / "uv"
    uv.touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return build_repeatedly(root, files, uv, scratch)


def test_when_a_build_repeats_then_its_checksums_are_returned(tmp_path: Path) -> None:
    """Those of both."""
    builds = build(tmp_path)

    assert 2 == len(builds) == len(SURROUNDINGS)
    assert ["Function.zip"] == list(compare(builds))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_when_a_build_takes_something_of_its_surroundings_then_the_builds_differ(
    tmp_path: Path, fault: str
) -> None:
    """The check bites, for each thing in which the two differ."""
    with pytest.raises(ReleaseError) as raised:
        compare(build(tmp_path, fault))

    assert "builds_differ" == raised.value.code


def test_when_a_build_fails_then_its_words_are_told(tmp_path: Path) -> None:
    """And nothing is compared."""
    with pytest.raises(ReleaseError, match="no flux capacitor") as raised:
        build(tmp_path, "sys.exit('no flux capacitor')")

    assert "build_failed" == raised.value.code


def test_when_nothing_is_built_then_that_is_no_release(tmp_path: Path) -> None:
    """Two times nothing are the same bytes."""
    with pytest.raises(ReleaseError) as raised:
        compare(build(tmp_path, "pass"))

    assert "nothing_built" == raised.value.code


def test_when_files_are_copied_then_their_rights_go_along(tmp_path: Path) -> None:
    """A script stays one."""
    script = tmp_path / "one" / "scripts" / "run"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    copy_files(tmp_path / "one", [Path("scripts/run")], tmp_path / "two")

    assert 0o755 == (tmp_path / "two" / "scripts" / "run").stat().st_mode & 0o777


def test_when_the_sources_build_the_release_then_nothing_is_said(tmp_path: Path) -> None:
    """What goes along with the packages is not built here."""
    one, _ = builds = build(tmp_path)

    compare_with_release(one, compare(builds) | {"CHANGES.md": "0" * 64})


@pytest.mark.parametrize(
    "released",
    [
        {"Function.zip": "0" * 64},
        {"Function.zip": None, "Other.zip": "0" * 64},
        {"Other.zip": "0" * 64},
        {},
    ],
    ids=["another", "one more", "one for another", "none"],
)
def test_when_the_sources_build_something_else_then_the_release_is_not_theirs(
    tmp_path: Path, released: dict[str, str | None]
) -> None:
    """Other bytes, one package more, one less, or none at all."""
    one, _ = builds = build(tmp_path)
    known = compare(builds)

    with pytest.raises(ReleaseError) as raised:
        compare_with_release(one, {name: each or known[name] for name, each in released.items()})

    assert "release_differs" == raised.value.code


def test_when_a_release_has_no_packages_then_nothing_is_proven(tmp_path: Path) -> None:
    """An empty build would be the same as an empty release."""
    one, _ = build(tmp_path)
    shutil.rmtree(one)
    one.mkdir()

    with pytest.raises(ReleaseError) as raised:
        compare_with_release(one, {"CHANGES.md": "0" * 64})

    assert "release_differs" == raised.value.code
