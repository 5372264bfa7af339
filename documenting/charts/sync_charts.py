"""The sync beside a plain loop and dlt, and four function instances beside one."""

from collections.abc import Iterable
from typing import Final

from documenting.charts.chart import Chart, Group, Line, Role, Row
from documenting.charts.results import Results, Target, target

_LABELS: Final = {"bridge": "the bridge", "plain_loop": "a plain loop", "dlt": "dlt"}
_STORES: Final = {"sqlite": "SQLite", "table": "Table Storage (Azurite)"}


def sync_charts(results: Results) -> Iterable[Chart]:
    """Return the sync's charts."""
    targets = results.sync_targets()
    groups = [
        _first_load(results, store, count, targets)
        for store, sizes in results.sync["stores"].items()
        for count in sizes
        if int(count) > 1000  # noqa: PLR2004 - only to measure what memory grows by
    ]
    yield Chart(
        name="sync-speed",
        title="The first load of a sync",
        subtitle="Times the speed of a plain loop, which has no retries, fence, version rule or"
        " deadlines. The last two are times the speed of one function instance.",
        axis="times as quick (more is better)",
        groups=(*groups, _instances(results, targets)),
        lines=(Line(1.0, "1.0: as quick as what it is compared with"),),
        legend=((Role.OURS, "ours"), (Role.PEER, "peer")),
    )


def _first_load(results: Results, store: str, count: str, targets: dict[str, Target]) -> Group:
    name = f"{_STORES[store]}: times the plain loop's speed, first load of {int(count):,}"
    promise = target(targets, name)
    rows = []
    for contender, figures in results.sync["stores"][store][count].items():
        times, seconds = figures["speed_over_plain_loop"], figures["first_load"]["seconds"]
        is_ours = contender == "bridge"
        text = f"{times:.2f} ({seconds:,.1f} s)" + (_promised(promise) if is_ours else "")
        role = Role.OURS if is_ours else Role.PEER
        bound = promise.bound if is_ours else None
        rows.append(Row(_LABELS[contender], times, text, role, target=bound))
    return Group(tuple(rows), f"{int(count):,} records into {_STORES[store]}")


def _instances(results: Results, targets: dict[str, Target]) -> Group:
    measured = results.sync["instances"]
    name = (
        "PostgreSQL: times one instance's speed, 4 instances,"
        f" first load of {measured['records']:,}"
    )
    promise = target(targets, name)
    text = f"{measured['ratio']:.2f} ({measured['many']:,.1f} s){_promised(promise)}"
    return Group(
        (
            Row(
                "four instances, fan-out", measured["ratio"], text, Role.OURS, target=promise.bound
            ),
            Row("one instance", 1.0, f"1.00 ({measured['one']:,.1f} s)", Role.PEER),
        ),
        f"{measured['records']:,} records into PostgreSQL, by function instances",
    )


def _promised(promise: Target) -> str:
    return f"; {promise.bound_text} promised, {promise.outcome}"
