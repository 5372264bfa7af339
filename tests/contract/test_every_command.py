"""Every command that a page shows is run by a test, or says that it needs a cloud."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from documenting.site.pages import site_files
from tests.support.page_lines import (
    MARK,
    PageCommand,
    commands_of,
    fresh_checkout,
    reads_as,
    run_line,
)

CHECKOUT = Path(__file__).parents[2]
PAGES = ["README.md", *(source for source in site_files(CHECKOUT) if source.endswith(".md"))]
RUNNERS = {"run_line": 0, "start_line": 0, "run": 0}
"""What hands a line to a shell, and which argument the line is."""

IS_THE_TESTS = {
    "make test": "what runs this test",
    "make check": "what `make test` begins with",
    "make unit": "a part of `make test`, by the same program",
}
TAKES_HOURS = (
    "make crash-matrix",
    "make crash-matrix STORE=sqlite SCENARIO=sweep",
    "make crash-matrix POINTS=100 SEED=2",
    "make crash-matrix STORE=table SCENARIO=increment POINT=137",
    "make mutation",
    'make mutation MODULES="token policy_document"',
    "make mutation MODULES=azure_function_app/http1/connection SAMPLE=100",
)
"""Here make shows what it would run; `make test` runs a sample of each by another way."""

CLOUDS = re.compile(
    r"\b(?:az|aws|sam|gh|func)\b|https?://|pip install"
    r"|bridge (?:deploy|entra|smoke|preflight|feed|doctor|explain)"
)


@cache
def commands() -> tuple[tuple[str, PageCommand], ...]:
    """Each command of each page."""
    return tuple(
        (page, command)
        for page in PAGES
        for command in commands_of((CHECKOUT / page).read_text(encoding="utf-8"))
    )


def lines_run_by(source: str) -> Iterator[str]:
    """The lines that the functions of a test module hand to a shell, whole pages included."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if any(
            "skip" in ast.unparse(each) or "xfail" in ast.unparse(each)
            for each in function.decorator_list
        ):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            match call.args[0]:
                case ast.Constant(value=str(text)) if name == "run_page":
                    yield from _lines_of(text)
                case ast.Name(id=parameter) if name == "run_page":
                    for page in _parameters(function, parameter):
                        yield from _lines_of(page)
                case ast.Constant(value=str(text)) if name in RUNNERS:
                    yield text
                case _:
                    pass


def _lines_of(page: str) -> Iterator[str]:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    yield from (each.line for each in commands_of(text) if not each.needs_a_cloud)


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> tuple[str, ...]:
    """The values that a test's parameter takes, one after the other."""
    for decorator in function.decorator_list:
        match decorator:
            case ast.Call(args=[ast.Constant(value=str(given)), values]) if given == name:
                return tuple(ast.literal_eval(values))
            case _:
                pass
    return ()


@cache
def run_somewhere() -> frozenset[str]:
    """The lines that some test runs."""
    files = [*(CHECKOUT / "tests" / "integration").glob("*.py"), Path(__file__)]
    return frozenset(
        line for file in files for line in lines_run_by(file.read_text(encoding="utf-8"))
    )


def unproven(page: str, found: list[PageCommand]) -> list[str]:
    """The commands that nobody runs and that need no cloud."""
    known = run_somewhere() | IS_THE_TESTS.keys() | set(TAKES_HOURS)
    return [
        f"{page}: {each.line}"
        for each in found
        if not each.needs_a_cloud and each.line not in known
    ]


def test_when_commands_are_looked_for_then_there_are_many() -> None:
    """Else the tests below would find nothing wrong in nothing."""
    lines = [command for _, command in commands()]

    assert len(lines) >= 90
    assert len([each for each in lines if not each.needs_a_cloud]) >= 40
    assert len(run_somewhere()) >= 25


def test_when_a_page_shows_a_command_then_a_test_runs_it_or_it_needs_a_cloud() -> None:
    """Run by `run_line` and the like in a test, or marked on the line before its block."""
    found = [told for page, command in commands() for told in unproven(page, [command])]

    assert [] == found, f"run them in tests/integration/test_page_lines.py, or write {MARK} before"


