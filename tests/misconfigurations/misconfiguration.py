"""One way to set the two sides up wrong."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from tests.misconfigurations.installation import Installation

type Broken = Literal["call", "store", "queue"]
type Asked = Literal["command", "command_with_log", "route"]
type SetUp = Callable[[Installation], Awaitable[None]]
"""Sets the installation up wrong; what it starts ends with the installation's `exits`, and what it
changed in the stack and in Entra ID is put back by the installation."""


@dataclass(frozen=True, slots=True)
class Misconfiguration:
    """A row of the table."""

    name: str
    wrong: str
    """What is set up wrong, in a sentence."""
    set_up: SetUp
    causes: frozenset[str]
    """The codes that `bridge doctor` may name: more than one only where two say the same."""
    breaks: Broken = "call"
    """What fails: the proxied call (for want of a token, too), `bridge sync` for want of its store,
    or the sync by the queue."""
    asked: Asked = "command"
    """Whether the doctor is asked by `bridge doctor`, by that and the authorizer's log, or by the
    running app's own route."""
    steps: int = 1
    """How many fixes it takes, where one cannot be seen before the other is made."""


def row(
    name: str,
    wrong: str,
    set_up: SetUp,
    *causes: str,
    breaks: Broken = "call",
    asked: Asked = "command",
    steps: int = 1,
) -> Misconfiguration:
    """Return a row of the table."""
    return Misconfiguration(name, wrong, set_up, frozenset(causes), breaks, asked, steps)
