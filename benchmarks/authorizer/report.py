"""What was measured, as a table to read and as JSON to keep."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from benchmarks.authorizer.cold_start import FunctionStarts, added_cpu_ms, added_wall_ms
from benchmarks.authorizer.contenders import (
    AWS_JWT_VERIFY,
    AWS_JWT_VERIFY_FUNCTION,
    BARE_FUNCTIONS,
    FAST_JWT_CACHE,
    FLOORS,
    HANDLERS,
    OUR_FUNCTION,
    OUR_HANDLER,
    OURS,
    RUNTIME_CLIENTS,
    STARTERS,
    VERIFIERS,
    Contender,
    Function,
)
from benchmarks.authorizer.programs import Start

MAX_HANDLER_RATIO: Final = 1.5
MAX_RSS_MIB: Final = 40.0


class Samples(NamedTuple):
    """Microseconds per decision, one value a round."""

    first_sight: list[float]
    repeat: list[float]


class Report(NamedTuple):
    """Everything that one run has measured."""

    date: str
    surroundings: Mapping[str, object]
    """Versions, and the machine's kind."""
    samples: Mapping[Contender, Samples]
    functions: FunctionStarts
    """Cold starts under the runtime clients."""
    starts: Mapping[Contender, Sequence[Start]]
    """Cold starts of plain processes."""
    memory: Mapping[Contender, float]
    openssl_microseconds: float | None
    """One RSA-2048 verification by `openssl speed`; None without the program."""


class Target(NamedTuple):
    """One promise, and what the run says to it."""

    promise: str
    measured: float
    at_most: float

    @property
    def is_met(self) -> bool:
        """Whether it is kept."""
        return self.measured <= self.at_most


def ratio(values: Sequence[float], to: Sequence[float]) -> float:
    """The median of the rounds' ratios, so that what slows a whole round down cancels out."""
    return median(value / other for value, other in zip(values, to, strict=True))


def _start_ratio(report: Report, contender: Contender, to: Contender) -> float:
    """Of the processor's time, which other programs on the machine do not add to."""
    return ratio(
        [start.cpu_ms for start in report.starts[contender]],
        [start.cpu_ms for start in report.starts[to]],
    )


def find_targets(report: Report) -> list[Target]:
    """The promises. In all of them, less is better."""
    samples = report.samples
    ours, handler = samples[OURS], samples[OUR_HANDLER]

    return [
        Target(
            "first sight: our time / aws-jwt-verify's",
            ratio(ours.first_sight, samples[AWS_JWT_VERIFY].first_sight),
            1.0,
        ),
        Target(
            "repeat: our time / fast-jwt's with its cache",
            ratio(ours.repeat, samples[FAST_JWT_CACHE].repeat),
            1.0,
        ),
        Target(
            "cold start: what ours adds to its runtime client / what aws-jwt-verify adds",
            added_cpu_ms(report.functions, OUR_FUNCTION)
            / added_cpu_ms(report.functions, AWS_JWT_VERIFY_FUNCTION),
            1.0,
        ),
        Target(
            "whole handler / verification alone, first sight",
            ratio(handler.first_sight, ours.first_sight),
            MAX_HANDLER_RATIO,
        ),
        Target("peak memory in MiB", report.memory[OUR_HANDLER], MAX_RSS_MIB),
    ]


def _decisions(report: Report, contender: Contender, ours: Contender) -> dict[str, object]:
    samples, reference = report.samples[contender], report.samples[ours]
    row: dict[str, object] = {"name": contender.title, "language": contender.language.value}
    for kind, values, to in (
        ("first_sight", samples.first_sight, reference.first_sight),
        ("repeat", samples.repeat, reference.repeat),
    ):
        microseconds = median(values)
        row[kind] = {
            "microseconds": round(microseconds, 2),
            "fastest_round": round(min(values), 2),
            "per_second": round(1e6 / microseconds),
            "times_ours": round(ratio(values, to), 2),
        }
    return row


def _starts(report: Report, contender: Contender) -> dict[str, object]:
    starts = report.starts[contender]
    cpu, wall = [start.cpu_ms for start in starts], [start.wall_ms for start in starts]
    return {
        "name": contender.title,
        "language": contender.language.value,
        "milliseconds": round(median(cpu), 1),
        "fastest_round": round(min(cpu), 1),
        "times_ours": round(_start_ratio(report, contender, OUR_HANDLER), 2),
        "wall_clock_milliseconds": round(median(wall), 1),
        "wall_clock_fastest_round": round(min(wall), 1),
        "peak_mib": round(median(start.peak_mib for start in starts), 1),
        "peak_mib_later": round(report.memory[contender], 1),
    }


