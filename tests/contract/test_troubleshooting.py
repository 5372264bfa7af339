"""The troubleshooting page has each code that a person can meet, and no other."""

import re
from pathlib import Path

import pytest

from documenting.reference.code_scan import CodeNotFoundError, FoundCode, scan
from documenting.reference.codes import code_groups
from documenting.reference.reasons import MEANINGS
from shared.reasons import Reason

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
GROUPS = code_groups(CHECKOUT)
ELSEWHERE = {
    "shard_poisoned": "an event of the log, which an alert is put on",
    "sync_held": "made of a run's status, by `bridge smoke`",
}
"""Rows that are no code's, and why they stand there."""


def rows_of(page: str) -> list[tuple[str, list[str]]]:
    """Each row of the tables of codes and statuses: its codes, and its other cells."""
    found, is_ours = [], False
    for line in page.splitlines():
        if not line.startswith("|"):
            is_ours = False
        elif line.startswith(("| Code |", "| Status |")):
            is_ours = True
        elif is_ours and not line.startswith("|---"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            found += [(code, cells[1:]) for code in re.findall(r"`([^`]+)`", cells[0])]
    return found


def missing_from(page: str) -> list[str]:
    """The codes that have no row, each with who says it."""
    rows = {code for code, _ in rows_of(page)}
    return [
        f"{code} ({', '.join(sources)})"
        for group in GROUPS
        for code, sources in group.sources.items()
        if code not in rows
    ]


def test_when_codes_are_looked_for_then_each_part_has_many() -> None:
    """Else the tests below would find nothing wrong in nothing."""
    counts = {group.title: len(group.sources) for group in GROUPS}

    assert sum(counts.values()) >= 350
    assert [] == [title for title, count in counts.items() if count < 15]


def test_when_there_is_a_code_then_the_page_has_a_row_for_it() -> None:
    """What it means, and what to change."""
    missing = missing_from(PAGE)

    assert [] == missing, f"write a row into docs/troubleshooting.md for each of {missing}"


def test_when_there_is_a_row_then_somebody_says_its_code() -> None:
    """A code that was renamed leaves none behind."""
    codes = {code for group in GROUPS for code in group.sources}

    assert [] == sorted({code for code, _ in rows_of(PAGE)} - codes - ELSEWHERE.keys())


def test_when_a_code_has_a_row_then_it_says_what_it_means() -> None:
    """No empty cell under `Means`."""
    rows = rows_of(PAGE)

    assert len(rows) >= 300
    assert [] == [code for code, cells in rows if not any(len(cell.strip()) > 3 for cell in cells)]


def test_when_a_row_is_taken_out_then_its_code_is_missing() -> None:
    """The check bites, for one code of each part."""
    for group in GROUPS:
        code = next(iter(group.sources))
        # A row of several codes goes as a whole.
        lines = [line for line in PAGE.splitlines() if f"`{code}`" not in line[1:].split("|")[0]]

        assert [each for each in missing_from("\n".join(lines)) if each.startswith(f"{code} (")]


def test_when_a_reason_is_added_then_it_has_a_meaning() -> None:
    """In `documenting/reference/reasons.py`; an allowed call needs no more."""
    assert set(Reason) == MEANINGS.keys()


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ('class A(Exception):\n    """X."""\n    code = "a_code"\n', ["a_code"]),
        (
            (
                "class A(Exception):\n    def __init__(self, code: str) -> None: ...\n"
                'class B(A):\n    def __init__(self) -> None:\n        super().__init__("i_code")\n'
            ),
            ["i_code"],
        ),
        ('def f(code: str) -> None: ...\nf("b_code")\n', ["b_code"]),
        ('def f(x: int, code: str) -> None: ...\nf(1, "b" if f else "c")\n', ["b", "c"]),
        ('C = "c_code"\ndef f(*, code: str) -> None: ...\nf(code=C)\n', ["c_code"]),
        ('def g(x: int) -> str:\n    code, y = "d_code", 1\n    return code\n', ["d_code"]),
        ('def f(code: str) -> None: ...\ndef g(n: int) -> None:\n    f(f"s_{n}")\n', ["s_<n>"]),
        ("def f(code: str) -> None: ...\ndef g(code: str) -> None:\n    f(code)\n", []),
    ],
)
def test_when_source_says_a_code_then_the_scan_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, codes: list[str]
) -> None:
    """In each of the ways that are in use here."""
    assert set(codes) == {each.code for each in scan_of(tmp_path, monkeypatch, source)}


def test_when_a_code_is_computed_then_the_scan_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of leaving it out."""
    source = 'def f(code: str) -> None: ...\nf("a".upper())\n'

    with pytest.raises(CodeNotFoundError, match="upper"):
        scan_of(tmp_path, monkeypatch, source)


def scan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> list[FoundCode]:
    """What the scan finds in a package of one module."""
    package = f"scanned_{abs(hash(source))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / "module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return list(scan(tmp_path, package))
