"""Reading a user's file: every format, record by record, with the line of what is wrong."""

import io
import json
import tracemalloc

import pytest

from bridge_cli.importing.record_file import (
    LONGEST_RECORD,
    FileFormat,
    FoundRecord,
    LineProblem,
    UnreadableFileError,
    read_records,
)


def read(text: str, form: FileFormat) -> list[FoundRecord | LineProblem]:
    """Everything that the file yields."""
    return list(read_records(io.StringIO(text, newline=""), form))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (FileFormat.LINES, '{"a": "1"}\n\n{"a": "2"}'),
        (FileFormat.LINES, '{"a": "1"}\r\n \r\n{"a": "2"}\r\n'),
        (FileFormat.ARRAY, '[{"a": "1"},\n\n {"a": "2"}]\n'),
        (FileFormat.ARRAY, '[{"a":\n"1"}\n,{"a": "2"}]'),
    ],
)
def test_when_records_are_read_then_each_has_the_line_that_it_begins_in(
    form: FileFormat, text: str
) -> None:
    """Blank lines count, and records may be longer than one."""
    assert [FoundRecord(1, {"a": "1"}), FoundRecord(3, {"a": "2"})] == read(text, form)


def test_when_rows_are_read_then_each_has_the_line_that_it_begins_in() -> None:
    """A value may hold line breaks, commas and quotes."""
    text = 'a,b\r\n1,"x,\n""y"""\r\n2,z\r\n'

    assert [FoundRecord(2, {"a": "1", "b": 'x,\n"y"'}), FoundRecord(4, {"a": "2", "b": "z"})] == (
        read(text, FileFormat.TABLE)
    )


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("nope", "no JSON"),
        ("[]", "no JSON object"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "duplicate"),
        ('{"a": ' + 5_000 * "9" + "}", "no JSON that can be kept"),
        ("[" * 200_000, "nested too deep"),
    ],
)
def test_when_a_line_is_wrong_then_the_next_ones_are_read(line: str, named: str) -> None:
    """Everything that is wrong with a file is found in one go."""
    first, second = read(f'{line}\n{{"a": 1}}\n', FileFormat.LINES)

    assert isinstance(first, LineProblem)
    assert 1 == first.line
    assert named in first.message
    assert FoundRecord(2, {"a": 1}) == second


@pytest.mark.parametrize(
    ("form", "text", "line"),
    [
        (FileFormat.LINES, '{}\n{"a": "' + LONGEST_RECORD * "x" + '"}', 2),
        (FileFormat.ARRAY, "", 1),
        (FileFormat.ARRAY, '{"a": 1}', 1),
        (FileFormat.ARRAY, '[{},\n{"a": 1}', 2),
        (FileFormat.ARRAY, "[{},\n]", 2),
        (FileFormat.ARRAY, "[{}\n{}]", 2),
        (FileFormat.ARRAY, "[{}]\n[]", 2),
        (FileFormat.ARRAY, '[{},\n{"a": nope}]', 2),
        (FileFormat.ARRAY, "[{},\n" + '{"a":' * 200_000, 2),
        (FileFormat.ARRAY, '[{},\n{"a": "' + 3 * LONGEST_RECORD * "x" + '"}]', 2),
        (FileFormat.TABLE, "", 1),
        (FileFormat.TABLE, "a,a\n1,2\n", 1),
        (FileFormat.TABLE, 'a\n"x\n', 2),
    ],
)
def test_when_the_rest_makes_no_sense_then_reading_ends_at_its_line(
    form: FileFormat, text: str, line: int
) -> None:
    """Nobody knows where the next record begins."""
    with pytest.raises(UnreadableFileError) as caught:
        read(text, form)

    assert line == caught.value.problem.line


def test_when_a_row_has_other_columns_then_it_is_wrong_by_itself() -> None:
    """The next row is read."""
    assert [
        LineProblem(2, "1 values, and there are 2 columns"),
        FoundRecord(3, {"a": "1", "b": "2"}),
    ] == read("a,b\n1\n1,2\n", FileFormat.TABLE)


def test_when_an_array_is_empty_then_it_has_no_records() -> None:
    """Blanks around it are nothing either."""
    assert [] == read(" [ ] \n", FileFormat.ARRAY)


@pytest.mark.parametrize("form", FileFormat)
def test_when_a_file_is_long_then_no_more_memory_is_needed(form: FileFormat) -> None:
    """Twenty times the records take the memory of one piece and one record."""
    row = {"a": "x" * 1_000}
    texts = {
        FileFormat.LINES: f"{json.dumps(row)}\n" * 20_000,
        FileFormat.ARRAY: f"[{', '.join([json.dumps(row)] * 20_000)}]",
        FileFormat.TABLE: "a\n" + f"{row['a']}\n" * 20_000,
    }
    file = io.StringIO(texts[form], newline="")
    tracemalloc.start()
    count = sum(1 for _ in read_records(file, form))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 20_000 == count
    assert peak < 2_000_000