def _function(report: Report, function: Function) -> dict[str, object]:
    starts = report.functions[function]
    cpu, wall = [start.cpu_ms for start in starts], [start.wall_ms for start in starts]
    row: dict[str, object] = {
        "name": function.title,
        "language": function.language.value,
        "runtime_client": RUNTIME_CLIENTS[function.language],
        "milliseconds": round(median(cpu), 1),
        "fastest_round": round(min(cpu), 1),
        "wall_clock_milliseconds": round(median(wall), 1),
        "wall_clock_fastest_round": round(min(wall), 1),
        "peak_mib": round(median(start.peak_mib for start in starts), 1),
    }
    if function not in BARE_FUNCTIONS.values():
        row["adds_milliseconds"] = round(added_cpu_ms(report.functions, function), 1)
        row["adds_wall_clock_milliseconds"] = round(added_wall_ms(report.functions, function), 1)
    return row


def to_json(report: Report) -> dict[str, object]:
    """The results as they are kept in `benchmarks/results`."""
    return {
        "date": report.date,
        **report.surroundings,
        "verification": [_decisions(report, contender, OURS) for contender in VERIFIERS],
        "floor": [
            *(_decisions(report, contender, OURS) for contender in FLOORS),
            {"name": "openssl speed rsa2048", "microseconds": report.openssl_microseconds},
        ],
        "handler": [_decisions(report, contender, OUR_HANDLER) for contender in HANDLERS],
        "function_cold_start": [_function(report, function) for function in report.functions],
        "cold_start": [_starts(report, contender) for contender in STARTERS],
        "targets": [
            {
                "promise": target.promise,
                "measured": round(target.measured, 3),
                "at_most": target.at_most,
                "is_met": target.is_met,
            }
            for target in find_targets(report)
        ],
    }


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows in columns, the first of them to the left."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        first, *others = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join(cells))
    print()


def _function_cells(report: Report, function: Function) -> list[str]:
    starts, is_bare = report.functions[function], function in BARE_FUNCTIONS.values()
    wall, bare = (
        min(start.wall_ms for start in report.functions[each])
        for each in (function, BARE_FUNCTIONS[function.language])
    )
    return [
        f"{RUNTIME_CLIENTS[function.language]}, {function.title}",
        f"{median(start.cpu_ms for start in starts):.1f}",
        "" if is_bare else f"{added_cpu_ms(report.functions, function):.1f}",
        f"{wall:.1f}",
        "" if is_bare else f"{wall - bare:.1f}",
        f"{median(start.peak_mib for start in starts):.1f}",
    ]


def print_report(report: Report) -> None:
    """Print the tables.

    "times ours" is how many times as long it takes as ours does; "by the clock" is the quickest
    round's, because a clock also measures what else the machine does.
    """

    def decisions(contender: Contender, ours: Contender) -> list[str]:
        samples, reference = report.samples[contender], report.samples[ours]
        cells = [contender.title]
        for values, to in (
            (samples.first_sight, reference.first_sight),
            (samples.repeat, reference.repeat),
        ):
            microseconds = median(values)
            cells += [
                f"{1e6 / microseconds:,.0f}",
                f"{microseconds:.1f}",
                f"{ratio(values, to):.2f}",
            ]
        return cells

    headings = ["first sight/s", "µs", "times ours", "repeat/s", "µs", "times ours"]
    rows = [decisions(contender, OURS) for contender in (*VERIFIERS, *FLOORS)]
    if report.openssl_microseconds is not None:
        floor = report.openssl_microseconds
        rows.append(["floor: openssl speed", f"{1e6 / floor:,.0f}", f"{floor:.1f}", *[""] * 4])
    print()
    print_table(["verification", *headings], rows)
    print_table(
        ["event to policy", *headings],
        [decisions(contender, OUR_HANDLER) for contender in HANDLERS],
    )

    print_table(
        ["spawn to posted answer", "ms", "adds", "by the clock", "adds", "peak MiB"],
        [_function_cells(report, function) for function in report.functions],
    )
    print_table(
        [
            "fresh process to first decision",
            "ms",
            "times ours",
            "by the clock",
            "peak MiB",
            "later",
        ],
        [
            [
                contender.title,
                f"{median(start.cpu_ms for start in starts):.1f}",
                f"{_start_ratio(report, contender, OUR_HANDLER):.2f}",
                f"{min(start.wall_ms for start in starts):.1f}",
                f"{median(start.peak_mib for start in starts):.1f}",
                f"{report.memory[contender]:.1f}",
            ]
            for contender, starts in report.starts.items()
        ],
    )
    print_table(
        ["promise", "measured", "at most", ""],
        [
            [
                target.promise,
                f"{target.measured:.2f}",
                f"{target.at_most:g}",
                "met" if target.is_met else "MISSED",
            ]
            for target in find_targets(report)
        ],
    )
