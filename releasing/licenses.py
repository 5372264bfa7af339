"""The licenses of everything that is deployed: listed, and refused where nobody allowed them."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from releasing.errors import ReleaseError
from releasing.locks import LockedEnvironments

ALLOWED: Final[Mapping[str, str]] = {
    "0BSD": "asks for nothing",
    "Apache Software License": "Apache-2.0, as older metadata name it",
    "Apache-2.0": "permissive, with a patent grant; its text and notices go with a release",
    "BSD License": "two or three clauses, as older metadata name them; its text goes along",
    "BSD-2-Clause": "permissive; its text goes with a release",
    "BSD-3-Clause": "permissive; its text goes with a release",
    "ISC": "permissive; its text goes with a release",
    "MIT": "permissive; its text goes with a release",
    "MIT License": "MIT, as older metadata name it",
    "MIT-0": "asks for nothing",
    "PSF-2.0": "permissive; its text goes with a release",
    "Python Software Foundation License": "PSF-2.0, as older metadata name it",
}
"""License names as metadata write them, each with why it may be deployed."""

EXCEPTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("certifi", "Mozilla Public License 2.0 (MPL 2.0)"): (
        "copyleft by file: its list of authorities is deployed as published, source and license"
        " with it"
    ),
}
"""Licenses that only one distribution may have, by its name, each with the reason."""


@dataclass(frozen=True, slots=True, order=True)
class License:
    """What one distribution says of its license."""

    distribution: str
    version: str
    name: str
    """As the metadata write it: an SPDX expression, or names separated by semicolons."""
    text: str
    """Its texts and notices; empty if it ships none."""

    def is_allowed(self) -> bool:
        """Return whether what it says is in `ALLOWED`, or is its own exception.

        Of licenses joined by OR one must be allowed; of those joined by AND or a semicolon, all.
        Parentheses are refused, because no name in `ALLOWED` has one.
        """
        if (self.distribution, self.name) in EXCEPTIONS:
            return True
        return all(
            any(choice.strip() in ALLOWED for choice in every.split(" OR "))
            for every in re.split(r";| AND ", self.name)
        )


@dataclass(frozen=True, slots=True)
class LicenseReader:
    """Asks pip-licenses what an environment made of a lock says of its licenses."""

    environments: LockedEnvironments
    pip_licenses: Path
    """The program `pip-licenses`."""

    def read(self, locks: Iterable[Path]) -> list[License]:
        """Return the license of every distribution of the locks, each once.

        Raises:
            ReleaseError: a lock could not be installed, or its environment not be read.

        """
        return sorted({license_ for lock in locks for license_ in self._of(lock)})

    def _of(self, lock: Path) -> list[License]:
        command: list[str | Path] = [self.pip_licenses, "--python", self.environments.python(lock)]
        # pip-licenses hides what it takes for the system's own unless it is asked for all.
        command += ["--with-system", "--with-license-file", "--with-notice-file"]
        command += ["--no-license-path", "--format", "json"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our tool, our environment
        if result.returncode != 0:
            raise ReleaseError("licenses_failed", f"pip-licenses failed: {result.stderr.strip()}")
        return [
            License(
                re.sub(r"[-_.]+", "-", each["Name"]).lower(),
                each["Version"],
                each["License"],
                "\n\n".join(_texts(each)),
            )
            for each in json.loads(result.stdout)
        ]


def check_licenses(licenses: Iterable[License]) -> None:
    """Raise unless every license is allowed.

    Raises:
        ReleaseError: some are not; the message names them all.

    """
    refused = [each for each in licenses if not each.is_allowed()]
    if refused:
        named = "; ".join(f"{each.distribution} {each.version} ({each.name})" for each in refused)
        raise ReleaseError(
            "license_refused",
            f"Nobody has allowed these licenses: {named}. Take another library, or allow it in"
            " releasing/licenses.py with the reason.",
        )


def write_notices(licenses: Iterable[License]) -> str:
    """Return one text with every distribution, its license and the texts that must go with it."""
    parts = ["What azure-aws-bridge is deployed with, beside its own code (MIT, see LICENSE).\n"]
    for each in licenses:
        heading = f"{each.distribution} {each.version}\nLicense: {each.name}"
        parts.append(f"{'=' * 80}\n{heading}\n\n{each.text}".rstrip() + "\n")
    return "\n".join(parts)


def _texts(listed: Mapping[str, str]) -> list[str]:
    texts = (listed.get("LicenseText", ""), listed.get("NoticeText", ""))
    return [text.strip() for text in texts if text.strip() not in {"", "UNKNOWN"}]
