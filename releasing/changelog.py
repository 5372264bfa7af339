"""CHANGELOG.md in the form of Keep a Changelog 1.1.0: what is not released yet, and what is."""

import re
from typing import Final

from releasing.errors import ReleaseError
from releasing.semantic_version import SemanticVersion

_UNRELEASED: Final = "## [Unreleased]"
_SECTION: Final = re.compile(r"^## \[([^\]\n]+)\](?: - (\d{4}-\d{2}-\d{2}))?[ \t]*$", re.MULTILINE)
_ENTRY: Final = re.compile(r"^- \S", re.MULTILINE)


def released_versions(changelog: str) -> list[SemanticVersion]:
    """Return the versions that have a section, in the order in which they stand.

    Raises:
        ReleaseError: a section is named by something that is no version.

    """
    names = [found[1] for found in _SECTION.finditer(changelog)]
    return [SemanticVersion.parse(name) for name in names if name != "Unreleased"]


def release_unreleased(changelog: str, version: SemanticVersion, date: str) -> str:
    """Return the changelog with the unreleased entries under `version`, and none unreleased.

    `date` is written as ISO 8601 has it.

    Raises:
        ReleaseError: there is no section `[Unreleased]`, or no entry in it.

    """
    entries = section_of(changelog, "Unreleased")
    if not _ENTRY.search(entries):
        raise ReleaseError(
            "nothing_unreleased",
            "CHANGELOG.md has no entry under [Unreleased]: write what changed, then release it.",
        )
    return changelog.replace(f"{_UNRELEASED}\n", f"{_UNRELEASED}\n\n## [{version}] - {date}\n", 1)


def section_of(changelog: str, name: str) -> str:
    """Return what stands under the heading of a version, without the heading.

    Raises:
        ReleaseError: there is no such heading, or more than one.

    """
    headings = list(_SECTION.finditer(changelog))
    places = [place for place, heading in enumerate(headings) if heading[1] == name]
    if len(places) != 1:
        raise ReleaseError(
            "section_missing" if not places else "section_repeated",
            f"CHANGELOG.md must have one section `## [{name}]`, and has {len(places)}.",
        )
    (place,) = places
    end = headings[place + 1].start() if place + 1 < len(headings) else len(changelog)
    return changelog[headings[place].end() : end].strip("\n")
