"""Writes the charts and their words on the page, from the results that are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from documenting.charts.all_charts import all_charts
from documenting.charts.chart import MODES
from documenting.charts.drawing import to_svg
from documenting.charts.page import PageError, with_charts
from documenting.charts.results import ResultsError, read_results


class UnknownChartError(Exception):
    """There is no chart of that name."""


CHART_ERRORS: Final = (PageError, ResultsError, UnknownChartError)

type Say = Callable[[str], None]


def write_charts(checkout: Path, folder: Path, say: Say, *, only: str | None = None) -> None:
    """Draw the charts of the checkout's results into the folder.

    Args:
        checkout: where the results are.
        folder: where the charts go.
        say: what each step is told to.
        only: the name of one chart, to draw no other.

    Raises:
        ResultsError: the results have changed so that a chart cannot be made.
        UnknownChartError: there is no chart of that name.

    """
    charts = all_charts(read_results(checkout / "benchmarks" / "results"))
    chosen = [chart for chart in charts if only in {None, chart.name}]
    if not chosen:
        names = ", ".join(chart.name for chart in charts)
        raise UnknownChartError(f"there is no chart {only}; there are {names}")
    folder.mkdir(parents=True, exist_ok=True)
    for chart in chosen:
        say(f"drawing {chart.name}")
        for mode in MODES:
            (folder / chart.file_name(mode)).write_bytes(to_svg(chart, mode))


def write_page(checkout: Path) -> None:
    """Give the benchmarks' page the words of every chart.

    Raises:
        ResultsError, PageError: results, charts and page do not belong together any more.

    """
    charts = all_charts(read_results(checkout / "benchmarks" / "results"))
    page = checkout / "docs" / "benchmarks.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(with_charts(text, charts), encoding="utf-8")
