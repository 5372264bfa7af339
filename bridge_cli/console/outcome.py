"""What came of a button: one sentence, and whether the promise that it shows was kept."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether what happened is what was promised."""

    KEPT = "kept"
    BROKEN = "broken"
    UNCLEAR = "unclear"
    """It could not be seen now, for the reason that the sentence gives."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a button did."""

    verdict: Verdict
    sentence: str
    request_ids: tuple[str, ...] = ()
    """Of the calls that it made, as the gateway names them; the page leads to the last one."""


def outcome_of(is_kept: bool, sentence: str, *request_ids: str) -> Outcome:  # noqa: FBT001 - reads as a sentence
    """Return the outcome of what either was as promised or was not."""
    return Outcome(Verdict.KEPT if is_kept else Verdict.BROKEN, sentence, request_ids)


def unclear(sentence: str, *request_ids: str) -> Outcome:
    """Return the outcome of what showed nothing."""
    return Outcome(Verdict.UNCLEAR, sentence, request_ids)
