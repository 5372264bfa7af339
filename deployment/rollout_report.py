"""How a rollout ended, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from deployment.lines.line import Line
from deployment.steps.step import Step
from deployment.values import Value

FAILED: Final = 1
WAITS: Final = 3
"""The exit code where nothing failed and something waits for somebody else."""


class Status(StrEnum):
    """How a step ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    """It is as it should be already."""
    WAITING = "waiting"
    """Somebody else must take it, or a step before it."""
    FAILED = "failed"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step ended."""

    step: Step
    status: Status
    message: str
    code: str = ""
    """A stable code, where it failed or waits."""
    lines: tuple[Line, ...] = ()
    """What somebody else is to run."""
    details: tuple[str, ...] = ()
    """What it found, one sentence each, where the message only counts."""
    lets_others_in: bool = False
    """Whether it found that somebody gets in who must not: the one fault that cannot wait."""


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """How a rollout ended."""

    environment: str
    results: tuple[StepResult, ...]
    values: Mapping[Value, str]

    @property
    def exit_code(self) -> int:
        """0 if everything is there, 1 if a step failed, 3 if one waits."""
        statuses = {result.status for result in self.results}
        if Status.FAILED in statuses:
            return FAILED
        return WAITS if Status.WAITING in statuses else 0

    @property
    def has_changed(self) -> bool:
        """Whether anything was changed in a cloud."""
        return any(result.status is Status.CHANGED for result in self.results)

    @property
    def lets_others_in(self) -> bool:
        """Whether somebody gets in who must not."""
        return any(result.lets_others_in for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "environment": self.environment,
            "exit_code": self.exit_code,
            "changed": self.has_changed,
            "lets_others_in": self.lets_others_in,
            "values": {value.value: text for value, text in self.values.items()},
            "steps": [
                {
                    "id": result.step.id.value,
                    "who": result.step.who.value,
                    "status": result.status.value,
                    "message": result.message,
                    "code": result.code or None,
                    "details": list(result.details),
                    "commands": [list(line.argv) for line in result.lines],
                }
                for result in self.results
            ],
        }


class RolloutReporter(Protocol):
    """Shows a person what a rollout is doing."""

    def started(self, step: Step) -> None:
        """Show that a step begins."""

    def said(self, line: str) -> None:
        """Show a line of what the step's programs say."""

    def ended(self, result: StepResult) -> None:
        """Show how the step ended."""
