"""Checkov, run over the templates of either cloud, with what it did not look at made visible."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Literal, NamedTuple

PROGRAM = Path(__file__).parents[2] / ".tools" / "checkov" / "bin" / "checkov"


class Finding(NamedTuple):
    """One check that one resource failed."""

    check_id: str
    resource: str
    """As Checkov names it: `<type>.<name in the file>`."""


class CheckovReport(NamedTuple):
    """What Checkov found, and how much it looked at."""

    failed: frozenset[Finding]
    passed: frozenset[Finding]

    @property
    def resources(self) -> frozenset[str]:
        """Return every resource that at least one check was run on."""
        return frozenset(finding.resource for finding in self.failed | self.passed)

    @property
    def failed_ids(self) -> frozenset[str]:
        """Return the ID of each check that something failed."""
        return frozenset(finding.check_id for finding in self.failed)


def run_checkov(framework: Literal["bicep", "cloudformation"], folder: Path) -> CheckovReport:
    """Return what Checkov says of the folder's files, without the network.

    Raises:
        AssertionError: a file could not be parsed, a comment in one skips a check, or nothing was
            looked at, all of which Checkov itself passes over.

    """
    with tempfile.TemporaryDirectory() as home:
        finished = subprocess.run(
            [
                *(PROGRAM, "--framework", framework, "--skip-download", "--compact"),
                *("--output", "json", "--directory", folder.resolve()),
            ],
            cwd=home,
            # It would read a .checkov.yaml from either of the two.
            env={"HOME": home, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
    assert finished.stdout, finished.stderr
    report = json.loads(finished.stdout)
    assert "results" in report, f"Checkov looked at nothing in {folder}"
    results = report["results"]
    unparsed = results["parsing_errors"]
    assert not unparsed, f"Checkov cannot parse {unparsed}"
    skipped = results["skipped_checks"]
    assert not skipped, "skip checks by a list with reasons, not by comments"
    return CheckovReport(
        failed=_findings(results["failed_checks"]), passed=_findings(results["passed_checks"])
    )


def _findings(checks: list[dict[str, str]]) -> frozenset[Finding]:
    return frozenset(Finding(check["check_id"], check["resource"]) for check in checks)
