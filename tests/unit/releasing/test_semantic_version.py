"""Versions as Semantic Versioning has them."""

from itertools import pairwise

import pytest

from releasing.errors import ReleaseError
from releasing.semantic_version import SemanticVersion

IN_ORDER = [
    "0.0.1",
    "0.1.0",
    "0.10.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "2.0.0-0",
    "2.0.0",
    "10.0.0",
]
"""The example of section 11, and what comes before and after."""


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(IN_ORDER)))
def test_when_versions_are_compared_then_the_order_is_the_specifications(
    earlier: str, later: str
) -> None:
    """Numbers as numbers, and a pre-release before its release."""
    assert SemanticVersion.parse(earlier) < SemanticVersion.parse(later)
    assert not SemanticVersion.parse(later) < SemanticVersion.parse(earlier)


@pytest.mark.parametrize("text", IN_ORDER)
def test_when_a_version_is_read_then_it_is_written_alike(text: str) -> None:
    """And equals itself."""
    version = SemanticVersion.parse(text)

    assert text == str(version)
    assert {version} == {SemanticVersion.parse(text)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "v1.2.3",
        "01.2.3",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3-a..b",
        "1.2.3+build",
        "1.2.3\n",
        " 1.2.3",
        "1.2.٣",
        "1.2.3-rc_1",
        "9999999999.0.0",
    ],
)
def test_when_a_text_is_no_version_then_it_is_refused(text: str) -> None:
    """Build metadata too: it has no order."""
    with pytest.raises(ReleaseError) as raised:
        SemanticVersion.parse(text)

    assert "version_invalid" == raised.value.code


@pytest.mark.parametrize(("text", "is_one"), [("1.0.0-rc.1", True), ("1.0.0", False)])
def test_when_a_version_is_a_prerelease_then_it_says_so(text: str, *, is_one: bool) -> None:
    """By what stands behind the hyphen."""
    assert is_one == SemanticVersion.parse(text).is_prerelease


def test_when_a_version_is_compared_with_something_else_then_they_differ() -> None:
    """Not even with its own text."""
    assert SemanticVersion.parse("1.0.0") != "1.0.0"
