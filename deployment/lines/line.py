"""Command lines as data: what a plan shows is what a rollout runs."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Line:
    """One command. No shell reads it, so nothing in it needs quoting to be run."""

    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What is set in its environment."""
    is_equivalent: bool = False
    """Whether we make the same calls ourselves, and the line is what does it by hand."""

    def __str__(self) -> str:
        """Return it as a person would type it into a shell."""
        assignments = [f"{name}={shlex.quote(value)}" for name, value in self.variables.items()]
        # A placeholder stays readable: whoever pastes it has to fill it in first.
        words = [word if _is_placeholder(word) else shlex.quote(word) for word in self.argv]
        return " ".join((*assignments, *words))


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that a step writes before its commands."""

    path: str
    """From the checkout."""
    content: str


def _is_placeholder(word: str) -> bool:
    return word.startswith("<") and word.endswith(">")
