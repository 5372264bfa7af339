"""The doctor's page, its causes and the authorizer's reasons have one vocabulary."""

import re
from pathlib import Path

from aws_backend.protected_resource import CLIENT_ID_MEMBER, METADATA_PATH, TOKEN_VERSIONS_MEMBER
from azure_function_app.doctor import evidence, observation
from azure_function_app.doctor.cause import Cause
from azure_function_app.doctor.report import CheckName, Verdict
from shared.reasons import Reason
from tests.misconfigurations.table import ROWS

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "doctor.md").read_text(encoding="utf-8")
FEWEST_CAUSES = 80
FEWEST_MISTAKES = 50


def rows_below(heading: str) -> list[tuple[str, str]]:
    """The first two cells of each row of the table in that section."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([a-z_]+)` \| (.+?) \|$", section, re.MULTILINE)


def test_when_there_is_a_cause_then_the_page_has_its_meaning_and_no_other() -> None:
    """Code by code, in the order of the declaration."""
    assert [(cause.value, cause.meaning) for cause in Cause] == rows_below("The causes")
    assert len(Cause) >= FEWEST_CAUSES


def test_when_there_is_a_check_then_the_page_says_what_it_looks_at() -> None:
    """Check by check, in the order of the report."""
    assert [name.value for name in CheckName] == [name for name, _ in rows_below("The checks")]


def test_when_a_mistake_is_tested_then_the_page_says_so_and_no_other() -> None:
    """Row by row, in the order of the table that the tests go through."""
    section = PAGE.partition("## What is tested\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| (.+?) \| ((?:`[a-z_]+`(?: or )?)+) \|$", section, re.MULTILINE)

    assert told == [
        (row.wrong, " or ".join(f"`{cause}`" for cause in sorted(row.causes))) for row in ROWS
    ]
    assert len(told) >= FEWEST_MISTAKES


def test_when_a_mistake_is_tested_then_its_causes_are_the_doctors() -> None:
    """A word that the doctor does not have would be expected in vain."""
    assert set() == {c for row in ROWS for c in row.causes} - {cause.value for cause in Cause}


def test_when_there_is_a_verdict_then_the_page_says_what_it_means() -> None:
    """Beside its exit status."""
    assert all(f"| `{verdict.value}` |" in PAGE for verdict in Verdict)


def test_when_the_authorizer_has_a_reason_then_the_doctor_has_the_same_word() -> None:
    """So that the log's word can be looked up; two are told apart by whose settings they are."""
    reasons = {reason.value for reason in Reason} - {Reason.ALLOWED.value}

    assert set() == reasons - {cause.value for cause in Cause}


def test_when_a_cause_has_a_meaning_then_it_is_one_sentence() -> None:
    """For a person."""
    assert all(re.fullmatch(r"[A-Z][^|\n]+\.", cause.meaning) for cause in Cause)
    assert all(re.fullmatch(r"[a-z][a-z_]+", cause.value) for cause in Cause)


def test_when_the_doctor_reads_the_metadata_then_by_the_names_that_the_api_writes() -> None:
    """The two sides are never in one process, so nothing else would notice."""
    document = {CLIENT_ID_MEMBER: "11111111-2222-4333-8444-555555555555"}
    document |= {TOKEN_VERSIONS_MEMBER: ["2.0"]}  # type: ignore[dict-item]  # as JSON has it

    read = evidence.published_contract(document)

    assert METADATA_PATH == observation.METADATA_PATH
    assert ("11111111-2222-4333-8444-555555555555", frozenset({"2.0"})) == (
        read.client_id,
        read.token_versions,
    )
