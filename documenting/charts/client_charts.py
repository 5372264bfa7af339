"""The Azure client beside its peers: requests a second, and answers in time from a slow API."""

from collections.abc import Iterable
from typing import Final

from documenting.charts.chart import Chart, Group, Line, Role, Row
from documenting.charts.results import Document, Results, Target, target

_BUSIEST: Final = "64"
_OURS: Final = ("bridge_api", "bridge")
_FETCH: Final = "the bridge, every layer (`fetch`)"
_LABELS: Final = {
    "bridge_api": "the bridge, every layer",
    "bridge": "the bridge, transport only",
    "aiohttp": "aiohttp itself",
    "httpx_aiohttp": "httpx over httpx-aiohttp",
    "httpx2": "httpx2",
    "httpx": "httpx, a connection each",
    "httpx_default": "httpx, default limits",
}
_COMPARED: Final = (
    ("aiohttp", "aiohttp itself", "aiohttp"),
    ("httpx", "stock httpx, a kept connection a caller", "stock httpx"),
    ("httpx_aiohttp", "httpx over httpx-aiohttp", "httpx-aiohttp"),
)


def client_charts(results: Results) -> Iterable[Chart]:
    """Return the client's charts."""
    yield _throughput(results)
    yield _goodput(results)


def _throughput(results: Results) -> Chart:
    clients: Document = results.client["clients"]
    promises = {
        name: target(results.client_targets(), f"{_FETCH}: times the throughput of {title}")
        for name, title, _ in _COMPARED
    }
    rates = {name: _at_busiest(client)["requests_per_second"] for name, client in clients.items()}
    rows = sorted((_rate_row(name, client) for name, client in clients.items()), key=_by_value)
    return Chart(
        name="client-throughput",
        title="Requests a second, 64 callers at once",
        subtitle="Dashed: what the bridge with every layer must reach. It has "
        + ", ".join(
            f"{promises[name].measured:.3g} times {short}'s rate ({promises[name].outcome})"
            for name, _, short in _COMPARED
        )
        + ".",
        axis="requests a second (more is better)",
        groups=(Group(tuple(rows)),),
        lines=tuple(
            Line(promise.bound * rates[name], f"{promise.bound:g} times {short}")
            for (name, _, short), promise in zip(_COMPARED, promises.values(), strict=True)
        ),
        legend=((Role.OURS, "ours"), (Role.PEER, "peer")),
    )


def _at_busiest(client: Document) -> Document:
    busiest: Document = client["by_concurrency"][_BUSIEST]
    return busiest


def _rate_row(name: str, client: Document) -> Row:
    figures = _at_busiest(client)
    text = f"{figures['requests_per_second']:,.4g}/s, p99 {figures['p99_ms']:.3g} ms"
    role = Role.OURS if name in _OURS else Role.PEER
    return Row(_LABELS[name], figures["requests_per_second"], text, role)


def _by_value(row: Row) -> float:
    return -row.value


def _goodput(results: Results) -> Chart:
    (promise,) = (
        each for name, each in results.client_targets().items() if "answers in time" in name
    )
    measured = results.client["goodput"]
    promised_setting = measured[0]["setting"]
    return Chart(
        name="client-goodput",
        title="Answers in time from an API that is too slow for its callers",
        subtitle="As a share of those that the connections can give. Promised for the first three:"
        f" at least {_percent(promise.bound)}; the least is {_percent(promise.measured)},"
        f" {promise.outcome}.",
        axis="% of the possible answers that came before the deadline (more is better)",
        groups=tuple(
            _goodput_group(each, promise if each["setting"] == promised_setting else None)
            for each in measured
        ),
        legend=((Role.OURS, "ours"), (Role.PEER, "peer")),
    )


def _goodput_group(each: Document, promise: Target | None) -> Group:
    setting, shares = each["setting"], each["shares"]
    quickest, slowest = setting["quickest_ms"] / 1000, setting["slowest_ms"] / 1000
    takes = f"{quickest:g} s" if quickest == slowest else f"{quickest:g} to {slowest:g} s"
    title = (
        f"{each['load']:g} times the load: {setting['places']} connections, {takes} an answer,"
        f" deadline {setting['deadline_seconds']:g} s"
    )
    rows = []
    for name, share in shares.items():
        is_ours = name in _OURS
        least = promise.bound if promise and is_ours else None
        text = _percent(share) + (f"; at least {_percent(least)} promised" if least else "")
        rows.append(
            Row(
                _LABELS[name],
                100 * share,
                text,
                Role.OURS if is_ours else Role.PEER,
                target=None if least is None else 100 * least,
            )
        )
    return Group(tuple(rows), title)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
