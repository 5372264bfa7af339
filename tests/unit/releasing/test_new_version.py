"""`make version` on real repositories."""

import subprocess
from datetime import date
from pathlib import Path

import pytest

from releasing.errors import ReleaseError
from releasing.git import Checkout
from releasing.new_version import check_tag, set_version, today
from releasing.semantic_version import SemanticVersion
from tests.support.fake_clock import FakeClock

CHANGELOG = """\
# Changelog

## [Unreleased]

- A thing.

## [1.1.0] - 2026-01-01

- Another.
"""
PROJECT = """\
[project]
name = "bridge"
version = "1.1.0"

[tool.other]
version = "9.9.9"
"""
DAY = date(2026, 11, 22)


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments],  # noqa: S607 - the machine's git
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def repository(
    folder: Path, changelog: str = CHANGELOG, project: str = PROJECT, version: str = "1.1.0"
) -> Checkout:
    """A repository with one commit, whose version is tagged."""
    (folder / "CHANGELOG.md").write_text(changelog)
    (folder / "pyproject.toml").write_text(project)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message", "First")
    git(folder, "-c", "tag.gpgsign=false", "tag", f"v{version}")
    return Checkout(folder)


def release(checkout: Checkout, version: str) -> None:
    """The version that is asked for, on one day."""
    set_version(checkout, SemanticVersion.parse(version), DAY)


@pytest.mark.parametrize("version", ["1.1.1", "1.2.0", "2.0.0", "1.2.0-rc.1"])
def test_when_a_later_version_is_asked_for_then_both_files_say_it(
    tmp_path: Path, version: str
) -> None:
    """The project's own version, and no other line that looks like it."""
    release(repository(tmp_path), version)

    assert PROJECT.replace('"1.1.0"', f'"{version}"') == (tmp_path / "pyproject.toml").read_text()
    assert (
        f"## [Unreleased]\n\n## [{version}] - 2026-11-22\n\n- A thing.\n"
        in (tmp_path / "CHANGELOG.md").read_text()
    )
    assert " M CHANGELOG.md\n M pyproject.toml\n" == git(tmp_path, "status", "--porcelain")


@pytest.mark.parametrize("version", ["1.1.0", "1.0.9", "0.9.0", "1.1.0-rc.1"])
def test_when_the_version_is_not_later_then_it_is_refused(tmp_path: Path, version: str) -> None:
    """And nothing is written."""
    with pytest.raises(ReleaseError) as raised:
        release(repository(tmp_path), version)

    assert "version_not_later" == raised.value.code
    assert "" == git(tmp_path, "status", "--porcelain")


def test_when_a_released_version_is_later_than_the_projects_then_it_counts(tmp_path: Path) -> None:
    """Somebody set the project's back."""
    checkout = repository(tmp_path, CHANGELOG.replace("[1.1.0]", "[1.5.0]"))

    with pytest.raises(ReleaseError) as raised:
        release(checkout, "1.4.0")

    assert "version_not_later" == raised.value.code


def test_when_nothing_was_released_yet_then_the_projects_version_may_be(tmp_path: Path) -> None:
    """The first release is of the version that the project began with."""
    unreleased = CHANGELOG.partition("## [1.1.0]")[0]
    release(repository(tmp_path, unreleased, version="0.0.0"), "1.1.0")

    assert "## [1.1.0] - 2026-11-22" in (tmp_path / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", ["CHANGELOG.md", "new.txt", "folder/new.txt"])
def test_when_the_checkout_has_changes_then_it_is_refused(tmp_path: Path, name: str) -> None:
    """Untracked files too; the message names them."""
    checkout = repository(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("changed")

    with pytest.raises(ReleaseError, match=name) as raised:
        release(checkout, "1.2.0")

    assert "checkout_changed" == raised.value.code


def test_when_many_files_have_changed_then_the_message_stays_short(tmp_path: Path) -> None:
    """It counts the rest."""
    checkout = repository(tmp_path)
    for number in range(9):
        (tmp_path / f"new{number}").touch()

    with pytest.raises(ReleaseError, match="new4 and 4 more"):
        release(checkout, "1.2.0")


def test_when_the_tag_is_taken_then_the_version_is_refused(tmp_path: Path) -> None:
    """Somebody tagged without `make version`."""
    checkout = repository(tmp_path, version="1.2.0")

    with pytest.raises(ReleaseError) as raised:
        release(checkout, "1.2.0")

    assert "tag_taken" == raised.value.code


def test_when_nothing_is_unreleased_then_neither_file_is_written(tmp_path: Path) -> None:
    """Both or none."""
    checkout = repository(tmp_path, CHANGELOG.replace("- A thing.\n\n", ""))

    with pytest.raises(ReleaseError) as raised:
        release(checkout, "1.2.0")

    assert "nothing_unreleased" == raised.value.code
    assert "" == git(tmp_path, "status", "--porcelain")


def test_when_another_version_line_stands_first_then_nothing_is_written(tmp_path: Path) -> None:
    """The wrong line would be changed."""
    checkout = repository(tmp_path, project='[tool.first]\nversion = "9.9.9"\n\n' + PROJECT)

    with pytest.raises(ReleaseError) as raised:
        release(checkout, "1.2.0")

    assert "version_line_missing" == raised.value.code
    assert "" == git(tmp_path, "status", "--porcelain")


def test_when_a_version_was_released_then_its_tag_fits_the_checkout(tmp_path: Path) -> None:
    """What the workflow checks before it builds."""
    release(repository(tmp_path), "1.2.0")

    assert SemanticVersion.parse("1.2.0") == check_tag(tmp_path, "v1.2.0")


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("1.1.0", "tag_invalid"),
        ("vanity", "version_invalid"),
        ("v1.2.0", "tag_mismatched"),
        ("v1.1.0", "section_missing"),
    ],
)
def test_when_a_tag_is_not_the_checkouts_then_it_is_refused(
    tmp_path: Path, tag: str, code: str
) -> None:
    """A tag on the wrong commit makes no release."""
    repository(tmp_path, CHANGELOG.partition("## [1.1.0]")[0])

    with pytest.raises(ReleaseError) as raised:
        check_tag(tmp_path, tag)

    assert code == raised.value.code


def test_when_the_folder_is_no_repository_then_git_says_so(tmp_path: Path) -> None:
    """Its own words stand in the message."""
    with pytest.raises(ReleaseError, match="not a git repository") as raised:
        release(Checkout(tmp_path), "1.2.0")

    assert "git_failed" == raised.value.code


def test_when_the_day_is_asked_for_then_it_is_the_clocks_in_utc() -> None:
    """One second before midnight and at midnight."""
    assert date(2026, 11, 21) == today(FakeClock(now=1_795_305_599.0))
    assert date(2026, 11, 22) == today(FakeClock(now=1_795_305_600.0))
