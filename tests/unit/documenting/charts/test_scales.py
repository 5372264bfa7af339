import pytest

from documenting.charts.scales import Extent, linear, logarithmic


def test_when_an_axis_has_bars_then_it_begins_at_zero_and_ends_past_the_longest() -> None:
    """Bars that begin elsewhere lie about ratios."""
    scale = linear([Extent(4.0, 50), Extent(1.0, 50)], 500)

    assert 0.0 == scale.least
    assert 0.0 == scale.ticks[0]
    assert 4.0 in scale.ticks


@pytest.mark.parametrize("fit", [linear, logarithmic])
def test_when_a_text_follows_a_value_then_it_fits_into_the_picture(fit: object) -> None:
    """Also the text of a short bar that is longer than that of the longest."""
    extents = [Extent(8.0, 60), Extent(4.0, 300), Extent(1.0, 420)]

    scale = fit(extents, 500)  # type: ignore[operator]

    assert all(scale.share(each.value) * 500 + each.pixels <= 500.001 for each in extents)


def test_when_a_share_cannot_be_more_than_everything_then_no_tick_says_so() -> None:
    """What is right of the longest bar is text."""
    assert 100.0 == linear([Extent(100.0, 250)], 500).ticks[-1]


def test_when_an_axis_is_logarithmic_then_equal_ratios_are_equally_far() -> None:
    """From 1 to 10 as from 10 to 100."""
    scale = logarithmic([Extent(1.0, 0), Extent(100.0, 50)], 500)

    assert scale.share(10) - scale.share(1) == pytest.approx(scale.share(100) - scale.share(10))
    assert {1.0, 2.0, 5.0, 10.0, 100.0} <= set(scale.ticks)
    assert 0 <= scale.share(scale.ticks[0])
