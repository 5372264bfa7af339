"""What the matrix says: a line for each finding, a table of what was tried at the end."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Self

from tests.crash_matrix.invariants import Kind
from tests.crash_matrix.stage import Outcome


@dataclass(frozen=True, slots=True)
class Line:
    """One trial's outcome, as one process tells it to another."""

    store: str
    scenario: str
    number: int
    group: str
    title: str
    was_reached: bool
    ended: str
    findings: list[tuple[str, str]]

    @classmethod
    def of(cls, store: str, scenario: str, outcome: Outcome) -> Self:
        """Return the line for an outcome."""
        return cls(
            store,
            scenario,
            outcome.trial.number,
            outcome.trial.group,
            outcome.trial.title,
            outcome.was_reached,
            outcome.ended,
            [(finding.kind.value, finding.what) for finding in outcome.findings],
        )

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))


def findings_text(line: Line) -> str:
    """Return what was found in a trial, and how to try it again."""
    again = f"make crash-matrix STORE={line.store} SCENARIO={line.scenario} POINT={line.number}"
    found = "\n".join(f"    {kind}: {what}" for kind, what in line.findings[:5])
    more = len(line.findings) - 5
    return (
        f"{line.store} {line.scenario} {line.number}: {line.title}; the run: {line.ended}\n{found}"
        + (f"\n    and {more} more" if more > 0 else "")
        + f"\n    again: {again}"
    )


def table(lines: Iterable[Line]) -> Iterator[str]:
    """Yield the rows of what was tried, by store, scenario and what went wrong."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for line in lines:
        for key in (
            (line.store, line.scenario, line.group),
            (line.store, line.scenario, "all"),
            ("all", "all", "all"),
        ):
            counted = counts.setdefault(key, Counter())
            counted["tried"] += 1
            counted["reached"] += line.was_reached
            counted.update({kind for kind, _ in line.findings})
    columns = ["tried", "reached", *(kind.value for kind in Kind)]
    yield _row(("store", "scenario", "what went wrong"), columns)
    for key in sorted(counts, key=_order):
        yield _row(key, [str(counts[key][column]) for column in columns])


def _order(key: tuple[str, str, str]) -> tuple[bool, str, str, bool, str]:
    store, scenario, group = key
    return store == "all", store, scenario, group == "all", group


def _row(names: tuple[str, str, str], values: Iterable[str]) -> str:
    store, scenario, group = names
    return f"{store:7} {scenario:11} {group:22}" + "".join(f"{value:>12}" for value in values)


def found_kinds(lines: Iterable[Line]) -> Mapping[str, int]:
    """Return how many trials failed in which way."""
    return Counter(kind for line in lines for kind in {kind for kind, _ in line.findings})
