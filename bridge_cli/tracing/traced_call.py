"""A call as its steps: who did what, when, and how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Actor(StrEnum):
    """Who takes a step, from the outside in."""

    CALLER = "caller"
    FUNCTION_APP = "function_app"
    GATEWAY = "gateway"
    AUTHORIZER = "authorizer"
    BACKEND = "backend"


CALLED: Final = "called"
"""The event of a caller's step, which no log has: it is when the first part was called."""
DECISION_REUSED: Final = "decision_reused"
"""The event of an authorizer's step that did not take place: the gateway had kept its answer."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a call."""

    actor: Actor
    event: str
    """The log line's event; `request` for the gateway's line, which names none."""
    at: float
    """When it began, in seconds since 1970; when it was logged where no duration is known."""
    milliseconds: float | None
    fields: Mapping[str, object]
    """What the line says, as far as it may be shown: bounded, printable, without tokens."""


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One call, or one run of the sync with its calls."""

    trace_id: str
    request_ids: tuple[str, ...]
    """Every ID under which a part knows it, the outermost part's first."""
    began: float
    method: str
    """Empty where no line says it, as for a run of the sync."""
    path: str
    """The route, with its parameters in braces."""
    status: int | None
    """What the caller got; None where that is not known, or not yet."""
    reason: str | None
    """The authorizer's code, or whoever's answered in its place; `allowed` if all went well."""
    is_cached: bool | None
    """Whether the gateway had the authorizer's answer already; None if none was needed."""
    steps: tuple[Step, ...]
