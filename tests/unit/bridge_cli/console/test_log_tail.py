"""Following a log file."""

from pathlib import Path

from bridge_cli.console.log_tail import LogTail


def test_when_lines_are_added_then_each_is_read_once(tmp_path: Path) -> None:
    """A file that is not there yet has none."""
    log = tmp_path / "a.log"
    tail = LogTail(log)
    before = tail.read_new()
    log.write_text('{"n": 1}\n{"n": 2}\n')
    first = tail.read_new()
    with log.open("a") as file:
        file.write('{"n": 3}\n')

    assert ([], [{"n": 1}, {"n": 2}]) == (before, first)
    assert [{"n": 3}] == tail.read_new()
    assert [] == tail.read_new()


def test_when_a_line_is_half_written_then_it_waits_for_its_rest(tmp_path: Path) -> None:
    """It would be no JSON, and be lost."""
    log = tmp_path / "a.log"
    tail = LogTail(log)
    log.write_text('{"n": 1}\n{"n":')
    first = tail.read_new()
    second = tail.read_new()
    with log.open("a") as file:
        file.write(" 2}\n")

    assert ([{"n": 1}], []) == (first, second)
    assert [{"n": 2}] == tail.read_new()


def test_when_the_file_was_emptied_then_it_is_begun_again(tmp_path: Path) -> None:
    """As at the next start of a stack."""
    log = tmp_path / "a.log"
    log.write_text('{"n": 1}\n{"n": 2}\n')
    tail = LogTail(log)
    tail.read_new()
    log.write_text('{"n": 3}\n')

    assert [{"n": 3}] == tail.read_new()


def test_when_a_line_is_no_object_then_it_is_left_out(tmp_path: Path) -> None:
    """Programs write what they like; Core Tools put the time before the object."""
    log = tmp_path / "a.log"
    log.write_bytes(
        b'Traceback\n[1, 2]\n[2026-11-22T04:00:00Z] {"n": 1}\n{"n": \n'
        + b"{" * 5_000
        + b'\n\xff{"n": 2}\n'
    )

    assert [{"n": 1}, {"n": 2}] == LogTail(log).read_new()


def test_when_a_line_never_ends_then_memory_does_not_grow_with_it(tmp_path: Path) -> None:
    """It is skipped a megabyte at a time, and what follows it is read."""
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 3_000_000 + b'\n{"n": 1}\n')
    tail = LogTail(log)
    read = [tail.read_new() for _ in range(4)]

    assert [{"n": 1}] == [each for lines in read for each in lines]
