"""Reads a user's records from a file, one at a time, each with the line that it begins in."""

import csv
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, TextIO, assert_never

from shared.formats.json_rules import refuse_constant, unique_members

LONGEST_RECORD: Final = 1024 * 1024
"""Characters of one record in a file: more than any that the API takes, however it is spelled."""
_PIECE: Final = 65_536
_BLANK: Final = " \t\r\n"
# What the csv module bounds by itself, at less than a record may hold.
csv.field_size_limit(LONGEST_RECORD)


class FileFormat(StrEnum):
    """How a file holds its records."""

    LINES = "jsonl"
    """A JSON object a line."""
    ARRAY = "json"
    """One JSON array of objects."""
    TABLE = "csv"
    """A header, then a row a record, every value a text."""


FORMAT_BY_SUFFIX: Final[Mapping[str, FileFormat]] = {
    ".jsonl": FileFormat.LINES,
    ".ndjson": FileFormat.LINES,
    ".json": FileFormat.ARRAY,
    ".csv": FileFormat.TABLE,
}


class LineProblem(NamedTuple):
    """What is wrong with the record that begins in a line."""

    line: int
    message: str


class UnreadableFileError(Exception):
    """The rest of the file cannot be read: what comes after the line is anybody's guess."""

    code = "file_unreadable"

    def __init__(self, line: int, message: str) -> None:
        """Take the line, and what is wrong there."""
        super().__init__(message)
        self.problem = LineProblem(line, message)


class FoundRecord(NamedTuple):
    """A JSON object of the file, as it stands there."""

    line: int
    members: Mapping[str, object]


def read_records(file: TextIO, form: FileFormat) -> Iterator[FoundRecord | LineProblem]:
    """Yield each record of the file, or what is wrong with it, holding one at a time.

    Raises:
        UnreadableFileError: where the file cannot be read any further.

    """
    match form:
        case FileFormat.LINES:
            return _read_lines(file)
        case FileFormat.ARRAY:
            return _ArrayReader(file).read()
        case FileFormat.TABLE:
            return _read_table(file)
        case _:
            assert_never(form)


def format_of(path: Path) -> FileFormat | None:
    """Return the format that the file's name says; None where it says none."""
    return FORMAT_BY_SUFFIX.get(path.suffix.lower())


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=unique_members, parse_constant=refuse_constant)


def _read_lines(file: TextIO) -> Iterator[FoundRecord | LineProblem]:
    decoder = _decoder()
    number = 0
    while text := file.readline(LONGEST_RECORD + 1):
        number += 1
        if len(text) > LONGEST_RECORD:
            raise UnreadableFileError(number, f"the line is over {LONGEST_RECORD} characters long")
        if not text.strip(_BLANK):
            continue
        try:
            value = decoder.decode(text)
        except json.JSONDecodeError as error:
            yield LineProblem(number, f"no JSON: {error.msg} (column {error.colno})")
        except (ValueError, RecursionError) as error:
            yield LineProblem(number, f"no JSON that can be kept: {_reason(error)}")
        else:
            yield _object(number, value)


class _ArrayReader:
    """Takes a JSON array apart, with no more of it in memory than its longest record needs."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = _decoder()
        self._text = ""
        self._at = 0
        self._line = 1
        self._is_at_end = False

    def read(self) -> Iterator[FoundRecord | LineProblem]:
        if self._next_character() != "[":
            raise UnreadableFileError(
                self._line,
                "the file does not begin with [: for a record a line, use"
                f" --format {FileFormat.LINES}",
            )
        self._skip(1)
        if self._next_character() == "]":
            self._skip(1)
        else:
            while True:
                yield self._take_value()
                separator = self._next_character()
                self._skip(1)
                if separator == "]":
                    break
                if separator != ",":
                    raise UnreadableFileError(self._line, "expected , or ] after a record")
                self._next_character()
        if self._next_character():
            raise UnreadableFileError(self._line, "there is more after the array's end")

    def _take_value(self) -> FoundRecord | LineProblem:
        self._next_character()
        line = self._line
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # What is cut off looks wrong as well, so there is a verdict only with all of it.
                if not self._is_at_end and len(self._text) - self._at <= LONGEST_RECORD:
                    self._read_on()
                    continue
                if len(self._text) - self._at > LONGEST_RECORD:
                    raise UnreadableFileError(
                        line,
                        f"no JSON, or a record of over {LONGEST_RECORD} characters: {error.msg}",
                    ) from error
                raise UnreadableFileError(line, f"no JSON: {error.msg}") from error
            except (ValueError, RecursionError) as error:
                raise UnreadableFileError(
                    line, f"no JSON that can be kept: {_reason(error)}"
                ) from error
            self._skip(end - self._at)
            return _object(line, value)

    def _next_character(self) -> str:
        """Return the next character that is not blank; nothing at the end of the file."""
        while True:
            rest = len(self._text) - self._at
            for offset in range(rest):
                if self._text[self._at + offset] not in _BLANK:
                    self._skip(offset)
                    return self._text[self._at]
            self._skip(rest)
            if self._is_at_end:
                return ""
            self._read_on()

    def _skip(self, length: int) -> None:
        self._line += self._text.count("\n", self._at, self._at + length)
        self._at += length

    def _read_on(self) -> None:
        piece = self._file.read(_PIECE)
        self._is_at_end = not piece
        self._text = self._text[self._at :] + piece
        self._at = 0


def _read_table(file: TextIO) -> Iterator[FoundRecord | LineProblem]:
    rows = csv.reader(file, strict=True)
    try:
        header = next(rows, None)
        if header is None:
            raise UnreadableFileError(1, "the file is empty: the first line must name the columns")
        if len(set(header)) != len(header) or "" in header:
            raise UnreadableFileError(1, "a column has no name, or two have the same")
        begins = rows.line_num + 1
        for row in rows:
            line, begins = begins, rows.line_num + 1
            if not row:
                continue
            if len(row) != len(header):
                yield LineProblem(line, f"{len(row)} values, and there are {len(header)} columns")
            else:
                yield FoundRecord(line, dict(zip(header, row, strict=True)))
    except csv.Error as error:
        raise UnreadableFileError(rows.line_num, f"no CSV: {error}") from error


def _object(line: int, value: object) -> FoundRecord | LineProblem:
    if not isinstance(value, dict):
        return LineProblem(line, "the record is no JSON object")
    return FoundRecord(line, value)


def _reason(error: ValueError | RecursionError) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)
