"""Where the charts stand on the benchmarks' page: each in its block, with its words."""

import html
import re
from collections.abc import Iterable

from documenting.charts.chart import DARK, LIGHT, Chart


class PageError(Exception):
    """The page has no place for a chart, or a place for one that is not there."""


def with_charts(page: str, charts: Iterable[Chart]) -> str:
    """Return the page with each chart's picture and words between its two comments.

    Raises:
        PageError: a chart's comments are not on the page, or a comment names no chart.

    """
    by_name = {chart.name: chart for chart in charts}
    places = re.compile(r"(<!-- chart: ([\w-]+) -->\n).*?(<!-- end of chart -->\n)", re.DOTALL)
    named = [match[2] for match in places.finditer(page)]
    if sorted(named) != sorted(by_name):
        raise PageError(
            f"the page has places for {', '.join(named)}, but there are {', '.join(by_name)}"
        )
    return places.sub(lambda match: match[1] + _block(by_name[match[2]]) + match[3], page)


def _block(chart: Chart) -> str:
    words = html.escape(chart.alternative, quote=False).replace('"', "&quot;")
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="charts/{chart.file_name(DARK)}">\n'
        f'  <img alt="{words}" src="charts/{chart.file_name(LIGHT)}">\n'
        "</picture>\n"
    )
