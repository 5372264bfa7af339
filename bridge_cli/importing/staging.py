"""Checks every record of a file and keeps them on disk, so that nothing is sent until all are good.

Kept on disk, and not read twice: what is sent is what was checked, also from a pipe or a file that
somebody is writing to; and which IDs have come is known without holding them in memory.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TextIO

from aws_backend.errors import ApiError
from aws_backend.record import parse_record_data, parse_record_id
from aws_backend.record_import import ImportedRecord
from bridge_cli.importing.record_file import (
    FileFormat,
    FoundRecord,
    LineProblem,
    UnreadableFileError,
    read_records,
)

MOST_PROBLEMS: Final = 20
"""How many are kept to be shown; the rest are counted."""
_EVERY: Final = 500
_ENVELOPE: Final = {"id", "data"}


class StagedRecords:
    """The records that have been found good, in the order of the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use the database, which is the stage's own."""
        self._connection = connection
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE records (line INTEGER, id TEXT UNIQUE, data TEXT NOT NULL) STRICT"
        )
        self.count = 0
        self.problem_count = 0
        self.problems: list[LineProblem] = []

    def add_all(
        self,
        file: TextIO,
        form: FileFormat,
        *,
        id_member: str | None,
        progress: Callable[[int], None] = lambda _count: None,
    ) -> None:
        """Check every record of the file, and keep those that are good.

        Args:
            file: where the records are.
            form: how it holds them.
            id_member: the member or column that is the ID, of records that are data as a whole;
                without one, each is an object of `id` and `data`.
            progress: called now and then with how many records have been looked at.

        """
        looked_at = 0
        try:
            for found in read_records(file, form):
                looked_at += 1
                if isinstance(found, LineProblem):
                    self._note(found)
                else:
                    self._check_and_add(found, id_member)
                if looked_at % _EVERY == 0:
                    progress(looked_at)
        except UnreadableFileError as error:
            self._note(error.problem)
        except UnicodeDecodeError as error:
            self._note(LineProblem(0, f"the file is not in UTF-8 ({error.reason})"))
        self._connection.commit()
        progress(looked_at)

    def read(self) -> Iterator[ImportedRecord]:
        """Yield the records in the order of the file."""
        rows = self._connection.execute("SELECT id, data FROM records ORDER BY rowid")
        for record_id, data in rows:
            yield record_id, json.loads(data)

    def _note(self, problem: LineProblem) -> None:
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    def _check_and_add(self, found: FoundRecord, id_member: str | None) -> None:
        try:
            self._add(found.line, *_claimed(found.members, id_member))
        except ApiError as error:
            self._note(LineProblem(found.line, f"{error} ({error.code})"))
        except _UnfitRecordError as error:
            self._note(LineProblem(found.line, str(error)))

    def _add(self, line: int, claimed_id: str, data: object) -> None:
        record_id = parse_record_id(claimed_id)
        try:
            spelled = json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise _UnfitRecordError("the data has no JSON form in UTF-8") from error
        text = parse_record_data(spelled)
        try:
            self._connection.execute(
                "INSERT INTO records VALUES (?, ?, ?)", (line, record_id, text)
            )
        except sqlite3.IntegrityError:
            (first,) = self._connection.execute(
                "SELECT line FROM records WHERE id = ?", (record_id,)
            ).fetchone()
            raise _UnfitRecordError(
                f"the ID {record_id} has come already, in line {first}"
            ) from None
        self.count += 1


class _UnfitRecordError(Exception):
    """A record cannot be imported; the message says why."""


def _claimed(members: Mapping[str, object], id_member: str | None) -> tuple[str, object]:
    """Return the record's ID, not checked yet, and its data."""
    if id_member is None and set(members) != _ENVELOPE:
        raise _UnfitRecordError(
            "the record is not an object of id and data: where it is data as a whole, name its ID"
            " with --id"
        )
    if id_member is not None and id_member not in members:
        raise _UnfitRecordError(f"the record has no {id_member}, which is to be its ID")
    claimed = members["id" if id_member is None else id_member]
    if not isinstance(claimed, str):
        raise _UnfitRecordError("the ID is not a string")
    return claimed, members["data"] if id_member is None else members


@contextmanager
def staging() -> Iterator[StagedRecords]:
    """Give the block an empty stage, on disk and in nobody's way; it is gone afterwards."""
    with (
        TemporaryDirectory(prefix="bridge-import-") as folder,
        closing(sqlite3.connect(Path(folder, "records.sqlite3"))) as connection,
    ):
        yield StagedRecords(connection)
