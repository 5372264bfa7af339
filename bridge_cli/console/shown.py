"""Values from logs and tokens as the page may show them: bounded, printable, and never a token.

The page writes them as text only; this keeps them short and free of what would mislead a reader.
"""

from collections.abc import Mapping
from typing import Any, Final

from bridge_cli.complaint import printable
from shared.log import redacted
from shared.reasons import Reason

_MOST_CHARACTERS: Final = 160
_SHORT_ID: Final = 8
_WHAT_TO_CHANGE: Final = {reason.value: reason.what_to_change for reason in Reason}

type Json = dict[str, Any]


def shown(value: object, most: int = _MOST_CHARACTERS) -> str:
    """Return the value as one short line without control characters, tokens taken out."""
    # Bounded before it is looked through, so that a huge value costs no more than a short one.
    text = printable(redacted(str(value)[: 8 * most]).replace("\n", "\\n"))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown_or_none(value: object) -> str | None:
    """Return the value as the page may show it; None for what is missing or empty."""
    return None if value in {None, "", "-"} else shown(value)


def short_id(identifier: object) -> str:
    """Return the beginning of an ID, enough to tell a few apart."""
    text = shown(identifier)
    return text if len(text) <= _SHORT_ID else f"{text[:_SHORT_ID]}…"


def number(members: Mapping[str, Any], name: str) -> float | None:
    """Return the member if it is a number, as a log line that somebody else wrote need not have."""
    value = members.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]  # the line above looked


def what_to_change(reason: str | None) -> str:
    """Return the sentence for the owner of a refused call; empty where there is none."""
    return _WHAT_TO_CHANGE.get(reason or "", "")
