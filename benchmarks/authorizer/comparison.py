"""Two checkouts of our authorizer against each other, in one run.

Both are built by this checkout's recipe and entered where Lambda enters them, so that the other one
may be as old as that entry.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from benchmarks.authorizer.cold_start import FunctionStarts, added_cpu_ms
from benchmarks.authorizer.contenders import (
    BARE_FUNCTIONS,
    OTHER_BUNDLE,
    OUR_FUNCTION,
    OUR_HANDLER,
    OURS,
    Contender,
    Function,
    Language,
)
from benchmarks.authorizer.report import Samples, print_table, ratio

_OTHERS: Final[Mapping[Contender, Contender]] = {
    contender: contender._replace(title=f"{contender.title}, other", bundle=OTHER_BUNDLE)
    for contender in (OURS, OUR_HANDLER)
}
_OTHER_FUNCTION: Final = OUR_FUNCTION._replace(title="ours, other", bundle=OTHER_BUNDLE)

COMPARED_CONTENDERS: Final = tuple(pair for item in _OTHERS.items() for pair in item)
COMPARED_FUNCTIONS: Final = (
    BARE_FUNCTIONS[Language.PYTHON],
    OUR_FUNCTION,
    _OTHER_FUNCTION,
)


class Comparison(NamedTuple):
    """One figure of both checkouts."""

    title: str
    unit: str
    this: float
    other: float
    ratio: float
    """This one's to the other's: less than 1 if this one is quicker."""
    ratio_of_fastest: float
    """The same of the quickest rounds, which what else the machine does slows least."""


def _compare(title: str, unit: str, this: Sequence[float], other: Sequence[float]) -> Comparison:
    fastest = min(this) / min(other)
    return Comparison(title, unit, median(this), median(other), ratio(this, other), fastest)


def _fastest_added(starts: FunctionStarts, function: Function) -> float:
    bare = starts[BARE_FUNCTIONS[function.language]]
    return min(s.cpu_ms for s in starts[function]) - min(s.cpu_ms for s in bare)


def compare(samples: Mapping[Contender, Samples], starts: FunctionStarts) -> list[Comparison]:
    """Return every figure of both."""
    comparisons = []
    for kind, contender in (("verification", OURS), ("event to policy", OUR_HANDLER)):
        this, other = samples[contender], samples[_OTHERS[contender]]
        comparisons += [
            _compare(f"first sight, {kind}", "µs", this.first_sight, other.first_sight),
            _compare(f"repeat, {kind}", "µs", this.repeat, other.repeat),
        ]
    this_starts, other_starts = starts[OUR_FUNCTION], starts[_OTHER_FUNCTION]
    this_added = added_cpu_ms(starts, OUR_FUNCTION)
    other_added = added_cpu_ms(starts, _OTHER_FUNCTION)
    return [
        *comparisons,
        _compare(
            "cold start under the runtime client",
            "ms",
            [start.cpu_ms for start in this_starts],
            [start.cpu_ms for start in other_starts],
        ),
        Comparison(
            "what that adds to a bare handler",
            "ms",
            this_added,
            other_added,
            this_added / other_added,
            _fastest_added(starts, OUR_FUNCTION) / _fastest_added(starts, _OTHER_FUNCTION),
        ),
    ]


def print_comparisons(comparisons: Sequence[Comparison]) -> None:
    """Print the table."""
    print()
    print_table(
        ["processor's time", "this checkout", "the other", "this / other", "quickest rounds"],
        [
            [
                comparison.title,
                f"{comparison.this:.1f} {comparison.unit}",
                f"{comparison.other:.1f} {comparison.unit}",
                f"{comparison.ratio:.3f}",
                f"{comparison.ratio_of_fastest:.3f}",
            ]
            for comparison in comparisons
        ],
    )
