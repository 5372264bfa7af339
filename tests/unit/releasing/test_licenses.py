"""Which licenses are allowed."""

import pytest

from releasing.errors import ReleaseError
from releasing.licenses import ALLOWED, EXCEPTIONS, License, check_licenses, write_notices


def of(name: str, distribution: str = "library") -> License:
    """A distribution's license."""
    return License(distribution, "1.0", name, "You may.")


@pytest.mark.parametrize(
    "name",
    [
        "MIT",
        "Apache-2.0 OR GPL-3.0-only",
        "Apache-2.0 AND BSD-3-Clause",
        "Apache Software License; BSD License",
    ],
)
def test_when_a_license_is_permissive_then_it_is_allowed(name: str) -> None:
    """One of a choice; all of what is joined."""
    check_licenses([of(name)])


@pytest.mark.parametrize(
    "name",
    [
        "",
        "UNKNOWN",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT License; GNU General Public License v3 (GPLv3)",
        "LGPL-3.0-only OR GPL-3.0-only",
        "MIT OR (Apache-2.0 AND GPL-3.0-only)",
        "mit",
    ],
)
def test_when_nobody_has_allowed_a_license_then_it_is_refused(name: str) -> None:
    """By its name; the message says whose it is."""
    with pytest.raises(ReleaseError, match=r"library 1\.0") as raised:
        check_licenses([of("MIT"), of(name)])

    assert "license_refused" == raised.value.code


def test_when_an_exception_is_somebody_elses_then_it_does_not_count() -> None:
    """It is one distribution's, with that very license."""
    ((distribution, name),) = EXCEPTIONS

    check_licenses([of(name, distribution)])
    with pytest.raises(ReleaseError):
        check_licenses([of(name)])
    with pytest.raises(ReleaseError):
        check_licenses([of("GPL-3.0-only", distribution)])


def test_when_a_license_is_allowed_then_there_is_a_reason() -> None:
    """Every one's, and every exception's."""
    assert all([*ALLOWED.values(), *EXCEPTIONS.values()])


def test_when_notices_are_written_then_each_has_its_text() -> None:
    """And one that ships none has its license's name at least."""
    notices = write_notices([of("MIT"), License("bare", "2.0", "MIT", "")])

    assert "library 1.0\nLicense: MIT\n\nYou may.\n" in notices
    assert notices.endswith("bare 2.0\nLicense: MIT\n")
