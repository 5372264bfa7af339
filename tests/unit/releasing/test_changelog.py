"""The changelog's sections."""

import pytest

from releasing.changelog import release_unreleased, released_versions, section_of
from releasing.errors import ReleaseError
from releasing.semantic_version import SemanticVersion

CHANGELOG = """\
# Changelog

## [Unreleased]

### Added

- A thing.

## [0.2.0] - 2026-01-02

### Fixed

- A fault.

## [0.1.0] - 2026-01-01

- The first.
"""


def test_when_a_version_is_released_then_the_entries_stand_under_it() -> None:
    """With the day; and the next entries have a place."""
    assert (
        CHANGELOG.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.3.0] - 2026-11-22\n")
    ) == release_unreleased(CHANGELOG, SemanticVersion.parse("0.3.0"), "2026-11-22")


def test_when_a_version_is_released_then_its_section_is_what_was_unreleased() -> None:
    """And nothing is unreleased any more."""
    released = release_unreleased(CHANGELOG, SemanticVersion.parse("0.3.0"), "2026-11-22")

    assert section_of(CHANGELOG, "Unreleased") == section_of(released, "0.3.0")
    assert section_of(released, "Unreleased") == ""


@pytest.mark.parametrize("entries", ["", "### Added\n\n", "### Added\n\n-\n\n"])
def test_when_nothing_is_unreleased_then_nothing_is_released(entries: str) -> None:
    """A heading is no entry."""
    changelog = CHANGELOG.replace("### Added\n\n- A thing.\n\n", entries)

    with pytest.raises(ReleaseError) as raised:
        release_unreleased(changelog, SemanticVersion.parse("0.3.0"), "2026-11-22")

    assert "nothing_unreleased" == raised.value.code


def test_when_the_changelog_is_read_then_every_released_version_is_found() -> None:
    """In its order."""
    assert ["0.2.0", "0.1.0"] == [str(each) for each in released_versions(CHANGELOG)]


def test_when_a_section_is_the_last_then_it_ends_with_the_file() -> None:
    """There is no heading behind it."""
    assert "- The first." == section_of(CHANGELOG, "0.1.0")


@pytest.mark.parametrize(
    ("changelog", "name", "code"),
    [
        (CHANGELOG, "0.3.0", "section_missing"),
        (CHANGELOG.replace("[0.2.0]", "[0.1.0]"), "0.1.0", "section_repeated"),
        (CHANGELOG.replace("## [Unreleased]", "## Unreleased"), "Unreleased", "section_missing"),
    ],
)
def test_when_there_is_not_exactly_one_section_then_that_is_said(
    changelog: str, name: str, code: str
) -> None:
    """None is guessed."""
    with pytest.raises(ReleaseError) as raised:
        section_of(changelog, name)

    assert code == raised.value.code
