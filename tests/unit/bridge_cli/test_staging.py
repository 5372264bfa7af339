"""Checking a user's records: the API's own rules, and nothing is kept in memory."""

import io

from bridge_cli.importing.record_file import FileFormat, LineProblem
from bridge_cli.importing.staging import MOST_PROBLEMS, StagedRecords, staging


def add(
    staged: StagedRecords,
    text: str,
    *,
    id_member: str | None = None,
    form: FileFormat = FileFormat.LINES,
) -> None:
    """Stage what the text holds."""
    staged.add_all(io.StringIO(text, newline=""), form, id_member=id_member)


def test_when_all_records_are_good_then_they_come_back_in_their_order() -> None:
    """With the data as it was."""
    with staging() as staged:
        add(staged, '{"id": "b", "data": {"x": [1, "é"]}}\n{"data": {}, "id": "a"}\n')

        assert [("b", {"x": [1, "é"]}), ("a", {})] == list(staged.read())
    assert (2, 0) == (staged.count, staged.problem_count)


def test_when_a_member_is_the_id_then_the_whole_object_is_the_data() -> None:
    """The rows of a table too."""
    with staging() as staged:
        add(staged, "icao,name\nEGLL,Heathrow\n", id_member="icao", form=FileFormat.TABLE)

        assert [("EGLL", {"icao": "EGLL", "name": "Heathrow"})] == list(staged.read())


def test_when_records_are_wrong_then_each_is_named_with_its_line_and_reason() -> None:
    """By the rules that the API has for a PUT."""
    lines = (
        '{"id": "a", "data": {}}',
        '{"id": "a", "data": {}}',
        '{"id": "a b", "data": {}}',
        '{"id": 7, "data": {}}',
        '{"id": "b", "data": []}',
        '{"id": "b", "data": {"x": 1e999}}',
        '{"id": "b", "data": {"x": "\\ud800"}}',
        '{"id": "b", "data": {"x": "' + 300_000 * "x" + '"}}',
        '{"id": "b"}',
        "nope",
    )
    with staging() as staged:
        add(staged, "\n".join(lines))

    assert (1, 9) == (staged.count, staged.problem_count)
    assert list(range(2, 11)) == [problem.line for problem in staged.problems]
    reasons = ("line 1", "id_invalid", "not a string", "body_invalid", "body_invalid")
    for problem, reason in zip(staged.problems, reasons, strict=False):
        assert reason in problem.message
    assert "no JSON form" in staged.problems[5].message
    assert "body_too_large" in staged.problems[6].message
    assert "--id" in staged.problems[7].message


def test_when_the_id_member_is_missing_then_it_is_named() -> None:
    """A typing error in --id makes every record wrong, and says so."""
    with staging() as staged:
        add(staged, '{"icao": "a"}\n', id_member="ICAO")

    assert [LineProblem(1, "the record has no ICAO, which is to be its ID")] == staged.problems


def test_when_very_many_records_are_wrong_then_some_are_kept_and_all_are_counted() -> None:
    """A wrong file of a million lines must not fill the memory with sentences."""
    with staging() as staged:
        add(staged, "nope\n" * 1_000)

    assert (1_000, MOST_PROBLEMS) == (staged.problem_count, len(staged.problems))


def test_when_the_file_ends_within_a_record_then_nothing_of_it_may_be_used() -> None:
    """What came before was good, and is not the whole of it."""
    with staging() as staged:
        add(staged, '[{"id": "a", "data": {}},\n{"id": "b"', form=FileFormat.ARRAY)

    assert [2] == [problem.line for problem in staged.problems]
