"""Versions as Semantic Versioning 2.0.0 writes and orders them."""

import re
from functools import total_ordering
from typing import Final, NamedTuple, Self

from releasing.errors import ReleaseError

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,8})"
# A part of digits has no leading zero; section 9. Build metadata (section 10) has no order, so no
# release of ours has any.
_IDENTIFIER: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION: Final = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
)


class _Core(NamedTuple):
    major: int
    minor: int
    patch: int


@total_ordering
class SemanticVersion:
    """A version such as 1.2.0 or 2.0.0-rc.1, ordered by section 11."""

    def __init__(self, core: _Core, identifiers: tuple[str, ...]) -> None:
        """Take the three numbers, and the parts of the pre-release if it is one."""
        self._core = core
        self._identifiers = identifiers

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the version that the text writes.

        Raises:
            ReleaseError: it is no version, or has build metadata.

        """
        found = _VERSION.fullmatch(text)
        if found is None:
            raise ReleaseError(
                "version_invalid", f"{text!r} is no version like 1.2.0 or 2.0.0-rc.1 (semver.org)."
            )
        major, minor, patch, identifiers = found.groups()
        return cls(
            _Core(int(major), int(minor), int(patch)),
            tuple(identifiers.split(".")) if identifiers else (),
        )

    @property
    def is_prerelease(self) -> bool:
        """Return whether it comes before the release that it is named after."""
        return bool(self._identifiers)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        core = ".".join(str(number) for number in self._core)
        return f"{core}-{'.'.join(self._identifiers)}" if self._identifiers else core

    def __eq__(self, other: object) -> bool:
        """Return whether both are written alike."""
        return isinstance(other, SemanticVersion) and self._order() == other._order()

    def __lt__(self, other: "SemanticVersion") -> bool:
        """Return whether this one comes earlier."""
        return self._order() < other._order()

    def __hash__(self) -> int:
        """Return the same for versions that are equal."""
        return hash(self._order())

    def _order(self) -> tuple[_Core, bool, tuple[tuple[bool, int, str], ...]]:
        # Numbers come before words, and a shorter row before the longer one that starts with it.
        parts = tuple(
            (False, int(part), "") if part.isdecimal() else (True, 0, part)
            for part in self._identifiers
        )
        return self._core, not parts, parts
