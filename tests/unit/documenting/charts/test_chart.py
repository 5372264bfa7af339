from documenting.charts.chart import Chart, Group, Role, Row

ROWS = (Row("ours", 1.0, "1.00 (60 µs)", Role.OURS), Row("a, peer", 2.0, "2.00", Role.PEER))


def chart(*groups: Group, summary: str = "", is_logarithmic: bool = False) -> Chart:
    """A chart of the groups."""
    return Chart(
        "name", "Title", "", "times", groups, is_logarithmic=is_logarithmic, summary=summary
    )


def test_when_a_chart_is_put_in_words_then_every_figure_is_said() -> None:
    """With what it belongs to."""
    assert (
        "Title. Bars: times. ours: 1.00 (60 µs); a, peer: 2.00." == chart(Group(ROWS)).alternative
    )


def test_when_a_chart_has_groups_then_each_is_said_with_its_title() -> None:
    """A figure means nothing without it."""
    said = chart(Group(ROWS[:1], "Small"), Group(ROWS[1:], "Large")).alternative

    assert "Title. Bars: times. Small: ours: 1.00 (60 µs). Large: a, peer: 2.00." == said


def test_when_a_chart_has_a_summary_then_that_is_said() -> None:
    """Nobody listens to thirty figures."""
    said = chart(Group(ROWS), summary="All is well", is_logarithmic=True).alternative

    assert "Title. Dots: times. All is well." == said
