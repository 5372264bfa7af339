"""The doctor's report: one result a check, the verdict over all of them, and both as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from azure_function_app.doctor.cause import Cause


class CheckName(StrEnum):
    """What is checked, in the order of the report."""

    SETTINGS = "settings"
    VERSIONS = "versions"
    CLOCK = "clock"
    CREDENTIAL = "credential"
    TOKEN = "token"  # noqa: S105 - a name
    TOKEN_CONTRACT = "token_contract"  # noqa: S105 - a name
    DISCOVERY = "discovery"
    KEY_SET = "key_set"
    API_REACHABLE = "api_reachable"
    API_METADATA = "api_metadata"
    API_CALL = "api_call"
    STORE = "store"
    QUEUE = "queue"


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    """Nothing is broken by it now; it will surprise somebody later."""
    NOT_CHECKED = "not_checked"
    """Another check's failure came first, or there was no time left."""


class Verdict(StrEnum):
    """What all of the checks say together."""

    WELL = "well"
    ILL = "ill"
    UNSURE = "unsure"
    """Nothing failed, and something could not be checked."""


class Place(StrEnum):
    """Where a fix is made."""

    FUNCTION_APP = "function_app"
    AWS_STACK = "aws_stack"
    ENTRA = "entra"
    NETWORK = "network"
    STORAGE = "storage"
    MACHINE = "machine"
    AWS_OPERATIONS = "aws_operations"


@dataclass(frozen=True, slots=True)
class Fix:
    """What to change."""

    sentence: str
    where: Place
    setting: str | None = None
    """The app setting, stack parameter or property of a registration."""
    value: str | None = None
    """What to set it to, where that is known."""
    value_from: str | None = None
    """Where that value is read, where it is not known."""

    @property
    def target(self) -> tuple[Place, str | None, str | None]:
        """Return what the fix changes; two fixes of one target are one.

        An account's role assignments are several: each role is one of its own.
        """
        role = self.value if self.setting == "roleAssignments" else None
        return self.where, self.setting, role

    def to_members(self) -> dict[str, str | None]:
        """Return the JSON members."""
        return {
            "sentence": self.sentence,
            "where": self.where,
            "setting": self.setting,
            "value": self.value,
            "value_from": self.value_from,
        }


@dataclass(frozen=True, slots=True)
class Check:
    """One check's result."""

    name: CheckName
    status: Status
    found: str
    """One short sentence."""
    cause: Cause | None = None
    fix: Fix | None = None
    milliseconds: float = 0.0

    @classmethod
    def passed(cls, name: CheckName, found: str) -> Self:
        """Return a check that passed."""
        return cls(name, Status.PASSED, found)

    @classmethod
    def failed(cls, name: CheckName, found: str, cause: Cause, fix: Fix) -> Self:
        """Return a check that failed, with its cause and what to change."""
        return cls(name, Status.FAILED, found, cause, fix)

    @classmethod
    def warned(cls, name: CheckName, found: str, cause: Cause, fix: Fix) -> Self:
        """Return a check whose finding breaks nothing now."""
        return cls(name, Status.WARNED, found, cause, fix)

    @classmethod
    def needs(cls, name: CheckName, *needed: str, found: str = "") -> Self:
        """Return a check that could not be made, or says nothing of its own, without others."""
        return cls(name, Status.NOT_CHECKED, f"{found}needs {' and '.join(needed)}")

    @classmethod
    def without_settings(cls, name: CheckName, broken: Sequence[str]) -> Self:
        """Return a check that could not be made for settings that are not right."""
        found = f"{', '.join(broken)} not set right; "
        return cls.needs(name, CheckName.SETTINGS, found=found)

    @classmethod
    def broke(cls, name: CheckName, kind: str | None) -> Self:
        """Return a check that the doctor itself failed at."""
        return cls(
            name,
            Status.NOT_CHECKED,
            f"the doctor failed at it ({kind or 'nothing was asked'})",
            Cause.PROBE_FAILED,
            Fix(
                "Report this: it is a fault of the doctor, and says nothing about the app.",
                Place.FUNCTION_APP,
            ),
        )

    def to_members(self) -> dict[str, Any]:
        """Return the JSON members."""
        return {
            "check": self.name,
            "status": self.status,
            "found": self.found,
            "cause": self.cause,
            "fix": None if self.fix is None else self.fix.to_members(),
            "milliseconds": round(self.milliseconds, 1),
        }


@dataclass(frozen=True, slots=True)
class CallMark:
    """What finds the doctor's own call to the API in the logs of AWS."""

    began_at: float
    """Seconds since 1970."""
    ended_at: float
    request_id: str | None
    """The gateway's, if it gave one."""
    trace_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found."""

    version: str
    at: str
    """`laptop` or `function_app`."""
    seconds: float
    checks: tuple[Check, ...]
    call: CallMark | None = None
    """The call that the API answered, if there was one; not part of the JSON."""

    @property
    def verdict(self) -> Verdict:
        """Return what the checks say together."""
        statuses = {check.status for check in self.checks}
        if Status.FAILED in statuses:
            return Verdict.ILL
        return Verdict.UNSURE if Status.NOT_CHECKED in statuses else Verdict.WELL

    def check(self, name: CheckName) -> Check:
        """Return the check of that name."""
        return next(check for check in self.checks if check.name is name)

    def with_check(self, changed: Check) -> "Report":
        """Return the report with this check in place of the one of its name."""
        checks = tuple(changed if check.name is changed.name else check for check in self.checks)
        return replace(self, checks=without_repeats(checks))

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        return json.dumps(
            {
                "verdict": self.verdict,
                "seconds": round(self.seconds, 3),
                "version": self.version,
                "at": self.at,
                "checks": [check.to_members() for check in self.checks],
            }
        )


def without_repeats(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Return the checks, each failure as not checked that has an earlier one's cause or fix."""
    kept: list[Check] = []
    first_of: dict[object, CheckName] = {}
    for check in checks:
        if check.status is not Status.FAILED or check.fix is None:
            kept.append(check)
            continue
        marks: list[object] = [check.cause]
        if check.fix.setting is not None:
            marks.append(check.fix.target)
        first = next((first_of[mark] for mark in marks if mark in first_of), None)
        if first is None:
            first_of |= dict.fromkeys(marks, check.name)
            kept.append(check)
        else:
            follows = Check.needs(check.name, first, found=f"{check.found.rstrip('.')}; ")
            kept.append(replace(follows, milliseconds=check.milliseconds))
    return tuple(kept)
