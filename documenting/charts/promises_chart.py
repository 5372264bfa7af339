"""Every promise of the benchmarks in one chart: kept or missed, and by how much."""

from collections.abc import Mapping
from typing import Final

from documenting.charts.chart import Chart, Group, Line, Role, Row
from documenting.charts.results import Results, ResultsError, Target

_AUTHORIZER: Final = {
    "first sight: our time / aws-jwt-verify's": "first sight, of aws-jwt-verify's time",
    "repeat: our time / fast-jwt's with its cache": "repeat, of fast-jwt's time with its cache",
    "cold start: what ours adds to its runtime client / what aws-jwt-verify adds": (
        "cold start, of what aws-jwt-verify adds"
    ),
    "whole handler / verification alone, first sight": "whole handler, times verification",
    "peak memory in MiB": "peak memory, MiB",
}
_TRANSPORT: Final = "the bridge's transport, `client.get`"
_FETCH: Final = "the bridge, every layer (`fetch`)"
_CLIENT: Final = {
    f"{_FETCH}: times the throughput of aiohttp itself": "throughput, times aiohttp",
    f"{_FETCH}: times the throughput of httpx over httpx-aiohttp": (
        "throughput, times httpx-aiohttp"
    ),
    f"{_FETCH}: times the throughput of stock httpx, a kept connection a caller": (
        "throughput, times stock httpx"
    ),
    f"{_FETCH}: times the p99 of aiohttp itself": "p99, times aiohttp's",
    f"{_TRANSPORT}: times the throughput of httpx over httpx-aiohttp": (
        "transport only: throughput, times httpx-aiohttp"
    ),
    f"{_TRANSPORT}: times the throughput of stock httpx, a kept connection a caller": (
        "transport only: throughput, times stock httpx"
    ),
    f"{_TRANSPORT}: times the p99 of aiohttp itself": "transport only: p99, times aiohttp's",
    (
        f"{_FETCH}: answers in time of those that 8 places, 0.6 s, 1 s allow,"
        " at 2 to 10 times the load"
    ): "share of possible answers in time, overloaded",
    "token cache hit, µs": "token cache hit, µs",
}
_FEED: Final = {
    "64 writers: writes a second with 16 shards, times those with one": (
        "64 writers: 16 shards, times one shard's writes"
    ),
}
_SYNC: Final = {
    "SQLite: times the plain loop's speed, first load of 28,403": (
        "28,403 into SQLite, times a plain loop's speed"
    ),
    "SQLite: times the plain loop's speed, first load of 100,000": (
        "100,000 into SQLite, times a plain loop's speed"
    ),
    "Table Storage (Azurite): times the plain loop's speed, first load of 28,403": (
        "28,403 into tables, times a plain loop's speed"
    ),
    "SQLite: requests for an increment of 10 in 100,000": "requests for ten changes, SQLite",
    "Table Storage (Azurite): requests for an increment of 10 in 28,403": (
        "requests for ten changes, tables"
    ),
    "SQLite: MiB more at 100,000 than at 1,000": "MiB more at 100,000 than at 1,000, SQLite",
    "Table Storage (Azurite): MiB more at 28,403 than at 1,000": (
        "MiB more at 28,403 than at 1,000, tables"
    ),
    "PostgreSQL: times one instance's speed, 4 instances, first load of 50,000": (
        "four instances, times the speed of one"
    ),
}


def promises_chart(results: Results) -> Chart:
    """Return the chart of all promises.

    Raises:
        ResultsError: a promise is new, and has no short name here.

    """
    groups = (
        _group("The authorizer", results.authorizer_targets(), _AUTHORIZER),
        _group("The Azure client", results.client_targets(), _CLIENT),
        _group("The change feed", results.feed_targets(), _FEED),
        _group("The sync", results.sync_targets(), _SYNC),
    )
    rows = [row for group in groups for row in group.rows]
    missed = [row for row in rows if row.role is Role.MISSED]
    kept = len(rows) - len(missed)
    listed = "; ".join(f"{row.label}: {row.text}" for row in missed)
    return Chart(
        name="promises",
        title="What was promised, and what was measured",
        subtitle="How many times better than its bound each figure is: right of the line the"
        f" promise is met ({kept}), left of it missed ({len(missed)}).",
        axis="times better than promised, logarithmic",
        groups=groups,
        lines=(Line(1.0, "1.0: just as promised"),),
        is_logarithmic=True,
        legend=((Role.KEPT, "met"), (Role.MISSED, "missed")),
        summary=f"Of {len(rows)} promises {kept} are met and {len(missed)} missed"
        + (f": {listed}" if missed else ""),
    )


def _group(title: str, targets: Mapping[str, Target], labels: Mapping[str, str]) -> Group:
    if unnamed := targets.keys() - labels.keys():
        raise ResultsError(f"these promises need a short name: {', '.join(sorted(unnamed))}")
    if gone := labels.keys() - targets.keys():
        raise ResultsError(f"the results have these promises no more: {', '.join(sorted(gone))}")
    return Group(
        tuple(
            Row(
                label,
                targets[name].margin,
                f"{targets[name].measured:.3g}, {targets[name].bound_text}",
                Role.KEPT if targets[name].is_met else Role.MISSED,
            )
            for name, label in labels.items()
        ),
        title,
    )