def test_when_a_block_says_that_it_needs_a_cloud_then_it_names_one() -> None:
    """The mark is no way out for a command that could be run here."""
    blocks: dict[str, list[str]] = {}
    for page, command in commands():
        if command.needs_a_cloud:
            blocks.setdefault(page, []).append(command.line)

    assert 6 <= len(blocks)
    assert [] == [page for page, lines in blocks.items() if not CLOUDS.search("\n".join(lines))]


def test_when_a_line_is_kept_for_a_page_then_a_page_shows_it() -> None:
    """What no page shows any more leaves these tables, and the tests of the pages' lines."""
    shown = {command.line for _, command in commands()}
    source = (CHECKOUT / "tests/integration/test_page_lines.py").read_text(encoding="utf-8")
    helping = {"curl -s http://127.0.0.1:7071/api/aws/v1/records/EGLL"}

    assert set() == (IS_THE_TESTS.keys() | set(TAKES_HOURS)) - shown
    assert set() == set(lines_run_by(source)) - shown - helping


@pytest.mark.parametrize("line", TAKES_HOURS)
def test_when_a_command_takes_hours_then_make_knows_what_to_run(tmp_path: Path, line: str) -> None:
    """Its target, its variables and the program are there."""
    shown = run_line(f"{line} --dry-run", fresh_checkout(tmp_path / "checkout"))
    program = shown.stdout

    assert 0 == shown.returncode, shown.stderr
    assert "crash_matrix" in program or "scripts/mutation" in program
    for value in re.findall(r"(?:STORE|SCENARIO|SEED|POINT|POINTS)=(\w+)", line):
        assert value in program
    for module in re.findall(r"MODULES=\"?([\w/ ]+)", line.replace(" SAMPLE", '"')):
        assert module.strip() in program


def test_when_a_page_gets_a_new_command_then_it_is_unproven_until_a_test_runs_it() -> None:
    """The check bites: unmarked, marked, and with output."""
    new = "```console\n$ bridge demo --json    # a remark\n{}\n```\n"

    assert ["x: bridge demo --json"] == unproven("x", list(commands_of(new)))
    assert [] == unproven("x", list(commands_of(f"{MARK}\n{new}")))
    assert [] == unproven("x", list(commands_of("```text\n$ bridge demo\n```\n")))
    assert ["x: bridge demo"] == unproven("x", list(commands_of("```console\nbridge demo\n```\n")))
    assert ["x: a", "x: b c"] == unproven(
        "x", list(commands_of("- x\n\n  ```sh\n  a\n  b \\\n    c\n  ```\n"))
    )


def test_when_a_test_is_skipped_then_its_lines_count_as_not_run() -> None:
    """Nor do lines outside of functions, or in what is only compared."""
    run = 'def test_a():\n    run_line("a", here)\n'

    assert ["a"] == list(lines_run_by(run))
    assert [] == list(lines_run_by(f"@pytest.mark.skip\n{run}"))
    assert [] == list(lines_run_by('LINE = run_line("a", here)\n'))
    assert [] == list(lines_run_by('def test_a():\n    assert "a" in lines\n'))


@pytest.mark.parametrize(
    ("shown", "printed", "is_so"),
    [
        ("401", "401", True),
        ('{"a": […]', '{"a": 1}\nb', True),
        ("401", "4010", False),
        ('"[…]" b', '"a" c', False),
    ],
)
def test_when_a_page_shows_output_then_it_is_compared(
    shown: str, printed: str, *, is_so: bool
) -> None:
    """Whole, but for what `[…]` stands for."""
    assert is_so == reads_as(shown, printed)


def test_when_a_checkout_is_fresh_then_git_knows_all_that_is_in_it(tmp_path: Path) -> None:
    """And what readers make there is not ours."""
    folder = fresh_checkout(tmp_path / "checkout")
    tracked = subprocess.run(
        ["/usr/bin/git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert {each.split("/")[0] for each in tracked} <= {each.name for each in folder.iterdir()}
    assert not (folder / ".bridge").exists()
