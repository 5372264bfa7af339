from xml.etree import ElementTree as ET

from documenting.pictures.terminal_svg import DARK, LIGHT, to_svg


def test_when_a_line_is_colored_then_the_picture_has_the_color_of_its_page() -> None:
    """Red is another red on a dark page."""
    lines = ["plain \x1b[31mred\x1b[0m"]

    light, dark = (to_svg(lines, "A title", mode, columns=40) for mode in (LIGHT, DARK))

    assert "fill: #cf222e" in light
    assert "fill: #ff7b72" in dark


def test_when_a_picture_is_made_then_it_needs_nothing_from_elsewhere() -> None:
    """Rich's own template has a font from a network."""
    svg = to_svg(["line"], "A title", LIGHT, columns=40)

    assert "http://www.w3.org/2000/svg" in svg
    assert 1 == svg.count("http")
    assert "@font-face" not in svg
    assert "@import" not in svg


def test_when_a_line_has_markup_then_it_is_shown_as_it_is() -> None:
    """Neither rich's markup nor XML's means anything in what a command has printed."""
    svg = to_svg(["[bold]<b>&amp;</b>[/bold]"], "a < b & c", LIGHT, columns=40)
    texts = [element.text for element in ET.fromstring(svg).iter() if element.text]  # noqa: S314 - our own

    assert "[bold]<b>&amp;</b>[/bold]" in texts
    assert "a < b & c" in texts


def test_when_the_same_lines_are_drawn_again_then_the_picture_is_the_same() -> None:
    """Nothing in it is random."""
    lines = ["one", "\x1b[1mtwo\x1b[0m"]

    assert to_svg(lines, "t", DARK, columns=40) == to_svg(lines, "t", DARK, columns=40)
