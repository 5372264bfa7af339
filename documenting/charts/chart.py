"""What a chart shows, before anything is drawn: rows of figures, targets, and the same in words."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LIGHT: Final = "light"
DARK: Final = "dark"
MODES: Final = (LIGHT, DARK)


class Role(StrEnum):
    """Whose figure a row shows, or how a promise came out; each is drawn in a way of its own."""

    OURS = "ours"
    PEER = "peer"
    FLOOR = "floor"
    """What everybody pays: a lower bound, and no contender."""
    KEPT = "kept"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its label; `text` is what stands beside it."""

    label: str
    value: float
    text: str
    role: Role
    before: float = 0.0
    """What comes before the value on the same bar and is not compared."""
    target: float | None = None
    """Where the bar would have to end, or to begin, for a promise to hold."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that belong together, under a title of their own if there is one."""

    rows: tuple[Row, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through all rows, at a value that means something."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of bars from zero or, on a logarithmic axis, which has no zero, of dots."""

    name: str
    title: str
    subtitle: str
    axis: str
    groups: tuple[Group, ...]
    lines: tuple[Line, ...] = ()
    is_logarithmic: bool = False
    legend: tuple[tuple[Role, str], ...] = ()
    summary: str = ""
    """In place of every row's figure, where there are more rows than anybody listens to."""

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, from top to bottom."""
        return tuple(row for group in self.groups for row in group.rows)

    @property
    def alternative(self) -> str:
        """Return the chart in words, for who does not see it."""
        kind = "Dots" if self.is_logarithmic else "Bars"
        said = self.summary or ". ".join(map(_group_in_words, self.groups))
        return f"{self.title}. {kind}: {self.axis}. {said}."

    def file_name(self, mode: str) -> str:
        """Return the name of the picture for a light or a dark page."""
        return f"{self.name}-{mode}.svg"


def _group_in_words(group: Group) -> str:
    rows = "; ".join(f"{row.label}: {row.text}" for row in group.rows)
    return f"{group.title}: {rows}" if group.title else rows
