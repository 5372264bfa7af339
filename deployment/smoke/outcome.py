"""What one check found, and the report of all of them."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

FAILED: Final = 1
WAITS: Final = 3
"""Exit code where a right or a key was missing, and nothing failed."""

_REDACTED: Final = "[redacted]"
_SHOWN_CHARACTERS: Final = 160


class SmokeCode(StrEnum):
    """What a check says where no code of the bridge's own answers says it."""

    OPEN_TO_EVERYONE = "open_to_everyone"
    FORGED_TOKEN_ACCEPTED = "forged_token_accepted"  # noqa: S105 - a code, no secret
    ROLE_NOT_ENFORCED = "role_not_enforced"
    PROXY_OPEN_TO_EVERYONE = "proxy_open_to_everyone"
    POLICY_TOO_WIDE = "policy_too_wide"
    UNREACHABLE = "unreachable"
    NO_ANSWER_IN_TIME = "no_answer_in_time"
    ANSWER_TOO_LARGE = "answer_too_large"
    ANSWER_UNREADABLE = "answer_unreadable"
    ANSWER_UNEXPECTED = "answer_unexpected"
    METADATA_DIFFERS = "metadata_differs"
    CHALLENGE_DIFFERS = "challenge_differs"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code, no secret
    KEY_REFUSED = "key_refused"
    SYNC_NOT_FINISHED = "sync_not_finished"
    ALARM_MISSING = "alarm_missing"
    ALARM_UNDETERMINED = "alarm_undetermined"
    UNDECIDED_ALARM = "undecided_alarm"
    CALLER_MAY_WRITE = "caller_may_write"
    AZURE_CLI_MISSING = "azure_cli_missing"
    SIGN_IN_MISSING = "sign_in_missing"
    SIGN_IN_REFUSED = "sign_in_refused"
    KEYS_NOT_READABLE = "keys_not_readable"
    TIMER_NOT_SEEN = "timer_not_seen"
    AWS_SIGN_IN_MISSING = "aws_sign_in_missing"
    AWS_NOT_ALLOWED = "aws_not_allowed"
    TARGET_INCOMPLETE = "target_incomplete"


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """It could not be made: whoever asks lacks a right, a key or a sign-in."""
    NOT_APPLICABLE = "not_applicable"
    """The target says that it has no such thing; nothing is known from it."""


class CheckFailedError(Exception):
    """The check found something wrong; the advice says in one sentence what to change."""

    outcome = Outcome.FAILED

    def __init__(self, code: str, came: str, advice: str, *, lets_others_in: bool = False) -> None:
        """Take the stable code, what came in place of what was expected, and the advice."""
        super().__init__(advice)
        self.code = str(code)
        self.came = came
        self.advice = advice
        self.lets_others_in = lets_others_in
        """Whether somebody got in who must not: the one fault that cannot wait."""


class CheckBlockedError(CheckFailedError):
    """The check could not be made; the advice says which right, key or sign-in is missing."""

    outcome = Outcome.BLOCKED


class NotApplicableError(Exception):
    """The target has declared that it has no such thing; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check as it went."""

    id: str
    asked: str
    expected: str
    came: str
    outcome: Outcome
    seconds: float
    code: str | None = None
    advice: str | None = None
    lets_others_in: bool = False

    @property
    def finding(self) -> str | None:
        """What came and what to change, in one sentence; None if there is nothing to change."""
        if self.advice is None:
            return None
        verb = "could not be made" if self.outcome is Outcome.BLOCKED else "failed"
        return f"{self.id} {verb}: {self.came}. {self.advice} ({self.code})"

    def to_members(self) -> dict[str, object]:
        """Return the result's members by name."""
        return {
            "id": self.id,
            "outcome": self.outcome.value,
            "asked": self.asked,
            "expected": self.expected,
            "came": self.came,
            "seconds": round(self.seconds, 3),
            "code": self.code,
            "advice": self.advice,
            "lets_others_in": self.lets_others_in,
        }

    def without(self, secrets: Collection[str]) -> "CheckResult":
        """Return the result with no secret in it, whatever a peer has sent back."""
        return CheckResult(
            self.id,
            self.asked,
            self.expected,
            _redact(self.came, secrets),
            self.outcome,
            self.seconds,
            self.code and _redact(self.code, secrets),
            self.advice and _redact(self.advice, secrets),
            self.lets_others_in,
        )


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """Every check that was asked for, in order."""

    results: Sequence[CheckResult]

    @property
    def lets_others_in(self) -> bool:
        """Whether somebody got in who must not."""
        return any(result.lets_others_in for result in self.results)

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for each check that did not pass; whoever gets in who must not, first."""
        loudest_first = sorted(self.results, key=lambda each: not each.lets_others_in)
        return tuple(each.finding for each in loudest_first if each.finding is not None)

    @property
    def summary(self) -> str:
        """How many checks ended how."""
        outcomes = [result.outcome for result in self.results]
        counts = (
            f"{outcomes.count(each)} {each.replace('_', ' ')}" for each in dict.fromkeys(outcomes)
        )
        return f"{len(outcomes)} checks: {', '.join(counts)}"

    @property
    def exit_code(self) -> int:
        """Return 0 if all is well, 1 if a check failed, else 3 if one could not be made."""
        worst = 0
        for result in self.results:
            match result.outcome:
                case Outcome.FAILED:
                    return FAILED
                case Outcome.BLOCKED:
                    worst = WAITS
                case Outcome.PASSED | Outcome.NOT_APPLICABLE:
                    pass
                case _:
                    assert_never(result.outcome)
        return worst

    def to_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps(
            {
                "exit_code": self.exit_code,
                "lets_others_in": self.lets_others_in,
                "checks": [result.to_members() for result in self.results],
            }
        )


def shown(text: object) -> str:
    """Return what a peer has sent as a short line that a terminal can show."""
    line = re.sub(r"[^\x20-\x7e]+", " ", str(text)[: _SHOWN_CHARACTERS * 4])
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 3]}..."


def _redact(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        # Also where only the beginning of it fits into what is shown.
        for piece in (secret, secret[:40]):
            text = text.replace(piece, _REDACTED)
    return text
