import pytest

from documenting.charts.chart import Chart, Group, Role, Row
from documenting.charts.page import PageError, with_charts

SPEED = Chart("speed", 'Say "speed" < 2', "", "x", (Group((Row("a", 1, "1", Role.OURS),)),))
PAGE = "# Page\n\n<!-- chart: speed -->\nold\n<!-- end of chart -->\n\n| table |\n"


def test_when_the_page_has_a_place_then_the_picture_is_put_there() -> None:
    """For light and dark, with its words; what stands around it stays."""
    assert (
        "# Page\n\n<!-- chart: speed -->\n<picture>\n"
        '  <source media="(prefers-color-scheme: dark)" srcset="charts/speed-dark.svg">\n'
        '  <img alt="Say &quot;speed&quot; &lt; 2. Bars: x. a: 1." src="charts/speed-light.svg">\n'
        "</picture>\n<!-- end of chart -->\n\n| table |\n"
    ) == with_charts(PAGE, [SPEED])


def test_when_it_is_written_again_then_nothing_changes() -> None:
    """So that the kept page can be compared."""
    once = with_charts(PAGE, [SPEED])

    assert once == with_charts(once, [SPEED])


@pytest.mark.parametrize("page", ["# Page\n", PAGE.replace("speed", "other"), PAGE + PAGE])
def test_when_places_and_charts_differ_then_nothing_is_written(page: str) -> None:
    """A chart that no page shows, or a place that stays empty, is a mistake."""
    with pytest.raises(PageError):
        with_charts(page, [SPEED])
