"""Gives the checkout its next version: in CHANGELOG.md and in pyproject.toml."""

import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from releasing.changelog import release_unreleased, released_versions, section_of
from releasing.errors import ReleaseError
from releasing.git import Checkout
from releasing.semantic_version import SemanticVersion
from shared.clock import Clock

_VERSION_LINE: Final = re.compile(r'(?<=^version = ")[^"\n]*(?="$)', re.MULTILINE)
_MOST_CHANGES_NAMED: Final = 5


def today(clock: Clock) -> date:
    """Return the date in UTC, which is the same for whoever releases at this moment."""
    return datetime.fromtimestamp(clock.now(), UTC).date()


def set_version(checkout: Checkout, version: SemanticVersion, on: date) -> None:
    """Write the version into both files, with the day of its release.

    Nothing else is done: the commit and the tag are their author's.

    Raises:
        ReleaseError: the checkout has changes, nothing is unreleased, or the version is not later
            than every released one.

    """
    _refuse_changes(checkout)
    changelog_file = checkout.root / "CHANGELOG.md"
    project_file = checkout.root / "pyproject.toml"
    changelog = changelog_file.read_text(encoding="utf-8")
    project = project_file.read_text(encoding="utf-8")
    _refuse_order(changelog, project, version)
    if checkout.has_tag(tag_of(version)):
        raise ReleaseError("tag_taken", f"There is a tag {tag_of(version)}: take a later version.")
    # Both are made before either is written.
    new_changelog = release_unreleased(changelog, version, on.isoformat())
    new_project = _with_version(project, version)
    changelog_file.write_text(new_changelog, encoding="utf-8")
    project_file.write_text(new_project, encoding="utf-8")


def check_tag(root: Path, tag: str) -> SemanticVersion:
    """Return the version that a tag releases, if the checkout is that version.

    Raises:
        ReleaseError: the tag is no `v` and a version, pyproject.toml has another one, or
            CHANGELOG.md has no section for it.

    """
    if not tag.startswith("v"):
        raise ReleaseError("tag_invalid", f"{tag!r} is no tag of a release, such as v1.2.0.")
    version = SemanticVersion.parse(tag.removeprefix("v"))
    declared = declared_version((root / "pyproject.toml").read_text(encoding="utf-8"))
    if declared != version:
        raise ReleaseError(
            "tag_mismatched",
            f"The tag {tag} stands on version {declared}: run `make version`, commit, then tag.",
        )
    section_of((root / "CHANGELOG.md").read_text(encoding="utf-8"), str(version))
    return version


def tag_of(version: SemanticVersion) -> str:
    """Return the name of the tag that starts the release of a version."""
    return f"v{version}"


def declared_version(project: str) -> SemanticVersion:
    """Return the version in the text of a pyproject.toml.

    Raises:
        ReleaseError: it is no version.

    """
    return SemanticVersion.parse(tomllib.loads(project)["project"]["version"])


def _refuse_changes(checkout: Checkout) -> None:
    changes = checkout.changes()
    if changes:
        named = ", ".join(change[3:] for change in changes[:_MOST_CHANGES_NAMED])
        more = len(changes) - _MOST_CHANGES_NAMED
        raise ReleaseError(
            "checkout_changed",
            f"The checkout has changes ({named}{f' and {more} more' if more > 0 else ''}):"
            " commit them or take them back, so that the version's commit has nothing else in it.",
        )


def _refuse_order(changelog: str, project: str, version: SemanticVersion) -> None:
    declared = declared_version(project)
    released = released_versions(changelog)
    newest = max(released, default=None)
    # A first version that nobody has released may be released as it stands.
    if version < declared or (newest is not None and version <= newest):
        raise ReleaseError(
            "version_not_later",
            f"{version} is not later than {max([declared, *released])}: take a later version.",
        )


def _with_version(project: str, version: SemanticVersion) -> str:
    changed = _VERSION_LINE.sub(str(version), project, count=1)
    if declared_version(changed) != version:
        raise ReleaseError(
            "version_line_missing",
            'pyproject.toml must have a line `version = "…"` under [project], before any other.',
        )
    return changed
