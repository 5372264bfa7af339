import pytest

from documenting.pictures.screen import Screen, ScreenError


def shown(*written: str, columns: int = 80) -> list[str]:
    """The lines after everything was written."""
    screen = Screen(columns)
    for part in written:
        screen.feed(part)
    return screen.text_lines()


def test_when_lines_are_written_then_they_are_shown() -> None:
    """Without empty ones at the end."""
    assert ["one", "", "two"] == shown("one\r\n\r\n", "two\r\n\r\n")


def test_when_a_line_is_written_over_then_the_rest_of_it_stays() -> None:
    """As a terminal does it."""
    assert ["ONe"] == shown("one\rON")


def test_when_progress_goes_back_up_then_it_replaces_its_lines() -> None:
    """Rich clears each line before it writes it again."""
    once = "\x1b[?25l| first\r\n| second"

    assert ["done first", "done second", "end"] == shown(
        once, "\r\x1b[2K\x1b[1A\x1b[2Kdone first\r\ndone second\r\n\x1b[?25h", "end\r\n"
    )


def test_when_a_line_has_colors_then_they_are_kept_cell_by_cell() -> None:
    """What is written over a colored cell has its own color."""
    screen = Screen(80)

    screen.feed("\x1b[1m\x1b[31mred\x1b[0m plain\r\x1b[32mR")

    assert ["\x1b[0m\x1b[32mR\x1b[0m\x1b[1m\x1b[31med\x1b[0m plain"] == screen.ansi_lines()
    assert ["Red plain"] == screen.text_lines()


def test_when_the_cursor_goes_above_the_first_line_then_it_stays_there() -> None:
    """There is nothing above."""
    assert ["b"] == shown("a\x1b[7A\rb")


def test_when_a_title_is_set_then_it_is_not_text() -> None:
    """The title of a window is not on the screen."""
    assert ["text"] == shown("\x1b]0;a title\x07text")


def test_when_a_line_is_longer_than_the_terminal_then_it_goes_on_below() -> None:
    """Nothing is cut off."""
    assert ["four", "five", "!"] == shown("fourfive!", columns=4)


def test_when_a_line_just_fits_then_no_empty_line_follows() -> None:
    """A terminal goes to the next line when something comes that needs it."""
    assert ["four", "next"] == shown("four\r\nnext\r\n", columns=4)
    assert ["Four"] == shown("four\rF", columns=4)


@pytest.mark.parametrize(
    "written",
    ["\x1b[2J", "\x1b[K", "\x1b[?1049h", "\x1bM", "\x07", "\x1b[5B"],
    ids=["clear", "rest of a line", "other screen", "index", "bell", "down"],
)
def test_when_something_unknown_is_written_then_no_picture_is_made(written: str) -> None:
    """A wrong picture would look as right as a right one."""
    with pytest.raises(ScreenError):
        shown(written)


def test_when_a_character_is_two_cells_wide_then_no_picture_is_made() -> None:
    """The columns after it would not stand under each other."""
    with pytest.raises(ScreenError):
        shown("漢")
