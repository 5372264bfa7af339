"""A log that grows while it is read."""

import tracemalloc
from pathlib import Path

import pytest

from bridge_cli.tracing.growing_file import LONGEST_LINE, MOST_BYTES, GrowingFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The log, which is not there yet."""
    return tmp_path / "a.log"


def append(path: Path, text: str) -> None:
    """Write at the end of the log."""
    with path.open("a", encoding="utf-8") as log:
        log.write(text)


def test_when_there_is_no_log_yet_then_nothing_is_new(path: Path) -> None:
    """A part that has not started yet has none; when it has one, it is read from its beginning."""
    file = GrowingFile(path)

    assert [] == file.read_new()
    append(path, "a\n")
    assert ["a"] == file.read_new()


def test_when_lines_are_appended_then_each_comes_once(path: Path) -> None:
    """Empty ones play no part."""
    file = GrowingFile(path)
    append(path, "a\nb\n")

    assert ["a", "b"] == file.read_new()
    append(path, "\nc\n")
    assert ["c"] == file.read_new()
    assert [] == file.read_new()


def test_when_a_line_is_half_written_then_it_waits(path: Path) -> None:
    """Until its line feed is there."""
    file = GrowingFile(path)
    append(path, "a\nb")

    assert ["a"] == file.read_new()
    append(path, "c")
    assert [] == file.read_new()
    append(path, "d\n")
    assert ["bcd"] == file.read_new()


@pytest.mark.parametrize("after", ["x\n", "x\ny\nzzzz\n"])
def test_when_a_log_was_emptied_then_it_is_begun_again(path: Path, after: str) -> None:
    """Whether it is shorter than before or longer, with a line that ends where we stopped."""
    file = GrowingFile(path)
    append(path, "abc\n")
    file.read_new()

    path.write_text(after, encoding="utf-8")

    assert after.split() == file.read_new()


def test_when_a_log_is_another_file_then_it_is_begun_again(path: Path) -> None:
    """As a stack makes them anew, with lines as long as the old ones."""
    file = GrowingFile(path)
    append(path, "abc\n")
    file.read_new()

    path.rename(path.with_suffix(".old"))
    append(path, "def\n")

    assert ["def"] == file.read_new()


def test_when_a_log_is_huge_then_only_its_end_is_read(path: Path) -> None:
    """In memory for that end only; the line that is cut by the bound is left out."""
    line = b"x" * 999 + b"\n"
    with path.open("wb") as log:
        for _ in range(100):
            log.write(line * 1_000)
        log.write(b"last\n")
    file = GrowingFile(path)

    tracemalloc.start()
    lines = file.read_new()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "last" == lines[-1]
    assert MOST_BYTES // 1_000 - 1 <= len(lines) <= MOST_BYTES // 1_000 + 1
    assert {"x" * 999} == set(lines[:-1])
    assert peak < 5 * MOST_BYTES
    append(path, "next\n")
    assert ["next"] == file.read_new()


def test_when_a_line_is_endless_then_what_follows_it_is_read(path: Path) -> None:
    """A part that writes without a line feed does not hold up the rest."""
    file = GrowingFile(path)
    append(path, "x" * (LONGEST_LINE + 1) + "\nafter\n")

    assert ["after"] == file.read_new()


def test_when_bytes_are_no_text_then_they_are_replaced(path: Path) -> None:
    """A log can hold anything."""
    path.write_bytes(b"\xff\xfe\n\x00\n")

    assert ["\ufffd\ufffd", "\x00"] == GrowingFile(path).read_new()
