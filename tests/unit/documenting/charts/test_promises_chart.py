from dataclasses import replace
from pathlib import Path

import pytest

from documenting.charts.chart import Role
from documenting.charts.promises_chart import promises_chart
from documenting.charts.results import Results, ResultsError, read_results

RESULTS = read_results(Path(__file__).parents[4] / "benchmarks" / "results")


def results_with(**changed: object) -> Results:
    """The kept results with the feed's one target changed."""
    (target,) = RESULTS.feed["targets"]
    return replace(RESULTS, feed=RESULTS.feed | {"targets": [target | changed]})  # type: ignore[operator]


def feed_row(results: Results) -> tuple[float, Role]:
    """How the feed's promise is shown."""
    (row,) = promises_chart(results).groups[2].rows
    return row.value, row.role


def test_when_a_promise_is_a_least_then_more_is_right_of_the_line() -> None:
    """Twice the bound is at 2."""
    assert (2.0, Role.KEPT) == feed_row(results_with(measured=16.0))


def test_when_a_promise_is_a_most_then_less_is_right_of_the_line() -> None:
    """Half the bound is at 2 as well."""
    assert (2.0, Role.KEPT) == feed_row(results_with(bound="at most 8", measured=4.0))


def test_when_a_promise_is_missed_then_it_is_left_of_the_line_and_in_the_words() -> None:
    """The chart hides nothing."""
    results = results_with(measured=4.0, is_held=False)

    assert (0.5, Role.MISSED) == feed_row(results)
    assert (
        "64 writers: 16 shards, times one shard's writes: 4, at least 8"
        in promises_chart(results).alternative
    )


@pytest.mark.parametrize("changed", [{"name": "new"}, {"bound": "8 of 8"}])
def test_when_promise_and_chart_differ_then_no_chart_is_made(changed: dict[str, object]) -> None:
    """A promise without a name here, and a name without a promise."""
    with pytest.raises(ResultsError):
        promises_chart(results_with(**changed))


def test_when_the_kept_results_are_shown_then_every_bound_is_on_the_right_side() -> None:
    """What the benchmarks call met is what the chart's line calls met."""
    rows = promises_chart(RESULTS).rows

    assert len(rows) > 20
    assert [] == [row for row in rows if (row.value >= 1) != (row.role is Role.KEPT)]
