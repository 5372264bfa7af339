"""The authorizer beside its peers: first sight, repeat, cold start."""

from collections.abc import Iterable
from typing import Any, Final

from documenting.charts.chart import Chart, Group, Line, Role, Row
from documenting.charts.results import Document, Results, target

_OURS: Final = "ours, contract included"
_LANGUAGES: Final = {"Python": "Python", "Node.js": "Node"}
_AS_OURS: Final = Line(1.0, "1.0: as long as ours")
_LEGEND: Final = (
    (Role.OURS, "ours, which checks the whole claim contract too"),
    (Role.PEER, "peer"),
    (Role.FLOOR, "the RSA check by itself, which all of them pay"),
)


def authorizer_charts(results: Results) -> Iterable[Chart]:
    """Return the authorizer's charts."""
    document = results.authorizer
    targets = results.authorizer_targets()
    first = target(targets, "first sight: our time / aws-jwt-verify's")
    yield Chart(
        name="authorizer-first-sight",
        title="Verifying a token at first sight",
        subtitle="Processor time, times ours. Promised: at most aws-jwt-verify's;"
        f" ours is {first.measured:.3g} of it, {first.outcome}.",
        axis="times as long as ours takes (less is better)",
        groups=(Group(tuple(_sorted(_seen(document, "first_sight")))),),
        lines=(_AS_OURS,),
        legend=_LEGEND,
    )
    repeat = target(targets, "repeat: our time / fast-jwt's with its cache")
    yield Chart(
        name="authorizer-repeat",
        title="Verifying a token that was seen before",
        subtitle="Processor time, times ours. Promised: at most fast-jwt's with its cache;"
        f" ours is {repeat.measured:.3g} of it, {repeat.outcome}.",
        axis="times as long as ours takes, logarithmic (less is better)",
        groups=(Group(tuple(_sorted(_seen(document, "repeat")))),),
        lines=(_AS_OURS,),
        is_logarithmic=True,
        legend=_LEGEND,
    )
    yield _cold_start(results)


def _seen(document: Document, kind: str) -> Iterable[Row]:
    floors = [each for each in document["floor"] if kind in each]
    for each in [*document["verification"], *floors]:
        times = each[kind]["times_ours"]
        microseconds = f"{each[kind]['microseconds']:,.1f} µs"
        yield Row(_label(each), times, f"{times:,.2f} ({microseconds})", _role(each))


def _label(each: Document) -> str:
    return f"{each['name'].removeprefix('floor: ')} ({_LANGUAGES[each['language']]})"


def _role(each: Document) -> Role:
    if each["name"] == _OURS:
        return Role.OURS
    return Role.FLOOR if each["name"].startswith("floor: ") else Role.PEER


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.value)


def _cold_start(results: Results) -> Chart:
    starts = results.authorizer["function_cold_start"]
    bare = {each["language"]: each for each in starts if "adds_milliseconds" not in each}
    ours, other = (each for each in starts if "adds_milliseconds" in each)
    promise = target(
        results.authorizer_targets(),
        "cold start: what ours adds to its runtime client / what aws-jwt-verify adds",
    )

    def row(each: Any, role: Role, most: float | None = None) -> Row:  # noqa: ANN401 - of a JSON file
        client, adds = bare[each["language"]]["milliseconds"], each["adds_milliseconds"]
        text = f"adds {adds:.1f} ms"
        if most is not None:
            text += f"; at most {most:.1f} promised, {promise.outcome}"
        label = f"{each['name']} ({_LANGUAGES[each['language']]})"
        return Row(label, adds, text, role, client, None if most is None else client + most)

    return Chart(
        name="authorizer-cold-start",
        title="A cold start of the Lambda function",
        subtitle="From the process's start to its first answer. Ours adds"
        f" {promise.measured:.3g} times what aws-jwt-verify adds; promised: {promise.bound_text},"
        f" {promise.outcome}.",
        axis="ms of processor time (less is better)",
        groups=(
            Group(
                (
                    row(ours, Role.OURS, promise.bound * other["adds_milliseconds"]),
                    row(other, Role.PEER),
                )
            ),
        ),
        legend=(
            (Role.FLOOR, "AWS's runtime client with a bare handler"),
            (Role.OURS, "what ours adds"),
            (Role.PEER, "what the peer adds"),
        ),
    )
